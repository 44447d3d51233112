/* usage.status, usage.cost, sessions.usage: what the store counted, for a range of days (of UTC). A read
 * holds its call and a page of the reader; it is gone when the page came. protocol.md 4.1, 4.3. */
#include "gateway/agent/agent.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/keys.h"
#include "gateway/method/method.h"
#include "gateway/method/usage_totals.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define READ_MS          30000
#define DAY_MS           86400000LL
#define DAYS_DEFAULT     30
#define SESSIONS_DEFAULT 50
#define DAY_TEXT         11 /* bytes of "2026-03-09" */

/* ---- the range of days ---- */

/* Both usage.cost and sessions.usage ask for one. */
struct usage_range {
    const struct json *days; /* a number, also as text */
    const char *start, *end, *range, *agent_id, *agent_scope;
};
#define RANGE_FIELDS(t)                                                                            \
    K_ANY(t, "days", range.days), K_STR(t, "startDate", range.start, OPTIONAL, 10),                \
        K_STR(t, "endDate", range.end, OPTIONAL, 10), K_STR(t, "range", range.range, OPTIONAL, 8), \
        K_STR(t, "agentId", range.agent_id, FIELD_NONEMPTY, 128),                                  \
        K_STR(t, "agentScope", range.agent_scope, OPTIONAL, 16)

static void day_of(int64_t wall_ms, char out[DAY_TEXT])
{
    time_t at = (time_t)(wall_ms / 1000);
    struct tm utc;

    gmtime_r(&at, &utc);
    strftime(out, DAY_TEXT, "%Y-%m-%d", &utc);
}

static bool is_day(const char *text)
{
    return text && strlen(text) == 10 && text[4] == '-' && text[7] == '-' &&
           strspn(text, "0123456789-") == 10;
}

static int64_t range_days(const struct usage_range *range)
{
    static const struct {
        const char *name;
        int64_t days;
    } names[] = {{"7d", 7}, {"30d", 30}, {"90d", 90}, {"1y", 365}, {"all", 400}};
    const char *text = json_string(range->days, NULL);
    int64_t days = text ? strtoll(text, NULL, 10) : json_integer(range->days, DAYS_DEFAULT);

    for (size_t i = 0; range->range && i < COUNT(names); i++) {
        if (strcmp(range->range, names[i].name) == 0)
            days = names[i].days;
    }
    return days < 1 ? 1 : days > 400 ? 400 : days;
}

/* ---- a read on its way ---- */

struct usage_read {
    struct store_usage_page page;
    struct call *call;
    int64_t days, limit;
    char from[DAY_TEXT], to[DAY_TEXT];
    void (*write)(struct usage_read *read, struct json_writer *w);
};

static void usage_on_page(struct op *op, int result)
{
    struct usage_read *read = CONTAINER(op, struct usage_read, page.op);

    if (result < 0) {
        op->fault.code = result;
        call_fail_fault(read->call, &op->fault);
    } else {
        struct json_writer *w = call_reply(read->call);

        jw_object(w);
        jw_kint(w, "updatedAt", loop_wall(call_gateway(read->call)->loop));
        read->write(read, w);
        jw_object_end(w);
        call_send(read->call);
    }
    store_usage_page_done(&read->page);
    mem_free(read);
}

/* Whose rows: v3 clients mean everybody's, v4 clients the default agent's where they name none. */
static const char *usage_agent(struct call *call, const struct usage_range *range)
{
    if (range->agent_id)
        return range->agent_id;
    if (call_version(call) < 4 || strcmp(range->agent_scope ? range->agent_scope : "", "all") == 0)
        return NULL;
    return agent_at(call_gateway(call), 0);
}

static int usage_start(struct call *call, const struct usage_range *range, const char *session_key,
                       int64_t limit, void (*write)(struct usage_read *, struct json_writer *))
{
    struct gateway *gw = call_gateway(call);
    int64_t now = loop_wall(gw->loop);
    struct usage_read *read;

    if ((range->start && !is_day(range->start)) || (range->end && !is_day(range->end)))
        return call_fail(call, WIRE_INVALID_REQUEST,
                         "startDate and endDate are days like 2026-03-09");
    if (range->agent_id && range->agent_scope && strcmp(range->agent_scope, "all") == 0)
        return call_fail(call, WIRE_INVALID_REQUEST,
                         "agentScope=all cannot be combined with agentId");
    read = NEW(struct usage_read);
    read->call = call;
    read->days = range_days(range);
    read->limit = limit;
    read->write = write;
    day_of(now - (read->days - 1) * DAY_MS, read->from);
    day_of(now, read->to);
    if (range->start)
        memcpy(read->from, range->start, DAY_TEXT);
    if (range->end)
        memcpy(read->to, range->end, DAY_TEXT);
    op_init(&read->page.op, gw->loop, usage_on_page, READ_MS);
    store_usage_read(gw->store, &read->page, read->from, read->to,
                     session_key ? NULL : usage_agent(call, range), session_key);
    return 0;
}

/* Days are told oldest first; rows come newest first. */
static void groups_by_day(struct usage_groups *groups, const struct store_usage *const *rows,
                          size_t count)
{
    usage_groups_init(groups);
    for (size_t i = count; i > 0; i--)
        usage_groups_add(groups, rows[i - 1]->day, rows[i - 1]);
}

static const struct store_usage **row_list(const struct store_usage_page *page)
{
    const struct store_usage **rows = mem_array(page->count + 1, sizeof(*rows));

    for (size_t i = 0; i < page->count; i++)
        rows[i] = &page->rows[i];
    return rows;
}

/* ---- usage.cost ---- */

struct usage_cost {
    struct usage_range range;
};
static const struct field usage_cost_fields[] = {RANGE_FIELDS(usage_cost), F_END};
#define R_TOTALS                                                                                   \
    R_INT("input", REQUIRED), R_INT("output", REQUIRED), R_INT("cacheRead", REQUIRED),             \
        R_INT("cacheWrite", REQUIRED), R_INT("totalTokens", REQUIRED),                             \
        R_NUM("totalCost", REQUIRED), R_NUM("inputCost", OPTIONAL), R_NUM("outputCost", OPTIONAL), \
        R_NUM("cacheReadCost", OPTIONAL), R_NUM("cacheWriteCost", OPTIONAL),                       \
        R_INT("missingCostEntries", REQUIRED)
static const struct field totals_rows[] = {R_TOTALS, F_END};
static const struct field daily_rows[] = {R_STR("date", REQUIRED), R_TOTALS, F_END};
static const struct field usage_cost_reply[] = {
    R_INT("updatedAt", REQUIRED),
    R_INT("days", REQUIRED),
    R_STR("startDate", OPTIONAL),
    R_STR("endDate", OPTIONAL),
    R_OBJECTS("daily", REQUIRED, daily_rows),
    R_OBJECT("totals", REQUIRED, totals_rows),
    F_END,
};

static void cost_write(struct usage_read *read, struct json_writer *w)
{
    CLEAN(mem_free) const struct store_usage **rows = row_list(&read->page);
    struct usage_totals totals = {0};
    struct usage_groups days;

    groups_by_day(&days, rows, read->page.count);
    for (size_t i = 0; i < read->page.count; i++)
        usage_totals_add(&totals, rows[i]);
    jw_kint(w, "days", read->days);
    jw_kstr(w, "startDate", read->from);
    jw_kstr(w, "endDate", read->to);
    jw_karray(w, "daily");
    for (const struct usage_group *day = days.first; day; day = day->next) {
        jw_object(w);
        jw_kstr(w, "date", day->key);
        usage_totals_write(&day->totals, w);
        jw_object_end(w);
    }
    jw_array_end(w);
    jw_kobject(w, "totals");
    usage_totals_write(&totals, w);
    jw_object_end(w);
    usage_groups_done(&days);
}

static int usage_cost_run(struct call *call, const void *params)
{
    const struct usage_cost *p = params;

    return usage_start(call, &p->range, NULL, 0, cost_write);
}

/* ---- sessions.usage ---- */

struct sessions_usage {
    struct usage_range range;
    const char *key;
    int64_t limit;
};
static const struct field sessions_usage_fields[] = {
    RANGE_FIELDS(sessions_usage),
    K_STR(sessions_usage, "key", key, FIELD_NONEMPTY, KEY_CAP),
    K_INT(sessions_usage, "limit", limit, OPTIONAL, 1, 1e6, SESSIONS_DEFAULT),
    F_END,
};
static const struct field sessions_usage_reply[] = {
    R_INT("updatedAt", REQUIRED),
    R_STR("startDate", REQUIRED),
    R_STR("endDate", REQUIRED),
    R_ARRAY("sessions", REQUIRED),
    R_OBJECT("totals", REQUIRED, totals_rows),
    R_ANY("aggregates", REQUIRED),
    R_ARRAY("creatorOptions", OPTIONAL),
    F_END,
};

/* The rows of one session, oldest day first. */
struct usage_session {
    const struct store_usage *const *rows;
    size_t count;
    struct usage_totals totals;
};

static int compare_rows(const void *a, const void *b)
{
    const struct store_usage *one = *(const struct store_usage *const *)a;
    const struct store_usage *two = *(const struct store_usage *const *)b;
    int order = strcmp(one->session_key, two->session_key);

    return order ? order : strcmp(one->day, two->day);
}

static int compare_sessions(const void *a, const void *b)
{
    const struct usage_session *one = a, *two = b;

    return one->totals.last_at > two->totals.last_at   ? -1
           : one->totals.last_at < two->totals.last_at ? 1
                                                       : 0;
}

/* Newest first; rows must be in order of session. */
static struct usage_session *list_sessions(const struct store_usage *const *rows, size_t count,
                                           size_t *ret_count)
{
    struct usage_session *sessions = mem_array(count + 1, sizeof(*sessions));
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(rows[i]->session_key, rows[i - 1]->session_key) != 0)
            sessions[n++].rows = &rows[i];
        sessions[n - 1].count++;
        usage_totals_add(&sessions[n - 1].totals, rows[i]);
    }
    qsort(sessions, n, sizeof(*sessions), compare_sessions);
    *ret_count = n;
    return sessions;
}

static void label_model(const struct usage_group *group, struct json_writer *w)
{
    jw_kstr(w, "provider", group->sample->provider);
    jw_kstr(w, "model", group->sample->model);
}

static void label_provider(const struct usage_group *group, struct json_writer *w)
{
    jw_kstr(w, "provider", group->key);
}

static void label_agent(const struct usage_group *group, struct json_writer *w)
{
    jw_kstr(w, "agentId", group->key);
}

static void label_channel(const struct usage_group *group, struct json_writer *w)
{
    jw_kstr(w, "channel", group->key);
}

/* The groups of some rows by one member, written under that name. */
static void write_groups(const char *name, const struct store_usage *const *rows, size_t count,
                         void (*key)(struct gateway *, const struct store_usage *, struct buf *),
                         usage_label_fn *label, struct gateway *gw, struct json_writer *w)
{
    struct usage_groups groups;
    struct buf b;

    buf_init(&b, 4096);
    usage_groups_init(&groups);
    for (size_t i = 0; i < count; i++) {
        buf_clear(&b);
        key(gw, rows[i], &b);
        usage_groups_add(&groups, b.bad || !b.data ? "" : b.data, rows[i]);
    }
    jw_key(w, name);
    usage_groups_write(&groups, label, w);
    usage_groups_done(&groups);
    buf_done(&b);
}

static void key_model(struct gateway *gw, const struct store_usage *row, struct buf *b)
{
    (void)gw;
    buf_addf(b, "%s/%s", row->provider, row->model);
}

static void key_provider(struct gateway *gw, const struct store_usage *row, struct buf *b)
{
    (void)gw;
    buf_add_str(b, row->provider);
}

static void key_agent_of(struct gateway *gw, const struct store_usage *row, struct buf *b)
{
    (void)gw;
    buf_add_str(b, row->agent_id);
}

static void key_channel_of(struct gateway *gw, const struct store_usage *row, struct buf *b)
{
    const struct session *session = session_find(gw, row->session_key);

    buf_add_str(b, session ? session_text(session, "channel", "webchat") : "webchat");
}

/* [{date, tokens, cost, messages, toolCalls, errors, …}] */
static void write_days(const char *name, const struct store_usage *const *rows, size_t count,
                       struct json_writer *w)
{
    struct usage_groups days;

    usage_groups_init(&days);
    for (size_t i = 0; i < count; i++)
        usage_groups_add(&days, rows[i]->day, rows[i]);
    jw_karray(w, name);
    for (const struct usage_group *day = days.first; day; day = day->next) {
        jw_object(w);
        jw_kstr(w, "date", day->key);
        jw_kint(w, "tokens", usage_totals_tokens(&day->totals));
        jw_knum(w, "cost", usage_totals_cost(&day->totals));
        jw_kint(w, "messages", day->totals.asked + day->totals.answered + day->totals.tool_calls);
        jw_kint(w, "toolCalls", day->totals.tool_calls);
        jw_kint(w, "errors", day->totals.errors);
        usage_totals_write(&day->totals, w);
        jw_object_end(w);
    }
    jw_array_end(w);
    usage_groups_done(&days);
}

/* Which tools were called is not counted by name. */
static void write_tools(const struct usage_totals *totals, struct json_writer *w)
{
    jw_object(w);
    jw_kint(w, "totalCalls", totals->tool_calls);
    jw_kint(w, "uniqueTools", 0);
    jw_karray(w, "tools");
    jw_array_end(w);
    jw_object_end(w);
}

static void session_write(struct gateway *gw, const struct usage_session *u, struct json_writer *w)
{
    const char *key = u->rows[0]->session_key;
    const struct session *session = session_find(gw, key);

    jw_object(w);
    jw_kstr(w, "key", key);
    jw_kstr(w, "agentId", u->rows[0]->agent_id);
    jw_kstr(w, "scope", "instance");
    jw_kint(w, "updatedAt", session ? session->updated_at : u->totals.last_at);
    if (session) {
        jw_kstr(w, "label", session->label);
        jw_kstr(w, "sessionId", session->session_id);
        jw_kstr(w, "channel", session_text(session, "channel", NULL));
        jw_kstr(w, "chatType", session_text(session, "chatType", NULL));
        jw_kstr(w, "providerOverride", session_text(session, "providerOverride", NULL));
        jw_kstr(w, "modelOverride", session_text(session, "modelOverride", NULL));
    }
    jw_kstr(w, "modelProvider", u->rows[u->count - 1]->provider);
    jw_kstr(w, "model", u->rows[u->count - 1]->model);
    jw_kobject(w, "usage");
    jw_kint(w, "firstActivity", u->totals.first_at);
    jw_kint(w, "lastActivity", u->totals.last_at);
    jw_kint(w, "durationMs", u->totals.last_at - u->totals.first_at);
    usage_totals_write(&u->totals, w);
    write_days("dailyBreakdown", u->rows, u->count, w);
    write_groups("modelUsage", u->rows, u->count, key_model, label_model, gw, w);
    jw_key(w, "messageCounts");
    usage_messages_write(&u->totals, w);
    jw_key(w, "toolUsage");
    write_tools(&u->totals, w);
    jw_object_end(w);
    jw_object_end(w);
}

static void aggregates_write(struct gateway *gw, const struct store_usage *const *rows,
                             const struct store_usage *const *by_day, size_t count,
                             const struct usage_totals *totals, struct json_writer *w)
{
    jw_kobject(w, "aggregates");
    jw_key(w, "messages");
    usage_messages_write(totals, w);
    jw_key(w, "tools");
    write_tools(totals, w);
    write_groups("byModel", rows, count, key_model, label_model, gw, w);
    write_groups("byProvider", rows, count, key_provider, label_provider, gw, w);
    write_groups("byAgent", rows, count, key_agent_of, label_agent, gw, w);
    write_groups("byChannel", rows, count, key_channel_of, label_channel, gw, w);
    write_days("daily", by_day, count, w);
    jw_object_end(w);
}

static void sessions_write(struct usage_read *read, struct json_writer *w)
{
    size_t count = read->page.count, sessions = 0;
    CLEAN(mem_free) const struct store_usage **rows = row_list(&read->page);
    CLEAN(mem_free) const struct store_usage **by_day = mem_array(count + 1, sizeof(*by_day));
    struct gateway *gw = call_gateway(read->call);
    struct usage_totals totals = {0};

    for (size_t i = 0; i < count; i++) {
        by_day[i] = rows[count - 1 - i];
        usage_totals_add(&totals, rows[i]);
    }
    qsort(rows, count, sizeof(*rows), compare_rows);
    CLEAN(mem_free) struct usage_session *list = list_sessions(rows, count, &sessions);
    jw_kstr(w, "startDate", read->from);
    jw_kstr(w, "endDate", read->to);
    jw_karray(w, "sessions");
    for (size_t i = 0; i < sessions && (int64_t)i < read->limit; i++)
        session_write(gw, &list[i], w);
    jw_array_end(w);
    jw_kobject(w, "totals");
    usage_totals_write(&totals, w);
    jw_object_end(w);
    aggregates_write(gw, rows, by_day, count, &totals, w);
    jw_karray(w, "creatorOptions");
    jw_array_end(w);
}

static int sessions_usage_run(struct call *call, const void *params)
{
    const struct sessions_usage *p = params;
    char key[SESSION_KEY_MAX + 1];
    struct fault fault = {0};

    if (p->key && session_canonical(call_gateway(call), p->key, p->range.agent_id, key, &fault) < 0)
        return call_fail_fault(call, &fault);
    return usage_start(call, &p->range, p->key ? key : NULL, p->limit, sessions_write);
}

/* ---- usage.status ---- */

static const struct field usage_status_reply[] = {R_INT("updatedAt", REQUIRED),
                                                  R_ARRAY("providers", REQUIRED), F_END};

/* How much of a subscription is left is known to no back end of ours: none is told. */
static int usage_status_run(struct call *call, const void *params)
{
    struct json_writer *w = call_reply(call);

    (void)params;
    jw_object(w);
    jw_kint(w, "updatedAt", loop_wall(call_gateway(call)->loop));
    jw_karray(w, "providers");
    jw_array_end(w);
    jw_object_end(w);
    return call_send(call);
}

/* clang-format off */
const struct method methods_usage[] = {
    M("usage.status", OPERATOR, READ, READ, no_params, usage_status_reply, usage_status_run),
    M("usage.cost", OPERATOR, READ, READ, usage_cost, usage_cost_reply, usage_cost_run),
    M("sessions.usage", OPERATOR, READ, READ, sessions_usage, sessions_usage_reply, sessions_usage_run),
    {0},
};
/* clang-format on */
