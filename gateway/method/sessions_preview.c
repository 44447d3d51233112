/* sessions.preview: the last messages of up to 64 sessions as short texts. A preview reads one session
 * after the other through the store's reader and writes its answer as it goes. protocol.md 4.1. */
#include "gateway/method/sessions.h"

#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/session/transcript.h"

#include <string.h>

#define PREVIEW_KEYS_MAX  64
#define PREVIEW_ITEMS_MAX 200
#define PREVIEW_BYTES     (256 * 1024) /* of messages read per session */
#define PREVIEW_MS        30000

const struct field sessions_preview_fields[] = {
    K_STRS(sessions_preview, "keys", keys, REQUIRED, 10000),
    K_INT(sessions_preview, "limit", limit, OPTIONAL, 1, PREVIEW_ITEMS_MAX, 12),
    K_INT(sessions_preview, "maxChars", max_chars, OPTIONAL, 20, 100000, 240),
    F_END,
};
static const struct field preview_item_fields[] = {R_STR("role", REQUIRED), R_STR("text", REQUIRED),
                                                   F_END};
static const struct field preview_fields[] = {
    R_STR("key", REQUIRED),
    R_STR("status", REQUIRED),
    R_OBJECTS("items", REQUIRED, preview_item_fields),
    F_END,
};
const struct field sessions_preview_reply[] = {
    R_INT("ts", REQUIRED),
    R_OBJECTS("previews", REQUIRED, preview_fields),
    F_END,
};

struct preview {
    struct store_page page;
    struct call *call;
    const struct sessions_preview *params; /* live as long as the call */
    struct json_writer *w;
    const struct json *key;
    int left;
};

static void preview_next(struct preview *preview);

static const char *preview_role(const char *role)
{
    static const char *const known[] = {"user", "assistant", "system", "tool"};

    if (strcmp(role, "toolResult") == 0)
        return "tool";
    for (size_t i = 0; i < COUNT(known); i++) {
        if (strcmp(role, known[i]) == 0)
            return known[i];
    }
    return "other";
}

static void preview_write_item(const struct preview *preview, const struct store_row *row)
{
    CLEAN(json_free) struct json *message = json_parse(row->message, strlen(row->message), NULL);
    CLEAN(mem_free) char *text = transcript_text(message);
    CLEAN(mem_free) char *shorter = transcript_excerpt(text, (size_t)preview->params->max_chars);
    struct json_writer *w = preview->w;

    if (!*shorter)
        return;
    jw_object(w);
    jw_kstr(w, "role", preview_role(json_string(json_get(message, "role"), "")));
    jw_kstr(w, "text", shorter);
    jw_object_end(w);
}

static void preview_write(const struct preview *preview, const char *status)
{
    struct json_writer *w = preview->w;

    jw_object(w);
    jw_kstr(w, "key", json_string(preview->key, ""));
    jw_kstr(w, "status", status);
    jw_karray(w, "items");
    for (size_t i = 0; i < preview->page.count; i++)
        preview_write_item(preview, &preview->page.rows[i]);
    jw_array_end(w);
    jw_object_end(w);
}

static void preview_on_page(struct op *op, int result)
{
    struct preview *preview = CONTAINER(op, struct preview, page.op);

    preview_write(preview, result < 0 ? "error" : preview->page.count ? "ok" : "empty");
    store_page_done(&preview->page);
    preview->key = json_next(preview->key);
    preview_next(preview);
}

static void preview_next(struct preview *preview)
{
    struct gateway *gw = call_gateway(preview->call);

    for (; preview->key && preview->left > 0; preview->key = json_next(preview->key)) {
        char key[SESSION_KEY_MAX + 1];
        struct session *session = NULL;

        preview->left--;
        if (session_canonical(gw, json_string(preview->key, ""), NULL, key, NULL) == 0)
            session = session_find(gw, key);
        if (!session) {
            preview_write(preview, "missing");
            continue;
        }
        op_init(&preview->page.op, gw->loop, preview_on_page, PREVIEW_MS);
        store_messages_read(gw->store, &preview->page, session->session_id, 0,
                            (int)preview->params->limit, PREVIEW_BYTES);
        return;
    }
    jw_array_end(preview->w);
    jw_object_end(preview->w);
    call_send(preview->call);
    mem_free(preview);
}

int sessions_preview_run(struct call *call, const void *params)
{
    struct preview *preview = NEW(struct preview);

    preview->call = call;
    preview->params = params;
    preview->key = json_first(preview->params->keys);
    preview->left = PREVIEW_KEYS_MAX;
    preview->w = call_reply(call);
    jw_object(preview->w);
    jw_kint(preview->w, "ts", loop_wall(call_gateway(call)->loop));
    jw_karray(preview->w, "previews");
    preview_next(preview);
    return 0;
}
