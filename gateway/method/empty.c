/* Lists the published clients ask for before they work at all, of subsystems that hold nothing yet:
 * truly empty, not invented. A subsystem that lands takes its row away from here. protocol.md 4.3, 4.4. */
#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/method.h"

#include <string.h>

static int reply(struct call *call, const char *json)
{
    return call_reply_text(call, json, strlen(json));
}

/* The handlers whose answer has nothing of the moment in it. */
#define SAYS(run, json)                                                                            \
    static int run(struct call *call, const void *params)                                          \
    {                                                                                              \
        (void)params;                                                                              \
        return reply(call, json);                                                                  \
    }
#define NO_PAGE(name)                                                                              \
    "{\"" name "\":[],\"total\":0,\"offset\":0,\"hasMore\":false,\"nextOffset\":null}"

/* clang-format off */
SAYS(no_records_run,       "[]")
SAYS(no_questions_run,     "{\"questions\":[]}")
SAYS(no_suggestions_run,   "{\"suggestions\":[]}")
SAYS(no_groups_run,        "{\"groups\":[],\"sectionOrder\":[]}")
SAYS(no_catalogs_run,      "{\"catalogs\":[]}")
SAYS(no_node_requests_run, "{\"pending\":[],\"paired\":[]}")
SAYS(no_senders_run,       "{\"accounts\":[],\"requests\":[],\"commandOwnerConfigured\":false,\"limits\":{\"pendingPerAccount\":0,\"ttlMs\":0}}")
SAYS(no_jobs_run,          NO_PAGE("jobs"))
SAYS(no_runs_run,          NO_PAGE("entries"))
SAYS(no_cron_run,          "{\"enabled\":false,\"jobs\":0,\"nextWakeAtMs\":null}")
SAYS(no_tasks_run,         "{\"tasks\":[]}")
SAYS(no_artifacts_run,     "{\"artifacts\":[]}")
SAYS(no_branches_run,      "{\"branches\":[]}")
SAYS(no_exchanges_run,     "{\"exchanges\":[]}")
SAYS(no_card_run,          "{\"card\":null}")
SAYS(no_voices_run,        "{\"modes\":[],\"transports\":[],\"brains\":[],\"speech\":{\"providers\":[]},\"transcription\":{\"providers\":[]},\"realtime\":{\"providers\":[]}}")
SAYS(no_plugins_run,       "{\"plugins\":[],\"diagnostics\":[],\"mutationAllowed\":false}")
SAYS(no_library_run,       "{\"entries\":[],\"profileId\":null,\"multipleProfiles\":false,\"defaultTarget\":\"workspace\",\"canManageWorkspace\":false,\"defaultSelectionLimit\":0}")
/* People are devices here: nobody has a profile that preferences could be kept for. */
SAYS(no_profile_run,       "{\"status\":\"no_durable_identity\"}")
/* clang-format on */

static int no_skills_run(struct call *call, const void *params)
{
    struct gateway *gw = call_gateway(call);
    CLEAN(mem_free) char *workspace = agent_workspace_path(gw, agent_at(gw, 0));
    CLEAN(mem_free) char *managed = mem_format("%s/skills", gw->state_dir);
    struct json_writer *w = call_reply(call);

    (void)params;
    jw_object(w);
    jw_kstr(w, "workspaceDir", workspace);
    jw_kstr(w, "managedSkillsDir", managed);
    jw_karray(w, "skills");
    jw_array_end(w);
    jw_object_end(w);
    return call_send(call);
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

static const struct field limits_reply[] = {R_INT("pendingPerAccount", REQUIRED),
                                            R_INT("ttlMs", REQUIRED), F_END};
static const struct field senders_reply[] = {
    R_ARRAY("accounts", REQUIRED),
    R_ARRAY("requests", REQUIRED),
    R_BOOL("commandOwnerConfigured", REQUIRED),
    R_OBJECT("limits", REQUIRED, limits_reply),
    F_END,
};
#define PAGE_ROWS(name)                                                                            \
    {                                                                                              \
        R_ARRAY(name, REQUIRED), R_INT("total", REQUIRED), R_INT("offset", REQUIRED),              \
            R_BOOL("hasMore", REQUIRED), R_INT("nextOffset", FIELD_NULLABLE), F_END                \
    }
static const struct field jobs_reply[] = PAGE_ROWS("jobs");
static const struct field runs_reply[] = PAGE_ROWS("entries");
static const struct field cron_reply[] = {R_BOOL("enabled", REQUIRED), R_INT("jobs", REQUIRED),
                                          R_INT("nextWakeAtMs", FIELD_NULLABLE), F_END};
static const struct field tasks_reply[] = {R_ARRAY("tasks", REQUIRED), F_END};
static const struct field artifacts_reply[] = {R_ARRAY("artifacts", REQUIRED), F_END};
static const struct field branches_reply[] = {R_ARRAY("branches", REQUIRED), F_END};
static const struct field exchanges_reply[] = {R_ARRAY("exchanges", REQUIRED), F_END};
static const struct field card_reply[] = {R_OBJECT("card", FIELD_NULLABLE, no_params_fields),
                                          F_END};
static const struct field providers_reply[] = {R_ARRAY("providers", REQUIRED), F_END};
static const struct field voices_reply[] = {
    R_STRS("modes", REQUIRED),
    R_STRS("transports", REQUIRED),
    R_STRS("brains", REQUIRED),
    R_OBJECT("speech", REQUIRED, providers_reply),
    R_OBJECT("transcription", REQUIRED, providers_reply),
    R_OBJECT("realtime", REQUIRED, providers_reply),
    F_END,
};
static const struct field plugins_reply[] = {R_ARRAY("plugins", REQUIRED),
                                             R_ARRAY("diagnostics", REQUIRED),
                                             R_BOOL("mutationAllowed", REQUIRED), F_END};
static const struct field library_reply[] = {
    R_ARRAY("entries", REQUIRED),
    R_STR("profileId", FIELD_NULLABLE),
    R_BOOL("multipleProfiles", REQUIRED),
    R_STR("defaultTarget", REQUIRED),
    R_BOOL("canManageWorkspace", REQUIRED),
    R_INT("defaultSelectionLimit", REQUIRED),
    F_END,
};
static const struct field profile_reply[] = {R_STR("status", REQUIRED), F_END};
static const struct field skills_reply[] = {R_STR("workspaceDir", REQUIRED),
                                            R_STR("managedSkillsDir", REQUIRED),
                                            R_ARRAY("skills", REQUIRED), F_END};

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
    M("channels.pairing.list", OPERATOR, PAIRING, PAIRING, no_params, senders_reply,
      no_senders_run),
    M("cron.list", OPERATOR, READ, READ, no_params, jobs_reply, no_jobs_run),
    M("cron.runs", OPERATOR, READ, READ, no_params, runs_reply, no_runs_run),
    M("cron.status", OPERATOR, READ, READ, no_params, cron_reply, no_cron_run),
    M("tasks.list", OPERATOR, READ, READ, no_params, tasks_reply, no_tasks_run),
    M("artifacts.list", OPERATOR, READ, READ, no_params, artifacts_reply, no_artifacts_run),
    M("sessions.branches.list", OPERATOR, READ, READ, no_params, branches_reply, no_branches_run),
    M("sessions.companion.state", OPERATOR, READ, READ, no_params, exchanges_reply,
      no_exchanges_run),
    M("progressCard.get", OPERATOR, READ, READ, no_params, card_reply, no_card_run),
    M("talk.catalog", OPERATOR, READ, READ, no_params, voices_reply, no_voices_run),
    M("plugins.list", OPERATOR, READ, READ, no_params, plugins_reply, no_plugins_run),
    M("skills.status", OPERATOR, READ, READ, no_params, skills_reply, no_skills_run),
    M("skills.library.list", OPERATOR, READ, READ, no_params, library_reply, no_library_run),
    M("users.prefs.get", OPERATOR, READ, READ, no_params, profile_reply, no_profile_run),
    {0},
};
