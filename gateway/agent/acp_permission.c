/* session/request_permission, and fs/write_text_file, which is asked for as if it were one: decided by the policy, or by a person through an approval. The person's three
 * answers are mapped to the options the program offers; what it does not offer is never chosen for them.
 *
 * Policy: the session's execSecurity and execAsk where they are set, else permissionMode.
 * Owns: the requests that wait, each with its approval. */
#include "gateway/agent/acp.h"

#define LOG_SUBSYSTEM "acp"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"
#include "gateway/pairing/approval.h"

#include <string.h>

#define OPTIONS_MAX    32
#define TITLE_SHOWN    4096  /* bytes of a call's title that a person is shown */
#define INPUT_SHOWN    32768 /* likewise of its arguments */
#define WRITE_PATH_MAX 2048  /* of a file to be written; it is shown whole */

enum option { ALLOW_ONCE, ALLOW_ALWAYS, REJECT_ONCE, REJECT_ALWAYS, OPTION_COUNT };
static const char *const option_kinds[OPTION_COUNT] = {"allow_once", "allow_always", "reject_once",
                                                       "reject_always"};

struct acp_permission {
    struct acp_permission *next;
    struct acp_child *child;
    struct approval *approval;
    char *id;                    /* of the program's request, JSON text */
    char *options[OPTION_COUNT]; /* ids; NULL: not offered */
    struct json *call;
    struct json *write; /* the params of fs/write_text_file; NULL: it is a permission request */
};

#define WRITE_ALLOWED "allow" /* our own option, where the program offers none */
#define WRITE_DENIED  "deny"

enum verdict { VERDICT_ASK, VERDICT_ALLOW, VERDICT_REJECT };

static void permission_on_decided(void *arg, int result, enum approval_decision decision,
                                  const char *resolved_by);

/* ---- answers ---- */

static void permission_reply(struct acp_child *child, const char *id, const char *option)
{
    struct json_writer w;
    struct buf b;

    buf_init(&b, 65536);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kobject(&w, "outcome");
    jw_kstr(&w, "outcome", option ? "selected" : "cancelled");
    jw_kstr(&w, "optionId", option);
    jw_object_end(&w);
    jw_object_end(&w);
    (void)rpc_reply(&child->rpc, id, b.data); /* it has ended: nobody waits */
    buf_done(&b);
}

/* option NULL: cancelled, or nothing that was offered fits. */
static void permission_answer(const struct acp_permission *permission, const char *option)
{
    struct acp_child *child = permission->child;

    if (!permission->write)
        permission_reply(child, permission->id, option);
    else if (option && strcmp(option, WRITE_ALLOWED) == 0)
        acp_file_write(child, permission->id, permission->write);
    else
        (void)rpc_reply_error(&child->rpc, permission->id, RPC_INTERNAL,
                              "writing this file was not allowed");
}

static void permission_free(struct acp_permission *permission)
{
    struct acp_permission **slot = &permission->child->permissions;

    while (*slot != permission)
        slot = &(*slot)->next;
    *slot = permission->next;
    permission->child->permission_count--;
    for (size_t i = 0; i < OPTION_COUNT; i++)
        mem_free(permission->options[i]);
    json_free(permission->call);
    json_free(permission->write);
    mem_free(permission->id);
    mem_free(permission);
}

/* Once only is not once and for all: an "allow once" never becomes the program's "always". A "deny" may. */
static const char *permission_option(const struct acp_permission *permission,
                                     enum approval_decision decision)
{
    char *const *options = permission->options;

    switch (decision) {
    case APPROVAL_ALLOW_ONCE: return options[ALLOW_ONCE];
    case APPROVAL_ALLOW_ALWAYS:
        return options[ALLOW_ALWAYS] ? options[ALLOW_ALWAYS] : options[ALLOW_ONCE];
    case APPROVAL_DENY: break;
    }
    return options[REJECT_ONCE] ? options[REJECT_ONCE] : options[REJECT_ALWAYS];
}

void acp_permissions_cancel(struct acp_child *child)
{
    while (child->permissions) {
        struct acp_permission *permission = child->permissions;

        approval_withdraw(permission->approval);
        if (child->process)
            permission_answer(permission, NULL);
        permission_free(permission);
    }
}

/* ---- policy ---- */

static bool only_reads(const struct json *call)
{
    static const char *const kinds[] = {"read", "search", "think"};
    const char *kind = json_string(json_get(call, "kind"), "");

    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (strcmp(kinds[i], kind) == 0)
            return true;
    }
    return false;
}

static enum verdict permission_policy(const struct acp_child *child, const struct json *call)
{
    enum { APPROVE_ALL, APPROVE_READS, DENY_ALL }; /* knobs.def */
    struct gateway *gw = child->acp->gw;
    const struct session *session = session_find(gw, child->session_key);
    const char *security = session ? session_text(session, "execSecurity", "") : "";
    const char *ask = session ? session_text(session, "execAsk", "") : "";
    int mode = config_enum(gw->config, KNOB_acp_permissions);

    if (mode == DENY_ALL || strcmp(security, "deny") == 0)
        return VERDICT_REJECT;
    if (strcmp(ask, "always") == 0)
        return VERDICT_ASK;
    if (strcmp(security, "full") == 0 && strcmp(ask, "off") == 0)
        return VERDICT_ALLOW;
    if (mode == APPROVE_ALL || only_reads(call))
        return VERDICT_ALLOW;
    return VERDICT_ASK;
}

/* ---- asking ---- */

/* At most max bytes of it, and how many more there are. */
static void add_shown(struct buf *b, const char *text, size_t max)
{
    size_t length = strlen(text), shown = length < max ? length : max;

    while (shown < length && shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80)
        shown--;
    buf_add(b, text, shown);
    if (shown < length)
        buf_addf(b, "\n(and %zu bytes more, which are not shown)", length - shown);
}

/* A command alone is shown as it is; beside other members it comes first, and none of them is left out. NULL:
 * there is nothing. */
static char *permission_input(const struct json *input)
{
    const struct json *command = json_get(input, "command");
    CLEAN(json_free) struct json *others = NULL;
    CLEAN(mem_free) char *first = NULL;
    CLEAN(mem_free) char *rest = NULL;

    if (json_kind(input) == JSON_NULL ||
        ((json_kind(input) == JSON_OBJECT || json_kind(input) == JSON_ARRAY) &&
         json_count(input) == 0))
        return NULL;
    if (json_kind(command) != JSON_STRING)
        return json_print(input, false);
    if (json_count(input) == 1)
        return mem_string(json_string(command, ""));
    others = json_copy(input);
    json_remove(others, "command");
    first = json_print(command, false);
    rest = json_print(others, false);
    return mem_format("{\"command\":%s,%s", first, rest + 1);
}

/* What the call would do, as far as the program says: its title and its arguments. */
static char *permission_text(const struct json *call)
{
    const char *title = json_string(json_get(call, "title"), NULL);
    CLEAN(mem_free) char *input = permission_input(json_get(call, "rawInput"));
    struct buf b;

    buf_init(&b, APPROVAL_COMMAND_MAX);
    add_shown(&b, title ? title : json_string(json_get(call, "kind"), "a tool"), TITLE_SHOWN);
    if (input && (!title || strcmp(input, title) != 0)) {
        buf_add_char(&b, '\n');
        add_shown(&b, input, INPUT_SHOWN);
    }
    return buf_take(&b);
}

static void permission_take_options(struct acp_permission *permission, const struct json *options)
{
    size_t count = 0;

    json_each (option, json_kind(options) == JSON_ARRAY ? options : NULL) {
        const char *kind = json_string(json_get(option, "kind"), "");
        const char *id = json_string(json_get(option, "optionId"), NULL);

        if (count++ == OPTIONS_MAX)
            break;
        for (size_t i = 0; id && i < OPTION_COUNT; i++) {
            if (strcmp(option_kinds[i], kind) == 0 && !permission->options[i])
                permission->options[i] = mem_string(id);
        }
    }
}

/* Takes call. */
static struct acp_permission *permission_new(struct acp_child *child, const char *id,
                                             struct json *call)
{
    struct acp_permission *permission = NEW(struct acp_permission);

    permission->child = child;
    permission->id = mem_string(id);
    permission->call = call;
    permission->next = child->permissions;
    child->permissions = permission;
    child->permission_count++;
    return permission;
}

static void permission_decide(struct acp_permission *permission, enum approval_decision decision)
{
    permission_answer(permission, permission_option(permission, decision));
    permission_free(permission);
}

static void permission_ask_person(struct acp_permission *permission)
{
    struct acp_child *child = permission->child;
    struct agent_run *run = child->run;
    CLEAN(mem_free) char *text = permission_text(permission->call);
    struct fault fault = {0};

    permission->approval = approval_ask(
        run->gw,
        &(struct approval_request){
            .command = text,
            .cwd = child->program.cwd,
            .agent_id = run->agent_id,
            .session_key = run->session_key,
            .session_id = run->session_id,
            .run_id = run->run_id,
            .tool_call_id = json_string(json_get(permission->call, "toolCallId"), NULL),
            .no_always = !permission->options[ALLOW_ALWAYS],
        },
        permission_on_decided, permission, &fault);
    if (!permission->approval) {
        log_warn("%s for %s asked for something and nobody can be asked: %s", child->program.name,
                 run->session_key, fault.text);
        permission_decide(permission, APPROVAL_DENY);
        return;
    }
    acp_update_approval(run, "requested", "pending", approval_id(permission->approval),
                        permission->call);
}

static void permission_begin(struct acp_permission *permission)
{
    switch (permission_policy(permission->child, permission->call)) {
    case VERDICT_ALLOW:
        permission_decide(permission, permission->options[ALLOW_ONCE] ? APPROVAL_ALLOW_ONCE
                                                                      : APPROVAL_ALLOW_ALWAYS);
        break;
    case VERDICT_REJECT: permission_decide(permission, APPROVAL_DENY); break;
    case VERDICT_ASK: permission_ask_person(permission); break;
    }
}

/* Of the session whose prompt is being answered, and not too many at once. */
static bool permission_may(const struct acp_child *child, const struct json *params)
{
    const char *session = json_string(json_get(params, "sessionId"), "");

    return child->run && child->run->state == ACP_RUN_PROMPTING && child->acp_session &&
           strcmp(session, child->acp_session) == 0 &&
           child->permission_count < ACP_PERMISSIONS_MAX;
}

void acp_permission_ask(struct acp_child *child, const char *id, const struct json *params)
{
    const struct json *call = json_get(params, "toolCall");
    struct agent_run *run = child->run;
    struct acp_permission *permission;

    if (!permission_may(child, params)) {
        permission_reply(child, id, NULL);
        return;
    }
    if (!acp_update_asked(run, call) || child->run != run || !permission_may(child, params)) {
        if (child->process) /* what was told on the way has stopped the run */
            permission_reply(child, id, NULL);
        return;
    }
    permission = permission_new(child, id, call ? json_copy(call) : json_new_object());
    permission_take_options(permission, json_get(params, "options"));
    permission_begin(permission);
}

/* What is shown is what will be written: the path and the content, and nothing else that was sent. */
void acp_permission_write(struct acp_child *child, const char *id, const struct json *params)
{
    const char *path = json_string(json_get(params, "path"), NULL);
    const char *content = json_string(json_get(params, "content"), NULL);
    struct acp_permission *permission;
    CLEAN(mem_free) char *title = NULL;
    struct json *call, *input;

    if (!permission_may(child, params) || !path || strlen(path) > WRITE_PATH_MAX || !content) {
        (void)rpc_reply_error(&child->rpc, id, RPC_INVALID_PARAMS, "Invalid params");
        return;
    }
    title = mem_format("Write %s", path);
    input = json_new_object();
    json_put(input, "content", json_new_string(content));
    call = json_new_object();
    json_put(call, "title", json_new_string(title));
    json_put(call, "kind", json_new_string("edit"));
    json_put(call, "rawInput", input);
    permission = permission_new(child, id, call);
    permission->write = json_copy(params);
    permission->options[ALLOW_ONCE] = mem_string(WRITE_ALLOWED);
    permission->options[REJECT_ONCE] = mem_string(WRITE_DENIED);
    permission_begin(permission);
}

static void permission_on_decided(void *arg, int result, enum approval_decision decision,
                                  const char *resolved_by)
{
    struct acp_permission *permission = arg;
    struct agent_run *run = permission->child->run;
    const char *status = result < 0 ? "expired" : decision == APPROVAL_DENY ? "denied" : "approved";

    (void)resolved_by;
    permission_answer(permission, permission_option(permission, decision));
    CLEAN(mem_free) char *id = mem_string(approval_id(permission->approval));
    CLEAN(json_free) struct json *call = TAKE(permission->call);
    permission_free(permission);
    if (run) /* last: its owner may stop it */
        acp_update_approval(run, "resolved", status, id, call);
}
