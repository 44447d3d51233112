/* The gateway as a machine among machines: update.status, environments.list, diagnostics.lanes.
 * protocol.md 4.3. */
#include "gateway/config/config.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/method.h"
#include "gateway/session/turn.h"

#include <limits.h>
#include <unistd.h>

/* ---- update.status ---- */

/* Whoever installed it updates it: there is nothing that looks for a newer one. */
static int update_status_run(struct call *call, const void *params)
{
    struct json_writer *w = call_reply(call);

    (void)params;
    jw_object(w);
    jw_key(w, "sentinel");
    jw_null(w);
    jw_key(w, "updateAvailable");
    jw_null(w);
    jw_kstr(w, "effectiveChannel", "stable");
    jw_kobject(w, "schedule");
    jw_kstr(w, "channel", "stable");
    jw_kbool(w, "autoEnabled", false);
    jw_object_end(w);
    jw_object_end(w);
    return call_send(call);
}

static const struct field schedule_rows[] = {R_STR("channel", REQUIRED),
                                             R_BOOL("autoEnabled", REQUIRED), F_END};
static const struct field update_reply[] = {
    R_OBJECT("sentinel", FIELD_NULLABLE, no_params_fields),
    R_OBJECT("updateAvailable", FIELD_NULLABLE, no_params_fields),
    R_STR("effectiveChannel", REQUIRED),
    R_OBJECT("schedule", REQUIRED, schedule_rows),
    F_END,
};

/* ---- environments.list ---- */

static int environments_list_run(struct call *call, const void *params)
{
    char name[HOST_NAME_MAX + 1] = "";
    struct json_writer *w = call_reply(call);

    (void)params;
    if (gethostname(name, sizeof(name) - 1) < 0 || !name[0])
        name[0] = '?';
    jw_object(w);
    jw_karray(w, "environments");
    jw_object(w);
    jw_kstr(w, "id", "gateway");
    jw_kstr(w, "type", "local");
    jw_kstr(w, "label", name);
    jw_kstr(w, "status", "available");
    jw_kstr(w, "platform", "linux");
    jw_kbool(w, "sessionHost", true);
    jw_object_end(w);
    jw_array_end(w);
    jw_object_end(w);
    return call_send(call);
}

static const struct field environment_rows[] = {
    R_STR("id", REQUIRED),
    R_STR("type", REQUIRED),
    R_STR("label", OPTIONAL),
    R_STR("status", REQUIRED),
    R_STR("platform", OPTIONAL),
    R_BOOL("sessionHost", OPTIONAL),
    F_END,
};
static const struct field environments_reply[] = {
    R_OBJECTS("environments", REQUIRED, environment_rows), F_END};

/* ---- diagnostics.lanes ---- */

/* Sessions are lanes of their own; what they share is the number of turns that may run at once. */
static int diagnostics_lanes_run(struct call *call, const void *params)
{
    struct gateway *gw = call_gateway(call);
    int64_t active = (int64_t)turn_count(gw), queued = (int64_t)turn_waiting(gw);
    int64_t most = config_int(gw->config, KNOB_agent_concurrency);
    struct json_writer *w = call_reply(call);

    (void)params;
    jw_object(w);
    jw_kint(w, "ts", loop_wall(gw->loop));
    jw_karray(w, "lanes");
    jw_object(w);
    jw_kstr(w, "lane", "main");
    jw_kint(w, "activeCount", active);
    jw_kint(w, "queuedCount", queued);
    jw_kint(w, "maxConcurrent", most);
    jw_kbool(w, "draining", gw->stopping);
    jw_kint(w, "generation", 0);
    jw_key(w, "blockedBy");
    if (queued > 0 && active >= most)
        jw_str(w, "lane");
    else
        jw_null(w);
    jw_object_end(w);
    jw_array_end(w);
    jw_key(w, "dynamic");
    jw_null(w);
    jw_object_end(w);
    return call_send(call);
}

static const struct field lane_rows[] = {
    R_STR("lane", REQUIRED),
    R_INT("activeCount", REQUIRED),
    R_INT("queuedCount", REQUIRED),
    R_INT("maxConcurrent", REQUIRED),
    R_BOOL("draining", REQUIRED),
    R_INT("generation", REQUIRED),
    R_STR("blockedBy", FIELD_NULLABLE),
    F_END,
};
static const struct field lanes_reply[] = {
    R_INT("ts", REQUIRED),
    R_OBJECTS("lanes", REQUIRED, lane_rows),
    R_OBJECT("dynamic", FIELD_NULLABLE, no_params_fields),
    F_END,
};

const struct method methods_host[] = {
    M("update.status", OPERATOR, ADMIN, ADMIN, no_params, update_reply, update_status_run),
    M("environments.list", OPERATOR, READ, READ, no_params, environments_reply,
      environments_list_run),
    M("diagnostics.lanes", OPERATOR, READ, READ, no_params, lanes_reply, diagnostics_lanes_run),
    {0},
};
