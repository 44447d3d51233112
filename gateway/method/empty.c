/* Lists the published clients ask for before they work at all, of subsystems that hold nothing yet:
 * truly empty, not invented. A subsystem that lands takes its row away from here. protocol.md 4.3, 4.4. */
#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/method.h"

#include <string.h>

static int reply(struct call *call, const char *json)
{
    return call_reply_text(call, json, strlen(json));
}

static int no_records_run(struct call *call, const void *params)
{
    (void)params;
    return reply(call, "[]");
}

static int no_questions_run(struct call *call, const void *params)
{
    (void)params;
    return reply(call, "{\"questions\":[]}");
}

static int no_suggestions_run(struct call *call, const void *params)
{
    (void)params;
    return reply(call, "{\"suggestions\":[]}");
}

static int no_groups_run(struct call *call, const void *params)
{
    (void)params;
    return reply(call, "{\"groups\":[],\"sectionOrder\":[]}");
}

static int no_catalogs_run(struct call *call, const void *params)
{
    (void)params;
    return reply(call, "{\"catalogs\":[]}");
}

static int no_node_requests_run(struct call *call, const void *params)
{
    (void)params;
    return reply(call, "{\"pending\":[],\"paired\":[]}");
}

static int no_nodes_run(struct call *call, const void *params)
{
    struct json_writer *w = call_reply(call);

    (void)params;
    jw_object(w);
    jw_kint(w, "ts", loop_wall(call_gateway(call)->loop));
    jw_karray(w, "nodes");
    jw_array_end(w);
    jw_object_end(w);
    return call_send(call);
}

static int no_channels_run(struct call *call, const void *params)
{
    struct json_writer *w = call_reply(call);

    (void)params;
    jw_object(w);
    jw_kint(w, "ts", loop_wall(call_gateway(call)->loop));
    jw_karray(w, "channelOrder");
    jw_array_end(w);
    for (size_t i = 0; i < 4; i++) {
        static const char *const maps[] = {"channelLabels", "channels", "channelAccounts",
                                           "channelDefaultAccountId"};
        jw_kobject(w, maps[i]);
        jw_object_end(w);
    }
    jw_object_end(w);
    return call_send(call);
}

static const struct field questions_reply[] = {R_ARRAY("questions", REQUIRED), F_END};
static const struct field suggestions_reply[] = {R_ARRAY("suggestions", REQUIRED), F_END};
static const struct field groups_reply[] = {R_ARRAY("groups", REQUIRED),
                                            R_STRS("sectionOrder", REQUIRED), F_END};
static const struct field catalogs_reply[] = {R_ARRAY("catalogs", REQUIRED), F_END};
static const struct field node_requests_reply[] = {R_ARRAY("pending", REQUIRED),
                                                   R_ARRAY("paired", REQUIRED), F_END};
static const struct field nodes_reply[] = {R_INT("ts", REQUIRED), R_ARRAY("nodes", REQUIRED),
                                           F_END};
static const struct field channels_reply[] = {
    R_INT("ts", REQUIRED),
    R_STRS("channelOrder", REQUIRED),
    R_MAP("channelLabels", REQUIRED, NULL),
    R_MAP("channels", REQUIRED, NULL),
    R_MAP("channelAccounts", REQUIRED, NULL),
    R_MAP("channelDefaultAccountId", REQUIRED, NULL),
    F_END,
};

#define BARE_ARRAY                                                                                 \
    {                                                                                              \
        .kind = FIELD_ARRAY                                                                        \
    }

const struct method methods_empty[] = {
    M_SHAPE("plugin.approval.list", OPERATOR, APPROVALS, APPROVALS, no_params, BARE_ARRAY,
            no_records_run),
    M_SHAPE("openclaw.approval.list", OPERATOR, APPROVALS, APPROVALS, no_params, BARE_ARRAY,
            no_records_run),
    M("question.list", OPERATOR, APPROVALS, QUESTIONS, no_params, questions_reply,
      no_questions_run),
    M("taskSuggestions.list", OPERATOR, READ, READ, no_params, suggestions_reply,
      no_suggestions_run),
    M("sessions.groups.list", OPERATOR, READ, READ, no_params, groups_reply, no_groups_run),
    M("sessions.catalog.list", OPERATOR, READ, READ, no_params, catalogs_reply, no_catalogs_run),
    M("node.pair.list", OPERATOR, PAIRING, PAIRING, no_params, node_requests_reply,
      no_node_requests_run),
    M("node.list", OPERATOR, READ, READ, no_params, nodes_reply, no_nodes_run),
    M("channels.status", OPERATOR, READ, READ, no_params, channels_reply, no_channels_run),
    {0},
};
