/* sessions_history: what was said in a session, shortened for a model: texts, on wish calls of tools and their
 * results, no pictures and no thoughts. */
#include "gateway/tools/ops.h"

#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/tools/visibility.h"

#include <string.h>

#define LIMIT_DEFAULT 50
#define LIMIT_MAX     200
#define READ_MS       30000
#define READ_BYTES    (2u << 20)
#define TEXT_CHARS    4000         /* bytes of one text */
#define ANSWER_BYTES  (48u * 1024) /* of all messages: the newest count */

struct sessions_history {
    const char *session_key;
    int64_t limit;
    bool tools;
};
static const struct field sessions_history_fields[] = {
    A_STR(sessions_history, "sessionKey", session_key, REQUIRED | FIELD_NONEMPTY, SESSION_KEY_MAX,
          "The session's key, as sessions_list tells it; \"current\" is this one."),
    A_INT(sessions_history, "limit", limit, OPTIONAL, 1, 1e6, LIMIT_DEFAULT,
          "How many of the newest messages (at most 200)."),
    A_BOOL(sessions_history, "includeTools", tools, OPTIONAL, 0,
           "True: calls of tools and their results too."),
    F_END,
};

struct history_state {
    struct store_page page;
    char key[SESSION_KEY_MAX + 1];
    bool tools;
};

static void history_close(struct tool_call *call)
{
    struct history_state *state = tool_call_state(call);

    op_drop(&state->page.op);
    store_page_done(&state->page);
}

/* ---- one message ---- */

/* At most TEXT_CHARS of it, whole characters. Caller owns. */
static char *shorten(const char *text, bool *ret_cut)
{
    size_t n = strlen(text);

    if (n <= TEXT_CHARS)
        return mem_string(text);
    *ret_cut = true;
    for (n = TEXT_CHARS; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
        ;
    return mem_format("%.*s… [cut]", (int)n, text);
}

static void part_write(const struct json *part, bool tools, bool *ret_cut, struct json_writer *w)
{
    const char *type = json_string(json_get(part, "type"), "");

    if (strcmp(type, "text") == 0) {
        CLEAN(mem_free) char *text = shorten(json_string(json_get(part, "text"), ""), ret_cut);

        jw_object(w);
        jw_kstr(w, "type", "text");
        jw_kstr(w, "text", text);
        jw_object_end(w);
    } else if (tools && strcmp(type, "toolCall") == 0) {
        CLEAN(mem_free) char *arguments = json_print(json_get(part, "arguments"), false);
        CLEAN(mem_free) char *text = shorten(arguments, ret_cut);

        jw_object(w);
        jw_kstr(w, "type", "toolCall");
        jw_kstr(w, "name", json_string(json_get(part, "name"), NULL));
        jw_kstr(w, "arguments", text);
        jw_object_end(w);
    } else if (strcmp(type, "image") == 0) {
        jw_object(w);
        jw_kstr(w, "type", "text");
        jw_kstr(w, "text", "[a picture]");
        jw_object_end(w);
    }
}

/* The message as one value; false: it is none to show. */
static bool message_write(const struct store_row *row, bool tools, bool *ret_cut, struct buf *out)
{
    CLEAN(json_free) struct json *message = json_parse(row->message, strlen(row->message), NULL);
    const struct json *content = json_get(message, "content");
    const char *role = json_string(json_get(message, "role"), "");
    struct json_writer w;

    if (!message || (!tools && strcmp(role, "toolResult") == 0))
        return false;
    jw_init(&w, out);
    jw_object(&w);
    jw_kstr(&w, "role", role);
    jw_kint(&w, "at", row->at);
    jw_kstr(&w, "toolName", json_string(json_get(message, "toolName"), NULL));
    jw_karray(&w, "content");
    if (json_kind(content) == JSON_STRING) {
        CLEAN(mem_free) char *text = shorten(json_string(content, ""), ret_cut);

        jw_object(&w);
        jw_kstr(&w, "type", "text");
        jw_kstr(&w, "text", text);
        jw_object_end(&w);
    }
    if (json_kind(content) == JSON_ARRAY) {
        json_each (part, content)
            part_write(part, tools, ret_cut, &w);
    }
    jw_array_end(&w);
    jw_object_end(&w);
    return true;
}

/* ---- the answer ---- */

/* The newest messages that fit, in the order they were said. */
static void history_write(const struct history_state *state, struct json_writer *w)
{
    char *texts[LIMIT_MAX] = {0};
    size_t bytes = 0, kept = 0;
    bool dropped = false, cut = false;

    for (size_t i = state->page.count; i > 0 && kept < LIMIT_MAX; i--) {
        struct buf one;

        buf_init(&one, 1 << 20);
        if (!message_write(&state->page.rows[i - 1], state->tools, &cut, &one) || one.bad) {
            buf_done(&one);
            continue;
        }
        dropped = bytes + one.length > ANSWER_BYTES && kept > 0;
        if (dropped) {
            buf_done(&one);
            break;
        }
        bytes += one.length;
        texts[kept++] = buf_take(&one);
    }
    jw_object(w);
    jw_kstr(w, "sessionKey", state->key);
    jw_karray(w, "messages");
    for (; kept > 0; kept--) {
        jw_raw(w, texts[kept - 1], strlen(texts[kept - 1]));
        mem_free(texts[kept - 1]);
    }
    jw_array_end(w);
    jw_kint(w, "total", state->page.total);
    jw_kbool(w, "truncated", dropped || cut);
    jw_kbool(w, "droppedMessages", dropped);
    jw_kbool(w, "contentTruncated", cut);
    jw_object_end(w);
}

static void history_tell(struct tool_call *call)
{
    struct fault fault = {0};
    struct json_writer w;
    struct json *details;
    struct buf b;

    buf_init(&b, 8u << 20);
    jw_init(&w, &b);
    history_write(tool_call_state(call), &w);
    details = json_parse(b.data ? b.data : "", b.length, &fault); /* NULL: too many parts */
    buf_done(&b);
    if (!details) {
        tool_end_fault(call, &fault);
        return;
    }
    tool_end_json(call, details);
}

static void history_on_page(struct op *op, int result)
{
    struct history_state *state = CONTAINER(op, struct history_state, page.op);
    struct tool_call *call = tool_call_of_state(state);

    if (result < 0)
        tool_end_fault(call, &op->fault);
    else
        history_tell(call);
}

static void history_start(struct tool_call *call, const void *params)
{
    const struct sessions_history *p = params;
    struct gateway *gw = tool_call_gateway(call);
    struct history_state *state = tool_call_state(call);
    struct session *session;
    struct fault fault = {0};

    state->tools = p->tools;
    if (visibility_find(gw, tool_call_request(call), p->session_key, state->key, &session,
                        &fault) == 0 &&
        !session)
        fault_set(&fault, -ERR_NOT_FOUND,
                  "there is no session \"%.80s\": take a key from sessions_list", p->session_key);
    if (fault.code) {
        tool_end_fault(call, &fault);
        return;
    }
    op_init(&state->page.op, gw->loop, history_on_page, READ_MS);
    store_messages_read(gw->store, &state->page, session->session_id, 0,
                        (int)(p->limit < LIMIT_MAX ? p->limit : LIMIT_MAX), READ_BYTES);
}

const struct tool tools_session_history[] = {
    {
        .name = "sessions_history",
        .label = "Session History",
        .summary = "Read what was said in a session",
        .description = "Read the newest messages of a session that is visible from here. Long "
                       "texts are shortened.",
        .group = TOOL_GROUP_sessions,
        .profiles = TOOL_CODING | TOOL_MESSAGING,
        .params = sessions_history_fields,
        .params_size = sizeof(struct sessions_history),
        .flags = TOOL_PARALLEL,
        .timeout_ms = READ_MS + 5000,
        .state_size = sizeof(struct history_state),
        .start = history_start,
        .close = history_close,
    },
    {0},
};
