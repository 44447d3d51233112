/* The rules of exec in one place. A shell is never trusted by a list: its arguments are the program. */
#include "gateway/tools/exec_policy.h"

#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"
#include "gateway/session/session.h"
#include "gateway/tools/call.h"
#include "gateway/tools/pattern.h"

#include <string.h>

#define LEARNED_KEY "exec.allowed"

static const char *const security_names[] = {
    [EXEC_DENY] = "deny", [EXEC_ALLOWLIST] = "allowlist", [EXEC_FULL] = "full"};
static const char *const ask_names[] = {
    [EXEC_ASK_OFF] = "off", [EXEC_ASK_ON_MISS] = "on-miss", [EXEC_ASK_ALWAYS] = "always"};

/* tools.exec.mode says both at once. "auto" is "ask" here: there is no reviewer but people. */
static const struct {
    const char *name;
    enum exec_security security;
    enum exec_ask ask;
} modes[] = {
    {"deny", EXEC_DENY, EXEC_ASK_OFF},         {"allowlist", EXEC_ALLOWLIST, EXEC_ASK_OFF},
    {"ask", EXEC_ALLOWLIST, EXEC_ASK_ON_MISS}, {"auto", EXEC_ALLOWLIST, EXEC_ASK_ON_MISS},
    {"full", EXEC_FULL, EXEC_ASK_OFF},
};

const char *exec_security_name(enum exec_security security)
{
    return security_names[security];
}

const char *exec_ask_name(enum exec_ask ask)
{
    return ask_names[ask];
}

static void apply(struct exec_rules *rules, const char *mode, const char *security, const char *ask)
{
    for (size_t i = 0; security && i < COUNT(security_names); i++) {
        if (strcmp(security_names[i], security) == 0)
            rules->security = (enum exec_security)i;
    }
    for (size_t i = 0; ask && i < COUNT(ask_names); i++) {
        if (strcmp(ask_names[i], ask) == 0)
            rules->ask = (enum exec_ask)i;
    }
    for (size_t i = 0; mode && i < COUNT(modes); i++) {
        if (strcmp(modes[i].name, mode) == 0) {
            rules->security = modes[i].security;
            rules->ask = modes[i].ask;
        }
    }
}

/* A session's own words, where they are stricter. */
static void tighten(struct exec_rules *rules, const struct session *session)
{
    struct exec_rules wish = *rules;

    apply(&wish, NULL, session_text(session, "execSecurity", NULL),
          session_text(session, "execAsk", NULL));
    if (wish.security < rules->security)
        rules->security = wish.security;
    if (wish.ask > rules->ask)
        rules->ask = wish.ask;
}

void exec_rules_of(struct gateway *gw, const char *agent_id, const char *session_key,
                   struct exec_rules *ret)
{
    const struct json *own = json_path(agent_node(gw, agent_id), "tools.exec");
    const struct session *session = session_key ? session_find(gw, session_key) : NULL;

    *ret = (struct exec_rules){.security = EXEC_DENY, .ask = EXEC_ASK_ON_MISS};
    apply(ret, config_str(gw->config, KNOB_exec_mode), config_str(gw->config, KNOB_exec_security),
          config_str(gw->config, KNOB_exec_ask));
    apply(ret, json_string(json_get(own, "mode"), NULL),
          json_string(json_get(own, "security"), NULL), json_string(json_get(own, "ask"), NULL));
    ret->closed = ret->security == EXEC_ALLOWLIST && ret->ask == EXEC_ASK_OFF;
    if (session)
        tighten(ret, session);
    ret->timeout_ms = 1000 * json_integer(json_get(own, "timeoutSeconds"),
                                          config_int(gw->config, KNOB_exec_timeout_s));
}

/* ---- lists ---- */

static bool configured(struct gateway *gw, const struct exec_plan *plan)
{
    json_each (item, config_node(gw->config, "tools.exec.allowlist")) {
        const char *entry = json_string(item, "");

        if (entry[0] == '/' && pattern_fits_path(entry, plan->resolved))
            return true;
    }
    return false;
}

static bool learned(struct gateway *gw, const char *agent_id, const struct exec_plan *plan)
{
    json_each (item, gw->tools->exec_learned) {
        if (strcmp(json_string(json_get(item, "agentId"), ""), agent_id) == 0 &&
            strcmp(json_string(json_get(item, "path"), ""), plan->resolved) == 0)
            return true;
    }
    return false;
}

bool exec_may_learn(const struct exec_plan *plan)
{
    return !plan->shell && !plan->editable && !exec_is_interpreter(plan->argv[0]) &&
           !exec_is_interpreter(plan->resolved);
}

const struct json *exec_learned_list(const struct gateway *gw)
{
    return gw->tools->exec_learned;
}

struct json *exec_learned_load(struct gateway *gw)
{
    CLEAN(mem_free) char *text = gw->store ? store_meta_get(gw->store, LEARNED_KEY) : NULL;
    struct json *list = text ? json_parse(text, strlen(text), NULL) : NULL;

    return list ? list : json_new_array();
}

void exec_learn(struct gateway *gw, const char *agent_id, const struct exec_plan *plan)
{
    struct json *list = gw->tools->exec_learned, *row, *kept;
    struct store_batch *batch;

    if (!exec_may_learn(plan) || learned(gw, agent_id, plan))
        return;
    row = json_new_object();
    json_put(row, "agentId", json_new_string(agent_id));
    json_put(row, "path", json_new_string(plan->resolved));
    json_put(row, "at", json_new_number((double)loop_wall(gw->loop)));
    json_append(list, row);
    if (json_count(list) > EXEC_LEARNED_MAX) {
        kept = json_new_array();
        for (const struct json *item = json_next(json_first(list)); item; item = json_next(item))
            json_append(kept, json_copy(item));
        json_free(list);
        gw->tools->exec_learned = kept;
    }
    CLEAN(mem_free) char *text = json_print(gw->tools->exec_learned, false);
    batch = store_batch(gw->store);
    store_meta_put(batch, LEARNED_KEY, text);
    store_commit(batch, NULL);
}

/* ---- the decision ---- */

/* What was learned is asked again, by today's rules, and says nothing about variables of the call. */
static bool trusted_by(struct gateway *gw, const char *agent_id, const struct exec_plan *plan)
{
    if (plan->shell)
        return false;
    return configured(gw, plan) ||
           (exec_may_learn(plan) && json_count(plan->env) == 0 && learned(gw, agent_id, plan));
}

enum exec_verdict exec_decide(struct gateway *gw, const char *agent_id, const char *session_key,
                              const struct exec_plan *plan, struct fault *reterr_fault)
{
    struct exec_rules rules;
    bool trusted;

    exec_rules_of(gw, agent_id, session_key, &rules);
    trusted = trusted_by(gw, agent_id, plan);
    if (rules.security == EXEC_DENY) {
        fault_set(
            reterr_fault, -ERR_DENIED,
            "exec is not permitted: tools.exec.security or the session's execSecurity is \"deny\"");
        return EXEC_REFUSE;
    }
    if (rules.ask == EXEC_ASK_ALWAYS && (trusted || !rules.closed))
        return EXEC_ASK;
    if (rules.security == EXEC_FULL || trusted)
        return EXEC_RUN;
    if (rules.ask == EXEC_ASK_ON_MISS && !rules.closed)
        return EXEC_ASK;
    fault_set(
        reterr_fault, -ERR_DENIED,
        plan->shell
            ? "this command needs a shell, which no allowlist can permit; use a plain command "
              "without pipes, redirections, variables and patterns"
            : "%.200s is not on the list of programs that may run "
              "(tools.exec.allowlist), and nobody may be asked (tools.exec.ask is \"off\")",
        plan->resolved);
    return EXEC_REFUSE;
}
