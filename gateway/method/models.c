/* models.list and models.authStatus. protocol.md 4.1, 4.3. */
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/method.h"
#include "gateway/model/model.h"

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
    R_STRS("input", OPTIONAL),
    R_STRS("tags", OPTIONAL),
    F_END,
};
static const struct field models_list_reply[] = {
    R_OBJECTS("models", REQUIRED, model_rows),
    F_END,
};

/* Every view is the same list: what is configured is all we can reach. */
static int models_list_run(struct call *call, const void *params)
{
    struct json_writer *w = call_reply(call);

    (void)params;
    jw_object(w);
    jw_key(w, "models");
    models_write(call_gateway(call), w);
    jw_object_end(w);
    return call_send(call);
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
