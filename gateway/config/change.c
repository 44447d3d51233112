/* One change, in order: read the file, compare the base hash, make the new text, check it whole, keep a
 * backup, write. Nothing is written unless the new text is valid. A text that needs no secret put back
 * is written as it was given, with its comments. */
#include "gateway/config/change.h"

#include "base/mem.h"
#include "gateway/config/redact.h"
#include "gateway/config/rows.h"
#include "gateway/config/write.h"

#include <string.h>

static void change_end(struct change *c, enum change_verdict verdict, char *message)
{
    c->verdict = verdict;
    mem_free(c->message);
    c->message = message;
}

static void change_refuse(struct change *c, const char *message)
{
    change_end(c, CHANGE_REFUSED, mem_string(message));
}

static bool base_hash_fits(struct change *c)
{
    if (!c->before->exists)
        return true;
    if (!c->base_hash || !c->base_hash[0])
        change_refuse(c, "config base hash required; re-run config.get and retry");
    else if (strcmp(c->base_hash, c->before->hash) != 0)
        change_refuse(c, "config changed since last load; re-run config.get and retry");
    else
        return true;
    return false;
}

static struct json *parse_raw(struct change *c)
{
    struct fault fault = {0};
    struct json *raw = json5_parse(c->raw, strlen(c->raw), &fault);

    if (!raw) {
        change_end(c, CHANGE_REFUSED, mem_format("raw is not JSON5: %s", fault.text));
    } else if (json_kind(raw) != JSON_OBJECT) {
        change_refuse(c, c->kind == CHANGE_PATCH ? "config.patch raw must be an object"
                                                 : "invalid config: expected an object");
        raw = json_free(raw);
    }
    return raw;
}

static char *print_document(const struct json *tree)
{
    CLEAN(mem_free) char *text = json_print(tree, true);

    return mem_format("%s\n", text);
}

/* The text of the file after the change, or NULL: refused. ret_raw: raw as a tree, owned. */
static char *change_text(struct change *c, struct json **ret_raw)
{
    struct fault fault = {0};
    bool restored = false;
    const struct json *raw = *ret_raw = parse_raw(c);

    if (!raw)
        return NULL;
    CLEAN(json_free) struct json *whole = redact_restore(raw, c->before->merged, &restored, &fault);
    if (!whole) {
        change_refuse(c, fault.text);
        return NULL;
    }
    if (c->kind == CHANGE_SET)
        return restored ? print_document(whole) : mem_string(c->raw);
    if (!snapshot_valid(c->before)) {
        change_refuse(c, "invalid config; fix before patching");
        return NULL;
    }
    CLEAN(json_free) struct json *document = json_copy(c->before->parsed);
    json_merge_patch(document, whole);
    return print_document(document);
}

/* A key that the patch deletes and that is there all the same stands in an included file. Returns false
 * when the change was refused for it. */
static bool deletions_hold(struct change *c, const struct step *at, const struct json *patch,
                           const struct json *now)
{
    json_each (item, patch) {
        struct step below = step_to(at, item, 0);
        const struct json *value = json_get(now, json_key(item));
        char path[CONFIG_PATH_MAX];
        int line;
        if (json_kind(item) == JSON_OBJECT && !deletions_hold(c, &below, item, value))
            return false;
        if (json_kind(item) != JSON_NULL || !value)
            continue;
        const char *file = sources_locate(&c->after->sources, &below, &line);
        change_end(c, CHANGE_REFUSED,
                   mem_format("%s comes from %s:%d; remove it there",
                              step_text(&below, path, sizeof(path)), file ? file : "", line));
        return false;
    }
    return true;
}

static void refuse_invalid(struct change *c)
{
    CLEAN(buf_done) struct buf text;
    const struct issues *issues = &c->after->issues;

    buf_init(&text, 8192);
    buf_add_str(&text, "invalid config: ");
    for (size_t i = 0; i < issues->count && i < 3; i++) {
        const char *path = issues->items[i].path;
        buf_addf(&text, "%s%s: %s", i ? "; " : "", path[0] ? path : "<root>",
                 issues->items[i].message);
    }
    if (issues->total > 3)
        buf_addf(&text, " (and %zu more)", issues->total - 3);
    change_refuse(c, text.bad ? "invalid config" : text.data);
}

static void change_write(struct change *c, const char *text)
{
    struct fault fault = {0};
    size_t length = strlen(text);

    if (c->before->exists && strcmp(text, c->before->raw) == 0)
        return; /* nothing to write */
    int r = write_backup(c->path, &fault);
    if (r == 0)
        r = write_file(c->path, text, length, WRITE_REPLACE, &fault);
    if (r < 0)
        change_end(c, CHANGE_FAILED, mem_string(fault.text));
}

void change_run(struct change *c)
{
    c->verdict = CHANGE_DONE;
    c->before = snapshot_read(c->path);
    if (!c->before->exists && !snapshot_valid(c->before)) {
        change_end(c, CHANGE_FAILED, mem_string(c->before->issues.items[0].message));
        return;
    }
    if (!base_hash_fits(c))
        return;
    CLEAN(json_free) struct json *patch = NULL;
    char *text = change_text(c, &patch);
    if (!text)
        return;
    c->after = snapshot_build(c->path, text, strlen(text));
    if (!snapshot_valid(c->after))
        refuse_invalid(c);
    else if (c->kind == CHANGE_SET || deletions_hold(c, NULL, patch, c->after->merged))
        change_write(c, text);
    mem_wipe_free(text, strlen(text));
}

void change_done(struct change *c)
{
    mem_free(c->path);
    mem_wipe_free(c->raw, c->raw ? strlen(c->raw) : 0);
    mem_free(c->base_hash);
    mem_free(c->message);
    snapshot_free(c->before);
    snapshot_free(c->after);
    *c = (struct change){0};
}

void issues_write(const struct issues *issues, struct json_writer *w)
{
    jw_array(w);
    for (size_t i = 0; i < issues->count; i++) {
        const struct issue *issue = &issues->items[i];
        jw_object(w);
        jw_kstr(w, "path", issue->path);
        jw_kstr(w, "message", issue->message);
        jw_kstr(w, "file", issue->line > 0 ? issue->file : NULL);
        if (issue->line > 0)
            jw_kint(w, "line", issue->line);
        jw_object_end(w);
    }
    jw_array_end(w);
}

char *change_details(const struct change *c)
{
    struct buf out;
    struct json_writer w;

    if (!c->after || c->after->issues.count == 0)
        return NULL;
    buf_init(&out, 1 << 20);
    jw_init(&w, &out);
    jw_object(&w);
    jw_key(&w, "issues");
    issues_write(&c->after->issues, &w);
    jw_object_end(&w);
    return buf_take(&out);
}

/* ---- config.get ---- */

/* The object that a path's last key belongs in, made where absent; NULL when something else is there. */
static struct json *put_path(struct json *tree, const char *path)
{
    struct json *at = tree;
    const char *dot;

    for (; (dot = strchr(path, '.')); path = dot + 1) {
        CLEAN(mem_free) char *key = mem_slice(path, (size_t)(dot - path));
        if (!json_get(at, key))
            json_put(at, key, json_new_object());
        at = json_edit(at, key);
        if (json_kind(at) != JSON_OBJECT)
            return NULL;
    }
    return at;
}

/* The document with the defaults of the scalars filled in. */
static struct json *with_defaults(const struct json *merged)
{
    struct json *tree = json_copy(merged);

    for (size_t i = 0; i < KNOB_COUNT; i++) {
        const struct knob_row *row = &knob_rows[i];
        int64_t number;
        if (!row->otherwise || json_path(tree, row->path) ||
            !knob_parse(row, row->otherwise, &number))
            continue;
        struct json *at = put_path(tree, row->path);
        if (!at)
            continue;
        const char *dot = strrchr(row->path, '.');
        const char *key = dot ? dot + 1 : row->path;
        struct json *value = row->kind == KIND_INT    ? json_new_number((double)number)
                             : row->kind == KIND_BOOL ? json_new_boolean(number != 0)
                                                      : json_new_string(row->otherwise);
        json_put(at, key, value);
    }
    return tree;
}

void change_write_snapshot(const struct snapshot *s, struct json_writer *w)
{
    bool hidden = s->parsed && !snapshot_valid(s) && json_count(s->parsed) == 0;
    CLEAN(json_free) struct json *parsed = redact(s->parsed, &hidden);
    CLEAN(json_free) struct json *merged = redact(s->merged, &hidden);
    CLEAN(json_free) struct json *full = with_defaults(merged);

    jw_object(w);
    jw_kstr(w, "path", s->path);
    jw_kbool(w, "exists", s->exists);
    jw_key(w, "raw"); /* a required key of the reference: null where it would show a secret */
    if (s->exists && !hidden)
        jw_strn(w, s->raw, s->raw_length);
    else
        jw_null(w);
    jw_ktree(w, "parsed", parsed);
    jw_ktree(w, "sourceConfig", merged);
    jw_ktree(w, "resolved", merged);
    jw_kbool(w, "valid", snapshot_valid(s));
    jw_ktree(w, "runtimeConfig", full);
    jw_ktree(w, "config", merged);
    jw_kstr(w, "hash", s->exists ? s->hash : NULL);
    jw_key(w, "issues");
    issues_write(&s->issues, w);
    jw_key(w, "warnings");
    issues_write(&s->warnings, w);
    jw_karray(w, "legacyIssues");
    jw_array_end(w);
    jw_karray(w, "includedPaths");
    for (size_t i = 1; i < s->sources.count; i++)
        jw_str(w, s->sources.items[i].path);
    jw_array_end(w);
    jw_object_end(w);
}
