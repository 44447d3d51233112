/* Substitution, one value at a time, into a copy. A message names the variable or the file of a
 * secret, never what was in it. */
#include "gateway/config/resolve.h"

#include "base/mem.h"
#include "gateway/config/rows.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define VARIABLE_NAME_MAX 256
#define RESOLVED_TEXT_MAX 65536

struct resolver {
    const struct sources *sources;
    struct issues *issues;
};

static void resolve_issue(struct resolver *r, const struct step *at, char *message)
{
    char path[CONFIG_PATH_MAX];
    int line = 0;
    const char *file = issues_full(r->issues) ? NULL : sources_locate(r->sources, at, &line);

    issues_add(r->issues, step_text(at, path, sizeof(path)), file, line, message);
}

/* The length of "${NAME}" at text, 0 when that is not what stands there. */
static size_t variable_length(const char *text)
{
    if (text[0] != '$' || text[1] != '{' || !(text[2] == '_' || (text[2] >= 'A' && text[2] <= 'Z')))
        return 0;
    size_t n = 3;
    while (text[n] == '_' || (text[n] >= 'A' && text[n] <= 'Z') ||
           (text[n] >= '0' && text[n] <= '9'))
        n++;
    return text[n] == '}' && n - 2 <= VARIABLE_NAME_MAX ? n + 1 : 0;
}

bool resolve_has_variable(const char *text)
{
    for (const char *p = strchr(text, '$'); p; p = strchr(p + 1, '$')) {
        if (variable_length(p) > 0 && (p == text || p[-1] != '$'))
            return true;
    }
    return false;
}

static void add_variable(struct resolver *r, const struct step *at, const char *text, size_t length,
                         struct buf *out)
{
    CLEAN(mem_free) char *name = mem_slice(text + 2, length - 3);
    const char *value = getenv(name);

    if (!value || !value[0])
        resolve_issue(
            r, at,
            mem_format("the environment variable %s is not set; set it for the gateway or "
                       "write $${%s} for the text itself",
                       name, name));
    else if (!json_is_utf8(value, strlen(value)))
        resolve_issue(r, at, mem_format("the environment variable %s is not UTF-8", name));
    else
        buf_add_str(out, value);
}

static struct json *resolve_string(struct resolver *r, const struct step *at, const char *text)
{
    if (!strstr(text, "${"))
        return json_new_string(text);
    CLEAN(buf_done) struct buf out;
    buf_init(&out, RESOLVED_TEXT_MAX + SOURCE_BYTES_MAX);
    for (const char *p = text; *p;) {
        size_t length = variable_length(p);
        size_t escaped = p[0] == '$' ? variable_length(p + 1) : 0;
        if (escaped) {
            buf_add(&out, p + 1, escaped);
            p += 1 + escaped;
        } else if (length) {
            add_variable(r, at, p, length, &out);
            p += length;
        } else {
            buf_add_char(&out, *p++);
        }
    }
    if (out.bad)
        resolve_issue(r, at, mem_string("the text is too long once its variables are put in"));
    return json_new_string(out.bad || !out.data ? "" : out.data);
}

bool resolve_is_reference(const struct json *value)
{
    static const char *const names[] = {"source", "provider", "id", "path"};

    if (json_kind(value) != JSON_OBJECT || !json_string(json_get(value, "source"), NULL))
        return false;
    json_each (item, value) {
        bool known = false;
        for (size_t i = 0; i < COUNT(names); i++)
            known = known || strcmp(json_key(item), names[i]) == 0;
        if (!known)
            return false;
    }
    return true;
}

static struct json *reference_env(struct resolver *r, const struct step *at, const char *name)
{
    const char *value = name[0] ? getenv(name) : NULL;

    if (value && value[0] && json_is_utf8(value, strlen(value)))
        return json_new_string(value);
    resolve_issue(r, at,
                  name[0] ? mem_format("the environment variable %s is not set", name)
                          : mem_string("expected an environment variable's name as id"));
    return json_new_string("");
}

/* A secret that others on this machine may read is none. */
static bool is_private(struct resolver *r, const struct step *at, const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0 || (st.st_mode & 077) == 0)
        return true; /* not there: said by the reading */
    resolve_issue(r, at,
                  mem_format("%s may be read by others (mode %04o): chmod 600 it", path,
                             (unsigned)st.st_mode & 07777u));
    return false;
}

static struct json *reference_file(struct resolver *r, const struct step *at, const char *path)
{
    struct fault fault = {0};
    char *text = NULL;
    size_t length = 0;

    if (path[0] != '/') {
        resolve_issue(r, at, mem_string("expected an absolute path of a secret's file"));
        return json_new_string("");
    }
    if (!is_private(r, at, path))
        return json_new_string("");
    if (source_read(path, &text, &length, &fault) < 0) {
        resolve_issue(r, at, mem_string(fault.text));
        return json_new_string("");
    }
    size_t end = length;
    while (end > 0 && strchr(" \t\r\n", text[end - 1]))
        end--;
    text[end] = '\0';
    if (end == 0 || end > RESOLVED_TEXT_MAX || !json_is_utf8(text, end))
        resolve_issue(
            r, at,
            mem_format("%s does not hold one text of at most %d bytes", path, RESOLVED_TEXT_MAX));
    struct json *value =
        json_new_string(end <= RESOLVED_TEXT_MAX && json_is_utf8(text, end) ? text : "");
    mem_wipe_free(text, length);
    return value;
}

static struct json *resolve_reference(struct resolver *r, const struct step *at,
                                      const struct json *in)
{
    const char *source = json_string(json_get(in, "source"), "");
    const char *id = json_string(json_get(in, "id"), "");

    if (strcmp(source, "env") == 0)
        return reference_env(r, at, id);
    if (strcmp(source, "file") == 0)
        return reference_file(r, at, json_string(json_get(in, "path"), id));
    resolve_issue(r, at,
                  mem_string("only secrets with source env or file can be read; put the secret in "
                             "an environment variable or in a file of its own"));
    return json_new_string("");
}

static struct json *resolve_value(struct resolver *r, const struct step *at, const struct json *in)
{
    size_t index = 0;

    if (at && rows_unused(at))
        return json_copy(in);
    if (json_kind(in) == JSON_STRING)
        return resolve_string(r, at, json_string(in, ""));
    if (resolve_is_reference(in))
        return resolve_reference(r, at, in);
    if (json_kind(in) != JSON_OBJECT && json_kind(in) != JSON_ARRAY)
        return json_copy(in);
    bool object = json_kind(in) == JSON_OBJECT;
    struct json *out = object ? json_new_object() : json_new_array();
    json_each (item, in) {
        struct step below = step_to(at, item, index++);
        struct json *value = resolve_value(r, &below, item);
        if (object)
            json_put(out, json_key(item), value);
        else
            json_append(out, value);
    }
    return out;
}

struct json *resolve(const struct json *merged, const struct sources *sources,
                     struct issues *issues)
{
    struct resolver r = {sources, issues};

    return resolve_value(&r, NULL, merged);
}
