/* Transcript messages: built, appended, shown. A message is written once as JSON and never changed;
 * its id, seq and time stand in the store's columns and are added when it is shown. protocol.md 6.6. */
#include "gateway/session/transcript.h"

#include "base/mem.h"
#include "gateway/event/event.h"
#include "gateway/gateway.h"
#include "gateway/session/row.h"

#include <string.h>

#define MESSAGE_MAX (64u * 1024 * 1024) /* bytes of one message; inbound frames end far below */

static char *transcript_take(struct buf *b)
{
    char *text = buf_take(b);

    require(text != NULL); /* callers bound their input well below MESSAGE_MAX */
    return text;
}

/* ---- builders ---- */

char *transcript_user(const char *text, const char *images, const char *run_id, int64_t at)
{
    CLEAN(mem_free) char *key = run_id ? mem_format("%s:user", run_id) : NULL;
    struct json_writer w;
    struct buf b;

    buf_init(&b, MESSAGE_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "role", "user");
    if (!images) {
        jw_kstr(&w, "content", text);
    } else {
        jw_karray(&w, "content");
        if (*text) {
            jw_object(&w);
            jw_kstr(&w, "type", "text");
            jw_kstr(&w, "text", text);
            jw_object_end(&w);
        }
        if (strlen(images) > 2) /* its items, without the brackets */
            jw_raw(&w, images + 1, strlen(images) - 2);
        jw_array_end(&w);
    }
    jw_kint(&w, "timestamp", at);
    jw_kstr(&w, "idempotencyKey", key);
    jw_object_end(&w);
    return transcript_take(&b);
}

static int64_t told(int64_t number)
{
    return number < 0 ? 0 : number;
}

static double transcript_cost(struct gateway *gw, const char *provider, const char *model,
                              const struct model_usage *usage)
{
    double cost = gw ? model_cost(gw, provider, model, usage) : 0;

    return cost > 0 ? cost : 0;
}

void transcript_write_priced(struct gateway *gw, const char *provider, const char *model,
                             const struct model_usage *usage, struct json_writer *w)
{
    int64_t all[] = {told(usage->input), told(usage->output), told(usage->cache_read),
                     told(usage->cache_write)};
    const struct {
        const char *name;
        struct model_usage part;
    } costs[] = {
        {"input", {all[0], 0, 0, 0}},
        {"output", {0, all[1], 0, 0}},
        {"cacheRead", {0, 0, all[2], 0}},
        {"cacheWrite", {0, 0, 0, all[3]}},
        {"total", {all[0], all[1], all[2], all[3]}},
    };

    jw_object(w);
    for (size_t i = 0; i < COUNT(all); i++)
        jw_kint(w, costs[i].name, all[i]);
    jw_kint(w, "totalTokens", all[0] + all[1] + all[2] + all[3]);
    jw_kobject(w, "cost");
    for (size_t i = 0; i < COUNT(costs); i++)
        jw_knum(w, costs[i].name, transcript_cost(gw, provider, model, &costs[i].part));
    jw_object_end(w);
    jw_object_end(w);
}

void transcript_write_usage(const struct model_usage *usage, struct json_writer *w)
{
    transcript_write_priced(NULL, "", "", usage, w);
}

static void transcript_write_text(const char *text, size_t length, struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "type", "text");
    jw_key(w, "text");
    jw_strn(w, text, length);
    jw_object_end(w);
}

char *transcript_answer(const struct transcript_answer *answer)
{
    struct json_writer w;
    struct buf b;

    buf_init(&b, MESSAGE_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "role", "assistant");
    jw_ktree(&w, "content", answer->content);
    if (!answer->content) {
        jw_karray(&w, "content");
        if (answer->length > 0)
            transcript_write_text(answer->text, answer->length, &w);
        jw_array_end(&w);
    }
    jw_kstr(&w, "api", answer->api);
    jw_kstr(&w, "provider", answer->provider);
    jw_kstr(&w, "model", answer->model);
    jw_key(&w, "usage");
    transcript_write_priced(answer->priced, answer->provider, answer->model, &answer->usage, &w);
    jw_kstr(&w, "stopReason", answer->stop_reason);
    jw_kstr(&w, "errorMessage", answer->error);
    jw_kint(&w, "timestamp", answer->at);
    if (answer->abort_origin) {
        jw_kobject(&w, "openclawAbort"); /* the name v4 clients look for */
        jw_kbool(&w, "aborted", true);
        jw_kstr(&w, "origin", answer->abort_origin);
        jw_kstr(&w, "runId", answer->run_id);
        jw_object_end(&w);
    }
    jw_object_end(&w);
    return transcript_take(&b);
}

char *transcript_tool_error(const char *call_id, const char *tool, const char *error, int64_t at)
{
    struct json_writer w;
    struct buf b;

    buf_init(&b, MESSAGE_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "role", "toolResult");
    jw_kstr(&w, "toolCallId", call_id);
    jw_kstr(&w, "toolName", tool);
    jw_karray(&w, "content");
    transcript_write_text(error, strlen(error), &w);
    jw_array_end(&w);
    jw_kbool(&w, "isError", true);
    jw_kint(&w, "timestamp", at);
    jw_object_end(&w);
    return transcript_take(&b);
}

/* ---- appending ---- */

char *transcript_excerpt(const char *text, size_t max)
{
    struct buf b;
    bool blank = false;

    buf_init(&b, max + 8);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c <= ' ') {
            blank = b.length > 0;
            continue;
        }
        if ((c & 0xc0) != 0x80 && b.length + blank + 4 > max)
            break; /* a whole character more might not fit */
        if (blank)
            buf_add_char(&b, ' ');
        blank = false;
        buf_add_char(&b, *text);
    }
    return transcript_take(&b);
}

static void transcript_emit(struct gateway *gw, struct session *s, struct store_batch *batch,
                            const struct store_row *row)
{
    struct row_options all = {.version = 4, .title = true, .last = true};
    struct json_writer w;
    struct bytes *payload;
    struct buf b;

    buf_init(&b, MESSAGE_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "sessionKey", s->key);
    jw_kstr(&w, "agentId", s->agent_id);
    jw_key(&w, "message");
    transcript_write_row(row, 4, 0, &w);
    jw_kstr(&w, "messageId", row->message_id);
    jw_kint(&w, "messageSeq", row->seq);
    jw_kstr(&w, "sessionId", s->session_id);
    jw_key(&w, "session");
    row_write(gw, s->key, s, &all, &w);
    jw_object_end(&w);
    payload = bytes_from_buf(&b);
    if (!fails(payload != NULL))
        event_emit_in(gw, batch,
                      &(struct event){
                          .id = EVENT_session_message, .session_key = s->key, .payload = payload});
    bytes_unref(payload);
    buf_done(&b);
}

static void transcript_show(struct session *s, const struct transcript_message *message, int64_t at)
{
    if (!message->text || !*message->text)
        return;

    CLEAN(mem_free) char *preview = transcript_excerpt(message->text, TRANSCRIPT_PREVIEW_MAX);
    session_set_text(s, "lastMessagePreview", preview);
    if (strcmp(message->role, "user") != 0)
        return;
    session_set_number(s, "lastInteractionAt", at);
    if (!json_get(s->entry, "derivedTitle")) {
        CLEAN(mem_free) char *title = transcript_excerpt(message->text, TRANSCRIPT_TITLE_MAX);
        session_set_text(s, "derivedTitle", title);
    }
}

int64_t transcript_append(struct gateway *gw, struct session *s, struct store_batch *batch,
                          const struct transcript_message *message, char ret_id[UUID_TEXT])
{
    int64_t at = loop_wall(gw->loop), seq = ++s->message_count;

    crypto_uuid(ret_id);
    store_message_put(batch, &(struct store_message){
                                 .session_id = s->session_id,
                                 .message_id = ret_id,
                                 .role = message->role,
                                 .run_id = message->run_id,
                                 .message = message->message,
                                 .seq = seq,
                                 .at = at,
                             });
    transcript_show(s, message, at);

    CLEAN(mem_free) char *run_id = mem_string(message->run_id);
    CLEAN(mem_free) char *text = mem_string(message->message);
    transcript_emit(
        gw, s, batch,
        &(struct store_row){
            .seq = seq, .at = at, .message_id = ret_id, .run_id = run_id, .message = text});
    return seq;
}

/* ---- showing ---- */

/* How an entry begins that stands for what was summarised (gateway/agent/prompt.h). */
static const char compaction_begin[] = "{\"role\":\"system\",\"content\":[{\"type\":\"text\","
                                       "\"text\":\"Compaction\"}],\"compaction\":{";

/* "…}" of the stored text becomes ",\"__openclaw\":{…}}". */
static void transcript_write_marked(const struct store_row *row, const char *text,
                                    struct json_writer *w)
{
    size_t length = strlen(text);
    struct json_writer mark;
    struct buf b;

    buf_init(&b, MESSAGE_MAX);
    buf_add(&b, text, length - 1);
    buf_add_str(&b, ",\"__openclaw\":");
    jw_init(&mark, &b);
    jw_object(&mark);
    jw_kstr(&mark, "id", row->message_id);
    jw_kint(&mark, "seq", row->seq);
    jw_kint(&mark, "recordTimestampMs", row->at);
    jw_kstr(&mark, "runId", row->run_id);
    if (strncmp(text, compaction_begin, sizeof(compaction_begin) - 1) == 0)
        jw_kstr(&mark, "kind", "compaction");
    jw_object_end(&mark);
    buf_add_char(&b, '}');
    if (!b.bad)
        jw_raw(w, b.data, b.length);
    else
        jw_raw(w, text, length);
    buf_done(&b);
}

/* Bytes of the first max code points; the whole length when there are fewer. */
static size_t transcript_cut(const char *text, int64_t max)
{
    size_t at = 0;

    while (text[at]) {
        if (((unsigned char)text[at] & 0xc0) != 0x80 && max-- == 0)
            break;
        at++;
    }
    return at;
}

static void transcript_shorten_member(struct json *object, const char *key, int64_t max)
{
    const char *text = json_string(json_get(object, key), NULL);
    size_t length = text ? transcript_cut(text, max) : 0;

    if (!text || !text[length])
        return;
    CLEAN(mem_free) char *shorter = mem_format("%.*s\n...(truncated)...", (int)length, text);
    json_put(object, key, json_new_string(shorter));
}

/* A copy whose texts have at most max code points. */
static char *transcript_shorten(const char *message, int64_t max)
{
    CLEAN(json_free) struct json *tree = json_parse(message, strlen(message), NULL);
    struct json *parts;

    if (json_kind(tree) != JSON_OBJECT)
        return mem_string(message);
    transcript_shorten_member(tree, "content", max);
    parts = json_edit(tree, "content");
    for (size_t i = 0; json_kind(parts) == JSON_ARRAY && i < json_count(parts); i++)
        transcript_shorten_member(json_edit_at(parts, i), "text", max);
    return json_print(tree, false);
}

void transcript_write_row(const struct store_row *row, int version, int64_t max_chars,
                          struct json_writer *w)
{
    CLEAN(mem_free) char *shorter = NULL;
    const char *text = row->message;

    if (max_chars > 0 && strlen(text) > (size_t)max_chars)
        text = shorter = transcript_shorten(text, max_chars);
    if (version >= 4)
        transcript_write_marked(row, text, w);
    else
        jw_raw(w, text, strlen(text));
}

char *transcript_text(const struct json *message)
{
    const struct json *content = json_get(message, "content");
    struct buf b;

    buf_init(&b, MESSAGE_MAX);
    if (json_kind(content) == JSON_STRING)
        buf_add_str(&b, json_string(content, ""));
    json_each (part, json_kind(content) == JSON_ARRAY ? content : NULL) {
        const char *text = json_string(json_get(part, "text"), NULL);

        if (!text || strcmp(json_string(json_get(part, "type"), ""), "text") != 0)
            continue;
        if (b.length > 0)
            buf_add_char(&b, '\n');
        buf_add_str(&b, text);
    }
    return transcript_take(&b);
}
