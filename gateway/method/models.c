/* models.list and models.authStatus. protocol.md 4.1, 4.3. */
#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/method.h"
#include "gateway/model/model.h"

#define LOOK_MS 5000 /* models.list with refresh waits so long */

static const char *const models_views[] = {"default", "configured", "provider-config", "all", NULL};

struct models_list {
    const char *agent_id;
    int view;
    bool refresh, prepared_only, include_provider_capabilities;
};
static const struct field models_list_fields[] = {
    F_STR_K(models_list, "agentId", agent_id, OPTIONAL, 128),
    F_ENUM(models_list, view, OPTIONAL, models_views, 0),
    F_BOOL(models_list, refresh, OPTIONAL, false),
    F_END,
};
static const struct field thinking_rows[] = {
    R_STR("id", REQUIRED),
    R_STR("label", REQUIRED),
    F_END,
};
static const struct field model_rows[] = {
    R_STR("id", REQUIRED),
    R_STR("name", REQUIRED),
    R_STR("provider", REQUIRED),
    R_STR("alias", OPTIONAL),
    R_BOOL("available", OPTIONAL),
    R_STR("unavailableReason", OPTIONAL),
    R_INT("contextWindow", OPTIONAL),
    R_BOOL("local", OPTIONAL),
    R_BOOL("reasoning", OPTIONAL),
    R_OBJECTS("thinkingLevels", OPTIONAL, thinking_rows),
    R_STR("thinkingDefault", OPTIONAL),
    R_STRS("input", OPTIONAL),
    R_STRS("tags", OPTIONAL),
    F_END,
};
static const struct field models_list_reply[] = {
    R_OBJECTS("models", REQUIRED, model_rows),
    F_END,
};

/* Every view is the same list: what is configured, and what answers on this machine, is all we can reach. */
static int models_list_send(struct call *call)
{
    struct json_writer *w = call_reply(call);

    jw_object(w);
    jw_key(w, "models");
    models_write(call_gateway(call), w);
    jw_object_end(w);
    return call_send(call);
}

/* A list that waits for a fresh look at this machine. */
struct models_look {
    struct models_refresh refresh;
    struct call *call;
};

static void models_look_done(struct op *op, int result)
{
    struct models_look *look = CONTAINER(op, struct models_look, refresh.op);
    struct call *call = look->call;

    mem_free(look);
    call_on_gone(call, NULL, NULL);
    if (result == -ERR_CANCELLED)
        (void)call_fail(call, WIRE_UNAVAILABLE, "nobody waits for this list any more");
    else
        (void)models_list_send(call); /* a look that takes too long goes on without us */
}

static void models_look_gone(void *arg)
{
    struct models_look *look = arg;

    op_cancel(&look->refresh.op);
}

static int models_list_run(struct call *call, const void *params)
{
    const struct models_list *p = params;
    struct models_look *look;

    if (!p->refresh)
        return models_list_send(call);
    look = NEW(struct models_look);
    look->call = call;
    op_init(&look->refresh.op, call_gateway(call)->loop, models_look_done, LOOK_MS);
    call_on_gone(call, models_look_gone, look);
    models_refresh(call_gateway(call), &look->refresh);
    return 0;
}

static const struct field auth_key_rows[] = {
    R_STR("source", REQUIRED),
    R_STR("envVar", OPTIONAL),
    F_END,
};
static const struct field auth_rows[] = {
    R_STR("provider", REQUIRED),
    R_STR("authProvider", REQUIRED),
    R_STR("displayName", REQUIRED),
    R_STR("status", REQUIRED),
    R_ARRAY("profiles", REQUIRED),
    R_OBJECT("apiKey", OPTIONAL, auth_key_rows),
    F_END,
};
static const struct field models_auth_reply[] = {
    R_INT("ts", REQUIRED),
    R_OBJECTS("providers", REQUIRED, auth_rows),
    F_END,
};

static int models_auth_run(struct call *call, const void *params)
{
    (void)params;
    models_write_auth(call_gateway(call), call_reply(call));
    return call_send(call);
}

extern const struct method methods_models[];
const struct method methods_models[] = {
    M("models.list", OPERATOR, READ, READ, models_list, models_list_reply, models_list_run),
    M("models.authStatus", OPERATOR, READ, READ, no_params, models_auth_reply, models_auth_run),
    {0},
};
