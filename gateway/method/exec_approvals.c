/* exec.approvals.get: what may run on the gateway host, in the shape of the file clients know. Here it is made of
 * the configuration (tools.exec) and of what people allowed for good. protocol.md 4.1. */
#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/method.h"
#include "gateway/tools/exec_policy.h"

#include <string.h>

#define FILE_MAX (4u << 20)

static void write_pattern(struct json_writer *w, const char *pattern, const char *source)
{
    jw_object(w);
    jw_kstr(w, "pattern", pattern);
    jw_kstr(w, "source", source);
    jw_object_end(w);
}

static void write_agent(struct gateway *gw, const char *agent_id, struct json_writer *w)
{
    struct exec_rules rules;

    exec_rules_of(gw, agent_id, /* session_key= */ NULL, &rules);
    jw_kobject(w, agent_id);
    jw_kstr(w, "security", exec_security_name(rules.security));
    jw_kstr(w, "ask", exec_ask_name(rules.ask));
    jw_karray(w, "allowlist");
    json_each (item, config_node(gw->config, "tools.exec.allowlist"))
        write_pattern(w, json_string(item, ""), NULL);
    json_each (item, exec_learned_list(gw))
        if (strcmp(json_string(json_get(item, "agentId"), ""), agent_id) == 0)
            write_pattern(w, json_string(json_get(item, "path"), ""), "allow-always");
    jw_array_end(w);
    jw_object_end(w);
}

/* Caller owns. */
static char *file_text(struct gateway *gw)
{
    struct json_writer w;
    struct buf b;

    buf_init(&b, FILE_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kint(&w, "version", 1);
    jw_kobject(&w, "agents");
    for (size_t i = 0; agent_at(gw, i); i++)
        write_agent(gw, agent_at(gw, i), &w);
    jw_object_end(&w);
    jw_object_end(&w);
    return buf_take(&b);
}

static int exec_approvals_get_run(struct call *call, const void *params)
{
    struct gateway *gw = call_gateway(call);
    CLEAN(mem_free) char *file = file_text(gw);
    char hash[SHA256_HEX];
    struct exec_rules rules;

    (void)params;
    if (!file)
        return call_fail(call, WIRE_UNAVAILABLE, "the exec policy is too large to be shown");
    exec_rules_of(gw, agent_at(gw, 0), /* session_key= */ NULL, &rules);
    crypto_sha256_hex(file, strlen(file), hash);
    struct json_writer *w = call_reply(call);
    jw_object(w);
    jw_kstr(w, "path", config_path(gw->config));
    jw_kbool(w, "exists", true);
    jw_kstr(w, "hash", hash);
    jw_key(w, "file");
    jw_raw(w, file, strlen(file));
    if (call_version(call) >= 4) {
        jw_kobject(w, "resolvedDefaults");
        jw_kstr(w, "security", exec_security_name(rules.security));
        jw_kstr(w, "ask", exec_ask_name(rules.ask));
        jw_kstr(w, "askFallback", "deny"); /* nobody answered */
        jw_kbool(w, "autoAllowSkills", false);
        jw_object_end(w);
    }
    jw_object_end(w);
    return call_send(call);
}

static const struct field pattern_rows[] = {R_STR("pattern", REQUIRED), R_STR("source", OPTIONAL),
                                            F_END};
static const struct field agent_rows[] = {
    R_STR("security", REQUIRED),
    R_STR("ask", REQUIRED),
    R_OBJECTS("allowlist", REQUIRED, pattern_rows),
    F_END,
};
static const struct field agent_value[] = {R_OBJECT("", REQUIRED, agent_rows), F_END};
static const struct field file_rows[] = {R_INT("version", REQUIRED),
                                         R_MAP("agents", REQUIRED, agent_value), F_END};
static const struct field defaults_rows[] = {
    R_STR("security", REQUIRED),
    R_STR("ask", REQUIRED),
    R_STR("askFallback", REQUIRED),
    R_BOOL("autoAllowSkills", REQUIRED),
    F_END,
};
static const struct field exec_approvals_reply[] = {
    R_STR("path", REQUIRED),
    R_BOOL("exists", REQUIRED),
    R_STR("hash", REQUIRED),
    R_OBJECT("file", REQUIRED, file_rows),
    R_OBJECT("resolvedDefaults", OPTIONAL, defaults_rows),
    F_END,
};

const struct method methods_exec_approvals[] = {
    M("exec.approvals.get", OPERATOR, ADMIN, ADMIN, no_params, exec_approvals_reply,
      exec_approvals_get_run),
    {0},
};
