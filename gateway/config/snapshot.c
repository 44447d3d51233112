/* Text to verdict: parse and include (source), substitute (resolve), check. A step that fails leaves
 * the trees of the later ones empty and its issues behind. */
#include "gateway/config/snapshot.h"

#include "base/mem.h"
#include "gateway/config/check.h"
#include "gateway/config/redact.h"
#include "gateway/config/resolve.h"

#include <string.h>
#include <sys/stat.h>

/* ROWS_SHORT_FORM: "p/m" is short for {primary: "p/m"}. */
static void expand_short_forms(struct json *tree)
{
    struct json *defaults = json_edit(json_edit(tree, "agents"), "defaults");
    const char *model = json_string(json_get(defaults, "model"), NULL);

    if (!model)
        return;
    struct json *full = json_new_object();
    json_put(full, "primary", json_new_string(model));
    json_put(defaults, "model", full);
}

static bool list_has(const struct json *list, const char *id)
{
    json_each (item, list) {
        if (strcmp(json_string(json_get(item, "id"), ""), id) == 0)
            return true;
    }
    return false;
}

/* agents.entries (a map by id) and agents.list say the same: after the check both stand in the list, and
 * readers know only that. An id in the list wins. */
static void join_agents(struct json *tree)
{
    struct json *agents = json_edit(tree, "agents");

    if (!json_get(agents, "entries"))
        return;
    if (!json_get(agents, "list"))
        json_put(agents, "list", json_new_array());
    struct json *list = json_edit(agents, "list");
    json_each (entry, json_get(agents, "entries")) {
        if (list_has(list, json_key(entry)))
            continue;
        struct json *item = json_new_object();
        json_put(item, "id", json_new_string(json_key(entry)));
        json_each (member, entry)
            json_put(item, json_key(member), json_copy(member));
        json_append(list, item);
    }
}

static void rename_runtimes(struct json *tree)
{
    struct json *list = json_edit(json_edit(tree, "agents"), "list");

    for (size_t i = 0; i < json_count(list); i++) {
        struct json *runtime = json_edit(json_edit_at(list, i), "runtime");
        if (strcmp(json_string(json_get(runtime, "type"), ""), "embedded") == 0)
            json_put(runtime, "type", json_new_string("builtin"));
    }
}

static void snapshot_parse(struct snapshot *s)
{
    s->merged = sources_build(&s->sources, s->path, s->raw, s->raw_length, &s->parsed, &s->issues);
    if (s->merged)
        s->tree = resolve(s->merged, &s->sources, &s->issues);
    if (s->tree)
        expand_short_forms(s->tree);
    if (s->tree)
        check_tree(s->tree, &s->sources, &s->issues, &s->warnings);
    if (s->tree && s->issues.count == 0) {
        join_agents(s->tree);
        rename_runtimes(s->tree);
    }
}

static struct snapshot *snapshot_new(const char *path, bool exists, char *raw, size_t length)
{
    struct snapshot *s = NEW(struct snapshot);

    s->path = mem_string(path);
    s->exists = exists;
    s->raw = raw;
    s->raw_length = length;
    if (exists) {
        crypto_sha256_hex(raw, length, s->hash);
        snapshot_parse(s);
    }
    if (!s->parsed)
        s->parsed = json_new_object();
    if (!s->merged)
        s->merged = json_new_object();
    if (!s->tree)
        s->tree = json_new_object();
    return s;
}

/* Secrets in a file that others can read, or a file that others can change: worth a word. */
static void check_mode(struct snapshot *s)
{
    struct stat st;
    bool secrets = false;

    if (stat(s->path, &st) < 0)
        return;
    if (st.st_mode & 044)
        json_free(redact(s->merged, &secrets));
    if ((st.st_mode & 022) || secrets)
        issues_add(&s->warnings, "", s->path, 0,
                   mem_format("%s; run: chmod 600 %s",
                              st.st_mode & 022 ? "others can change this file"
                                               : "others can read the secrets in this file",
                              s->path));
}

struct snapshot *snapshot_read(const char *path)
{
    struct fault fault = {0};
    char *text = NULL;
    size_t length = 0;
    int r = source_read(path, &text, &length, &fault);

    if (r == 0) {
        struct snapshot *read = snapshot_new(path, true, text, length);
        check_mode(read);
        return read;
    }
    struct snapshot *s = snapshot_new(path, false, mem_string(""), 0);
    if (r != -ERR_NOT_FOUND)
        issues_add(&s->issues, "", NULL, 0, mem_string(fault.text));
    return s;
}

struct snapshot *snapshot_build(const char *path, const char *text, size_t length)
{
    return snapshot_new(path, true, mem_slice(text, length), length);
}

struct snapshot *snapshot_free(struct snapshot *s)
{
    if (!s)
        return NULL;
    mem_free(s->path);
    mem_wipe_free(s->raw, s->raw_length);
    sources_done(&s->sources);
    json_free(s->parsed);
    json_free(s->merged);
    json_free(s->tree);
    issues_done(&s->issues);
    issues_done(&s->warnings);
    return mem_free(s);
}

struct change_walk {
    snapshot_change_fn *fn;
    void *arg;
};

static void change_value(const struct change_walk *w, const struct step *at, const struct json *a,
                         const struct json *b);

static void change_members(const struct change_walk *w, const struct step *at, const struct json *a,
                           const struct json *b)
{
    json_each (item, a) {
        struct step below = step_to(at, item, 0);
        change_value(w, &below, item, json_get(b, json_key(item)));
    }
    json_each (item, b) {
        struct step below = step_to(at, item, 0);
        if (!json_get(a, json_key(item)))
            change_value(w, &below, NULL, item);
    }
}

/* Absent (NULL) beside an object counts as an empty object: leaves are told, not whole sections. */
static void change_value(const struct change_walk *w, const struct step *at, const struct json *a,
                         const struct json *b)
{
    char path[CONFIG_PATH_MAX];
    bool objects = (!a || json_kind(a) == JSON_OBJECT) && (!b || json_kind(b) == JSON_OBJECT);

    if (objects && json_count(a ? a : b) + (a && b ? json_count(b) : 0) > 0)
        change_members(w, at, a, b);
    else if (!a || !b || !json_equal(a, b))
        w->fn(w->arg, step_text(at, path, sizeof(path)));
}

void snapshot_changes(const struct json *a, const struct json *b, snapshot_change_fn *fn, void *arg)
{
    struct change_walk w = {fn, arg};

    change_members(&w, NULL, a, b);
}
