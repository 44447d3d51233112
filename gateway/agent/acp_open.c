/* From a program's start to an open session: initialize, the session that was there before (resume or load)
 * or a new one, once more after authenticate. The program's session id is kept in our session's entry, so
 * that a restart of either side goes on where it was.
 *
 * Path: acp_open -> open_on_initialized -> open_session -> open_on_session -> open_keep -> acp_child_ready. */
#include "gateway/agent/acp.h"

#define LOG_SUBSYSTEM "acp"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"

#include <stdio.h>
#include <string.h>

#define ENTRY      "acp" /* member of the session's entry: {session, program, id} */
#define ACP_ID_MAX 1024  /* bytes of a program's session id */

static void open_on_initialized(void *arg, int result, const struct json *answer);
static void open_session(struct acp_child *child);
static void open_on_session(void *arg, int result, const struct json *answer);
static void open_on_kept(void *arg, int result, const struct json *answer);
static void open_on_authenticated(void *arg, int result, const struct json *answer);

/* The program's words are shown to a person: cleaned as its stderr is. */
static void open_fail(struct acp_child *child, const char *what, int result,
                      const struct json *answer)
{
    char raw[256], text[256];

    if (result == -ERR_CLOSED)
        return; /* it is being stopped, and that has its own sentence */
    acp_error_text(result, answer, raw, sizeof(raw));
    acp_text_clean(&child->program, raw, strlen(raw), text, sizeof(text));
    acp_child_fail(child, result == -ERR_IO ? -ERR_IO : result, "the agent's program %s %s: %s",
                   child->program.name, what, text);
}

void acp_error_text(int result, const struct json *answer, char *out, size_t size)
{
    const char *message = json_string(json_get(answer, "message"), NULL);

    if (result == -ERR_IO && answer)
        snprintf(out, size, "%s (%lld)", message ? message : "no reason was given",
                 (long long)json_integer(json_get(answer, "code"), 0));
    else if (result == -ERR_TIMEOUT)
        snprintf(out, size, "no answer in time");
    else
        snprintf(out, size, "%s", err_text(result));
}

static int open_ask(struct acp_child *child, const char *method, struct buf *params,
                    rpc_done_fn *fn)
{
    int64_t deadline = config_int(child->acp->gw->config, KNOB_acp_start_s) * 1000;
    int r = params->bad ? -ERR_TOO_LARGE
                        : rpc_request(&child->rpc, method, params->data, deadline, fn, child);

    buf_done(params);
    if (r < 0 && r != -ERR_CLOSED) /* closed: its end is on the way, with how it came */
        open_fail(child, "cannot be reached", r, NULL);
    return r;
}

#define PARAMS(w_, b_)                                                                             \
    struct buf b_;                                                                                 \
    struct json_writer w_;                                                                         \
    buf_init(&(b_), 65536);                                                                        \
    jw_init(&(w_), &(b_));                                                                         \
    jw_object(&(w_))

/* ---- initialize ---- */

void acp_open(struct acp_child *child)
{
    PARAMS(w, b);
    jw_kint(&w, "protocolVersion", ACP_VERSION);
    jw_kobject(&w, "clientCapabilities");
    jw_kobject(&w, "fs");
    jw_kbool(&w, "readTextFile", true);
    jw_kbool(&w, "writeTextFile", true);
    jw_object_end(&w);
    jw_kbool(&w, "terminal", false);
    jw_object_end(&w);
    jw_kobject(&w, "clientInfo");
    jw_kstr(&w, "name", "culvert");
    jw_kstr(&w, "version", CULVERT_VERSION);
    jw_object_end(&w);
    jw_object_end(&w);
    (void)open_ask(child, "initialize", &b, open_on_initialized);
}

static void open_on_initialized(void *arg, int result, const struct json *answer)
{
    struct acp_child *child = arg;
    const struct json *can = json_get(answer, "agentCapabilities");
    int64_t version = json_integer(json_get(answer, "protocolVersion"), -1);

    CHECK(child, ACP_CHILD_MAGIC);
    if (result < 0) {
        open_fail(child, "did not start", result, answer);
        return;
    }
    if (version != ACP_VERSION) {
        acp_child_fail(child, -ERR_UNSUPPORTED,
                       "the agent's program %s speaks version %lld of the Agent Client Protocol, "
                       "this gateway %d: install one that fits",
                       child->program.name, (long long)version, ACP_VERSION);
        return;
    }
    child->can_load = json_boolean(json_get(can, "loadSession"), false);
    child->can_resume = json_kind(json_path(can, "sessionCapabilities.resume")) == JSON_OBJECT;
    child->can_image = json_boolean(json_path(can, "promptCapabilities.image"), false);
    child->auth_methods =
        json_get(answer, "authMethods") ? json_copy(json_get(answer, "authMethods")) : NULL;
    open_session(child);
}

/* ---- the session ---- */

/* The program's id of our session, when it is of this conversation and this program. Borrowed. */
static const char *open_known(const struct acp_child *child)
{
    const struct session *session = session_find(child->acp->gw, child->session_key);
    const struct json *kept = session ? json_get(session->entry, ENTRY) : NULL;

    if (child->program.oneshot ||
        strcmp(json_string(json_get(kept, "session"), ""), child->session_id) != 0 ||
        strcmp(json_string(json_get(kept, "program"), ""), child->program.name) != 0)
        return NULL;
    return json_string(json_get(kept, "id"), NULL);
}

static void open_new(struct acp_child *child)
{
    PARAMS(w, b);
    jw_kstr(&w, "cwd", child->program.cwd);
    jw_karray(&w, "mcpServers");
    jw_array_end(&w);
    jw_object_end(&w);
    (void)open_ask(child, "session/new", &b, open_on_session);
}

static void open_session(struct acp_child *child)
{
    const char *known = child->can_load || child->can_resume ? open_known(child) : NULL;

    if (!known) {
        open_new(child);
        return;
    }
    PARAMS(w, b);
    jw_kstr(&w, "sessionId", known);
    jw_kstr(&w, "cwd", child->program.cwd);
    jw_karray(&w, "mcpServers");
    jw_array_end(&w);
    jw_object_end(&w);
    (void)open_ask(child, child->can_resume ? "session/resume" : "session/load", &b, open_on_kept);
}

static bool wants_auth(const struct acp_child *child, int result, const struct json *answer)
{
    return result == -ERR_IO && !child->authenticated &&
           json_integer(json_get(answer, "code"), 0) == RPC_AUTH_REQUIRED;
}

static void open_authenticate(struct acp_child *child)
{
    const struct json *first = json_at(child->auth_methods, 0);
    const char *method = child->program.auth_method ? child->program.auth_method
                                                    : json_string(json_get(first, "id"), NULL);

    child->authenticated = true;
    if (!method) {
        acp_child_fail(child, -ERR_AUTH,
                       "the agent's program %s wants somebody to sign in and names no way: sign in "
                       "with it on the gateway's host, as the gateway's user",
                       child->program.name);
        return;
    }
    PARAMS(w, b);
    jw_kstr(&w, "methodId", method);
    jw_object_end(&w);
    (void)open_ask(child, "authenticate", &b, open_on_authenticated);
}

static void open_on_authenticated(void *arg, int result, const struct json *answer)
{
    struct acp_child *child = arg;

    CHECK(child, ACP_CHILD_MAGIC);
    if (result < 0)
        open_fail(
            child,
            "could not sign in (sign in with it on the gateway's host, as the gateway's user)",
            result, answer);
    else
        open_session(child);
}

/* It does not know the session any more: a fresh one, and nobody is left without an answer. */
static void open_on_kept(void *arg, int result, const struct json *answer)
{
    struct acp_child *child = arg;
    char why[256];

    CHECK(child, ACP_CHILD_MAGIC);
    if (result == 0) {
        child->acp_session = mem_string(open_known(child));
        if (child->acp_session) {
            acp_child_ready(child);
            return;
        }
    } else if (result != -ERR_IO) {
        open_fail(child, "did not open the session", result, answer);
        return;
    } else if (wants_auth(child, result, answer)) {
        open_authenticate(child);
        return;
    }
    acp_error_text(result, answer, why, sizeof(why));
    log_warn("%s for %s does not go on with its session: %s; a new one begins", child->program.name,
             child->session_key, why);
    open_new(child);
}

static void open_keep(struct acp_child *child)
{
    struct gateway *gw = child->acp->gw;
    struct session *session = session_find(gw, child->session_key);
    struct json *kept;
    struct store_batch *batch;

    if (!session || child->program.oneshot || strcmp(session->session_id, child->session_id) != 0)
        return;
    kept = json_new_object();
    json_put(kept, "session", json_new_string(child->session_id));
    json_put(kept, "program", json_new_string(child->program.name));
    json_put(kept, "id", json_new_string(child->acp_session));
    json_put(session->entry, ENTRY, kept);
    batch = store_batch(gw->store);
    session_put(gw, session, batch, /* touch= */ false);
    store_commit(batch, NULL);
}

static void open_on_session(void *arg, int result, const struct json *answer)
{
    struct acp_child *child = arg;
    const char *id = json_string(json_get(answer, "sessionId"), "");

    CHECK(child, ACP_CHILD_MAGIC);
    if (wants_auth(child, result, answer)) {
        open_authenticate(child);
        return;
    }
    if (result < 0) {
        open_fail(child, "did not open a session", result, answer);
        return;
    }
    if (!*id || strlen(id) > ACP_ID_MAX) {
        acp_child_fail(child, -ERR_CORRUPT,
                       "the agent's program %s opened a session without an id that can be used",
                       child->program.name);
        return;
    }
    child->acp_session = mem_string(id);
    child->fresh = true;
    open_keep(child);
    acp_child_ready(child);
}
