/* Sessions of requests that name none: each is one conversation of one request, so they would fill the table
 * in time. The newest stay for a person to look at, and for previous_response_id; what is older than a day, or
 * more than the table can spare, goes with its transcript. A session that somebody gave a label stays. */
#include "gateway/gateway.h"
#include "gateway/http/api_internal.h"
#include "gateway/http/internal.h"
#include "gateway/session/row.h"
#include "gateway/session/session.h"
#include "gateway/session/turn.h"

#define LOG_SUBSYSTEM "http"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>

#define KEPT_ALWAYS 500
#define KEPT_MOST   20000
#define KEPT_MS     (24 * 60 * 60 * 1000)
#define EVERY       64 /* requests between two looks; no more go in one */

static bool is_of_one_request(const struct session *session)
{
    static const char *const names[] = {"openai:", "openresponses:"};
    const char *rest = key_rest(session->key);

    for (size_t i = 0; i < COUNT(names); i++)
        if (strncmp(rest, names[i], strlen(names[i])) == 0)
            return !session->label;
    return false;
}

static bool may_go(struct gateway *gw, const struct session *session, size_t newer)
{
    int64_t age = loop_wall(gw->loop) - session->updated_at;

    return newer >= KEPT_ALWAYS && (age > KEPT_MS || newer >= KEPT_MOST) &&
           !turn_active(gw, session->key);
}

static void drop(struct gateway *gw, struct session *session, struct store_batch *batch)
{
    CLEAN(mem_free) char *key = mem_string(session->key);
    CLEAN(mem_free) char *agent_id = mem_string(session->agent_id);

    store_messages_drop(batch, session->session_id, INT64_MAX, false, loop_wall(gw->loop));
    session_remove(gw, session, batch);
    row_emit_removed(gw, batch, key, agent_id);
}

void api_sessions_trim(struct gateway *gw)
{
    struct session *going[EVERY];
    size_t newer = 0, count = 0, *since = web_since_trim(gw);

    if (++*since < EVERY)
        return;
    *since = 0;
    for (struct session *s = session_newest(gw); s; s = s->older) {
        if (!is_of_one_request(s))
            continue;
        if (may_go(gw, s, newer++))
            going[count++ % EVERY] = s; /* the oldest come last: those are kept here */
    }
    if (count == 0)
        return;
    struct store_batch *batch = store_batch(gw->store);
    size_t n = count < EVERY ? count : EVERY;
    for (size_t i = 0; i < n; i++)
        drop(gw, going[i], batch);
    store_commit(batch, NULL);
    log_info("%zu sessions of single API requests are past their time and were deleted", n);
}
