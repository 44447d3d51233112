/* Sessions of single API requests do not fill the table. */
#include "base/mem.h"
#include "gateway/http/api_internal.h"
#include "gateway/session/session.h"
#include "tests/rig/rig.h"

#define DAY_MS (24LL * 60 * 60 * 1000)

static void put(struct rig *g, const char *name, const char *label)
{
    struct store_batch *batch = store_batch(g->gw->store);
    CLEAN(mem_free) char *key = mem_format("agent:main:%s", name);
    struct session *session = session_ensure(g->gw, key, NULL);

    session->label = mem_string(label);
    session_put(g->gw, session, batch, true);
    store_commit(batch, NULL);
}

/* As if so many requests had come. */
static void requests(struct rig *g, int count)
{
    while (count-- > 0)
        api_sessions_trim(g->gw);
}

static bool is_there(struct rig *g, const char *key)
{
    return session_find(g->gw, key) != NULL;
}

T(old_sessions_of_single_requests_go_and_nothing_else)
{
    struct rig *g = rig_new(NULL);

    put(g, "openai:named", "keep me");
    put(g, "openai-user:ann", NULL);
    put(g, "thread", NULL);
    for (int i = 0; i < 600; i++) {
        CLEAN(mem_free) char *name = mem_format("%s:%d", i % 2 ? "openai" : "openresponses", i);
        put(g, name, NULL);
    }
    rig_advance(g, 1000);
    requests(g, 64);
    t_eq(session_count(g->gw), 603); /* none is a day old */

    rig_advance(g, DAY_MS);
    requests(g, 63);
    t_eq(session_count(g->gw), 603);
    requests(g, 1);
    t_eq(session_count(g->gw), 603 - 64);
    requests(g, 640);
    t_eq(session_count(g->gw), 503); /* the newest 500 stay */
    t_ok(is_there(g, "agent:main:openai:599") && !is_there(g, "agent:main:openai:1"));
    t_ok(is_there(g, "agent:main:openai:named"));
    t_ok(is_there(g, "agent:main:openai-user:ann") && is_there(g, "agent:main:thread"));
    rig_free(g);
}
