/* Accounting: what a turn used goes into its session's row and, by day, into the store, in the batch that
 * ends the turn. Prices are the configuration's; a turn whose model has none is counted as such. */
#include "gateway/session/internal.h"

#include "gateway/session/transcript.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define USAGE_DAYS 400 /* kept */

static int64_t told(int64_t number)
{
    return number < 0 ? 0 : number;
}

static bool usage_known(const struct model_usage *u)
{
    return u->input >= 0 || u->output >= 0;
}

void usage_day(int64_t wall_ms, char out[USAGE_DAY])
{
    time_t at = (time_t)(wall_ms / 1000);
    struct tm utc;

    gmtime_r(&at, &utc);
    strftime(out, USAGE_DAY, "%Y-%m-%d", &utc);
}

/* ---- the messages on the way ---- */

static int64_t usage_member(const struct json *usage, const char *name)
{
    return told(json_integer(json_get(usage, name), 0));
}

void usage_take_message(struct turn *turn, const struct json *message)
{
    const struct json *usage = json_get(message, "usage");

    if (strcmp(json_string(json_get(message, "role"), ""), "assistant") != 0)
        return;
    turn->answers++;
    turn->earlier.input += usage_member(usage, "input");
    turn->earlier.output += usage_member(usage, "output");
    turn->earlier.cache_read += usage_member(usage, "cacheRead");
    turn->earlier.cache_write += usage_member(usage, "cacheWrite");
}

static int64_t less(int64_t whole, int64_t earlier)
{
    return whole < 0 ? whole : whole > earlier ? whole - earlier : 0;
}

/* The whole run's without what its earlier messages used. */
struct model_usage usage_last(const struct turn *turn)
{
    return (struct model_usage){
        .input = less(turn->usage.input, turn->earlier.input),
        .output = less(turn->usage.output, turn->earlier.output),
        .cache_read = less(turn->usage.cache_read, turn->earlier.cache_read),
        .cache_write = less(turn->usage.cache_write, turn->earlier.cache_write),
    };
}

/* ---- the end ---- */

static void usage_add_number(struct session *session, const char *name, int64_t more)
{
    session_set_number(session, name, session_number(session, name, 0) + more);
}

/* The session's row: sums, what the window holds now, what it has cost so far. */
static void usage_put_session(const struct turn *turn, struct session *session, double cost)
{
    const struct model_usage *u = &turn->usage, last = usage_last(turn);
    double before = json_number(json_get(session->entry, "estimatedCostUsd"), 0);

    if (!usage_known(u))
        return;
    usage_add_number(session, "inputTokens", told(u->input));
    usage_add_number(session, "outputTokens", told(u->output));
    usage_add_number(session, "cacheRead", told(u->cache_read));
    usage_add_number(session, "cacheWrite", told(u->cache_write));
    session_set_number(session, "totalTokens",
                       told(last.input) + told(last.cache_read) + told(last.cache_write) +
                           told(last.output));
    if (cost >= 0)
        json_put(session->entry, "estimatedCostUsd", json_new_number(before + cost));
}

/* Nano-dollars of one kind of tokens. */
static int64_t usage_cost(const struct turn *turn, struct model_usage part)
{
    double cost = model_cost(turn->gw, turn->model.provider, turn->model.model, &part);

    return cost > 0 ? (int64_t)(cost * 1e9 + 0.5) : 0;
}

void usage_put(struct turn *turn, struct session *session, struct store_batch *batch)
{
    const struct model_usage *u = &turn->usage;
    double cost =
        usage_known(u) ? model_cost(turn->gw, turn->model.provider, turn->model.model, u) : -1;
    char day[USAGE_DAY], oldest[USAGE_DAY];

    if (!turn->kind)
        return; /* a command: no model was asked */
    usage_put_session(turn, session, cost);
    usage_day(turn->ended_at, day);
    store_usage_add(
        batch, &(struct store_usage){
                   .day = day,
                   .agent_id = turn->agent_id,
                   .session_key = turn->session_key,
                   .provider = turn->model.provider,
                   .model = turn->model.model,
                   .turns = 1,
                   .input = told(u->input),
                   .output = told(u->output),
                   .cache_read = told(u->cache_read),
                   .cache_write = told(u->cache_write),
                   .input_cost = usage_cost(turn, (struct model_usage){.input = told(u->input)}),
                   .output_cost = usage_cost(turn, (struct model_usage){.output = told(u->output)}),
                   .cache_read_cost =
                       usage_cost(turn, (struct model_usage){.cache_read = told(u->cache_read)}),
                   .cache_write_cost =
                       usage_cost(turn, (struct model_usage){.cache_write = told(u->cache_write)}),
                   .unpriced = cost < 0,
                   .asked = 1 + turn->rider_count,
                   .answered = turn->answers + (turn->message_id[0] != '\0'),
                   .tool_calls = turn->tool_calls,
                   .errors = turn->end == TURN_ERROR,
                   .first_at = turn->started_at,
                   .last_at = turn->ended_at,
               });
    if (strcmp(turn->gw->turns->trimmed, day) == 0)
        return;
    memcpy(turn->gw->turns->trimmed, day, sizeof(day));
    usage_day(turn->ended_at - USAGE_DAYS * 86400000LL, oldest);
    store_usage_trim(batch, oldest);
}
