/* Two walks: out (by the tables' word on what is secret) and back in (by place). */
#include "gateway/config/redact.h"

#include "gateway/config/resolve.h"
#include "gateway/config/rows.h"

#include <string.h>

/* scheme://user:password@host */
static bool has_credentials(const char *text)
{
    const char *scheme = strstr(text, "://");

    if (!scheme)
        return false;
    size_t authority = strcspn(scheme + 3, "/?#");
    const char *at = memchr(scheme + 3, '@', authority);
    return at && memchr(scheme + 3, ':', (size_t)(at - scheme - 3));
}

static bool is_only_variable(const char *text)
{
    size_t length = strlen(text);

    return resolve_has_variable(text) && text[0] == '$' && strchr(text, '}') == text + length - 1;
}

static bool hides(const struct step *at, const char *text)
{
    if (!text[0] || is_only_variable(text) || strcmp(text, REDACTED) == 0)
        return false;
    return rows_secret(at) || has_credentials(text);
}

static struct json *redact_value(const struct step *at, const struct json *in, bool *ret_redacted)
{
    size_t index = 0;

    if (json_kind(in) == JSON_STRING && hides(at, json_string(in, ""))) {
        if (ret_redacted)
            *ret_redacted = true;
        return json_new_string(REDACTED);
    }
    if (json_kind(in) != JSON_OBJECT && json_kind(in) != JSON_ARRAY)
        return json_copy(in);
    bool object = json_kind(in) == JSON_OBJECT;
    struct json *out = object ? json_new_object() : json_new_array();
    json_each (item, in) {
        struct step below = step_to(at, item, index++);
        struct json *value = redact_value(&below, item, ret_redacted);
        if (object)
            json_put(out, json_key(item), value);
        else
            json_append(out, value);
    }
    return out;
}

struct json *redact(const struct json *tree, bool *ret_redacted)
{
    return redact_value(NULL, tree, ret_redacted);
}

/* ---- back in ---- */

struct restore {
    bool restored;
    struct fault *fault;
};

/* What stood at the place of item: by key, by id, or by index. */
static const struct json *counterpart(const struct json *before, const struct json *item,
                                      size_t index)
{
    const char *id = json_string(json_get(item, "id"), NULL);

    if (json_key(item))
        return json_get(before, json_key(item));
    if (!id)
        return json_at(before, index);
    json_each (old, before) {
        if (strcmp(json_string(json_get(old, "id"), ""), id) == 0)
            return old;
    }
    return NULL;
}

static struct json *restore_string(struct restore *r, const struct step *at,
                                   const struct json *before)
{
    char path[CONFIG_PATH_MAX];
    const char *text = json_string(before, NULL);

    if (text && strcmp(text, REDACTED) != 0) {
        r->restored = true;
        return json_new_string(text);
    }
    fault_set(r->fault, -ERR_INVALID,
              "%s is \"" REDACTED "\", which stands for a secret that is not in the configuration; "
              "give its value or leave the key out",
              step_text(at, path, sizeof(path)));
    return NULL;
}

static struct json *restore_value(struct restore *r, const struct step *at, const struct json *in,
                                  const struct json *before)
{
    size_t index = 0;

    if (strcmp(json_string(in, ""), REDACTED) == 0)
        return restore_string(r, at, before);
    if (json_kind(in) != JSON_OBJECT && json_kind(in) != JSON_ARRAY)
        return json_copy(in);
    bool object = json_kind(in) == JSON_OBJECT;
    struct json *out = object ? json_new_object() : json_new_array();
    json_each (item, in) {
        struct step below = step_to(at, item, index);
        const struct json *old = counterpart(before, item, index);
        struct json *value = restore_value(r, &below, item, old);
        index++;
        if (!value)
            return json_free(out);
        if (object)
            json_put(out, json_key(item), value);
        else
            json_append(out, value);
    }
    return out;
}

struct json *redact_restore(const struct json *tree, const struct json *before, bool *ret_restored,
                            struct fault *reterr_fault)
{
    struct restore r = {.fault = reterr_fault};
    struct json *out = restore_value(&r, NULL, tree, before);

    if (out && r.restored && ret_restored)
        *ret_restored = true;
    return out;
}
