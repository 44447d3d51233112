/* The cJSON door. A struct json is a cJSON node seen through an opaque name: reading, building and
 * editing. Text goes through the scanner first (json_scan.c) and comes out through our writer
 * (json_writer.c), because cJSON's own printing loses precision. */
#include "base/json_internal.h"

#include "base/mem.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

static const cJSON *node(const struct json *j)
{
    return (const cJSON *)(const void *)j;
}

static cJSON *node_edit(struct json *j)
{
    return (cJSON *)(void *)j;
}

static struct json *json_of(cJSON *n)
{
    require(n != NULL);
    return (struct json *)(void *)n;
}

static const struct json *json_of_const(const cJSON *n)
{
    return (const struct json *)(const void *)n;
}

/* ---- text ---- */

struct json *json_parse(const char *text, size_t length, struct fault *reterr_fault)
{
    if (json_scan(text, length, reterr_fault) < 0)
        return NULL;
    cJSON *n = cJSON_ParseWithLength(text, length);
    if (n)
        return json_of(n);
    fault_set(reterr_fault, -ERR_BUG, "the JSON library refused text that the scanner passed");
    return NULL;
}

struct json *json_free(struct json *j)
{
    cJSON_Delete(node_edit(j));
    return NULL;
}

/* ---- reading ---- */

enum json_kind json_kind(const struct json *j)
{
    if (!j)
        return JSON_NULL;
    switch (node(j)->type & 0xff) {
    case cJSON_False:
    case cJSON_True: return JSON_BOOL;
    case cJSON_Number: return JSON_NUMBER;
    case cJSON_String: return JSON_STRING;
    case cJSON_Array: return JSON_ARRAY;
    case cJSON_Object: return JSON_OBJECT;
    default: return JSON_NULL;
    }
}

const char *json_kind_name(enum json_kind kind)
{
    static const char *const names[] = {"null", "boolean", "number", "string", "array", "object"};

    return names[kind];
}

static bool is_container(const struct json *j)
{
    enum json_kind kind = json_kind(j);

    return kind == JSON_OBJECT || kind == JSON_ARRAY;
}

static const struct json *get_key(const struct json *object, const char *key, size_t length)
{
    if (json_kind(object) != JSON_OBJECT)
        return NULL;
    for (const cJSON *n = node(object)->child; n; n = n->next)
        if (strncmp(n->string, key, length) == 0 && n->string[length] == '\0')
            return json_of_const(n);
    return NULL;
}

const struct json *json_get(const struct json *object, const char *key)
{
    return get_key(object, key, strlen(key));
}

const struct json *json_path(const struct json *object, const char *dotted)
{
    const char *dot = strchrnul(dotted, '.');
    const struct json *member = get_key(object, dotted, (size_t)(dot - dotted));

    return *dot == '\0' || !member ? member : json_path(member, dot + 1);
}

const struct json *json_at(const struct json *array, size_t index)
{
    if (json_kind(array) != JSON_ARRAY)
        return NULL;
    const struct json *item = json_first(array);
    while (item && index-- > 0)
        item = json_next(item);
    return item;
}

size_t json_count(const struct json *container)
{
    size_t count = 0;

    json_each (item, container)
        count++;
    return count;
}

const struct json *json_first(const struct json *container)
{
    return is_container(container) ? json_of_const(node(container)->child) : NULL;
}

const struct json *json_next(const struct json *member)
{
    return json_of_const(node(member)->next);
}

const char *json_key(const struct json *member)
{
    return node(member)->string;
}

const char *json_string(const struct json *j, const char *otherwise)
{
    return json_kind(j) == JSON_STRING ? node(j)->valuestring : otherwise;
}

double json_number(const struct json *j, double otherwise)
{
    return json_kind(j) == JSON_NUMBER ? node(j)->valuedouble : otherwise;
}

bool json_is_integer(const struct json *j)
{
    double d = json_number(j, NAN);

    /* Beyond 2^53 every double is integral, but says nothing about the number that was meant. */
    return d == floor(d) && fabs(d) <= 9007199254740992.0;
}

int64_t json_integer(const struct json *j, int64_t otherwise)
{
    return json_is_integer(j) ? (int64_t)node(j)->valuedouble : otherwise;
}

bool json_boolean(const struct json *j, bool otherwise)
{
    return json_kind(j) == JSON_BOOL ? (node(j)->type & 0xff) == cJSON_True : otherwise;
}

static bool json_equal_items(const struct json *a, const struct json *b)
{
    const struct json *ia = json_first(a), *ib = json_first(b);

    while (ia && ib && json_equal(ia, ib)) {
        ia = json_next(ia);
        ib = json_next(ib);
    }
    return !ia && !ib;
}

static bool json_equal_members(const struct json *a, const struct json *b)
{
    const struct json *mb = json_first(b);

    if (json_count(a) != json_count(b))
        return false;
    json_each (ma, a) {
        /* Mostly both are in the same order; only where not, look the key up. */
        bool same = mb && strcmp(json_key(ma), json_key(mb)) == 0;
        const struct json *other = same ? mb : json_get(b, json_key(ma));
        if (!other || !json_equal(ma, other))
            return false;
        mb = mb ? json_next(mb) : NULL;
    }
    return true;
}

bool json_equal(const struct json *a, const struct json *b)
{
    enum json_kind kind = json_kind(a);

    if (kind != json_kind(b))
        return false;
    switch (kind) {
    case JSON_BOOL: return json_boolean(a, false) == json_boolean(b, false);
    case JSON_NUMBER: return node(a)->valuedouble == node(b)->valuedouble;
    case JSON_STRING: return strcmp(node(a)->valuestring, node(b)->valuestring) == 0;
    case JSON_ARRAY: return json_equal_items(a, b);
    case JSON_OBJECT: return json_equal_members(a, b);
    case JSON_NULL: break;
    }
    return true;
}

/* ---- building ---- */

struct json *json_new_object(void)
{
    return json_of(cJSON_CreateObject());
}

struct json *json_new_array(void)
{
    return json_of(cJSON_CreateArray());
}

struct json *json_new_string(const char *text)
{
    return json_of(cJSON_CreateString(text));
}

struct json *json_new_number(double number)
{
    return isfinite(number) ? json_of(cJSON_CreateNumber(number)) : json_new_null();
}

struct json *json_new_boolean(bool value)
{
    return json_of(cJSON_CreateBool(value));
}

struct json *json_new_null(void)
{
    return json_of(cJSON_CreateNull());
}

struct json *json_copy(const struct json *j)
{
    return j ? json_of(cJSON_Duplicate(node(j), /* recurse= */ true)) : json_new_null();
}

struct json *json_edit(const struct json *object, const char *key)
{
    if (json_kind(object) != JSON_OBJECT)
        return NULL;
    return (struct json *)(void *)cJSON_GetObjectItemCaseSensitive(node(object), key);
}

struct json *json_edit_at(struct json *array, size_t index)
{
    if (json_kind(array) != JSON_ARRAY || index > INT32_MAX)
        return NULL;
    return (struct json *)(void *)cJSON_GetArrayItem(node(array), (int)index);
}

void json_put(struct json *object, const char *key, struct json *value)
{
    require(json_kind(object) == JSON_OBJECT && value != NULL && value != object);
    cJSON *old = cJSON_GetObjectItemCaseSensitive(node(object), key);

    if (!old) {
        require(cJSON_AddItemToObject(node_edit(object), key, node_edit(value)));
        return;
    }
    /* ReplaceItemInObject also gives the value its key and frees the old one. */
    require(cJSON_ReplaceItemInObjectCaseSensitive(node_edit(object), key, node_edit(value)));
}

void json_remove(struct json *object, const char *key)
{
    require(json_kind(object) == JSON_OBJECT);
    cJSON_DeleteItemFromObjectCaseSensitive(node_edit(object), key);
}

void json_append(struct json *array, struct json *value)
{
    require(json_kind(array) == JSON_ARRAY && value != NULL && value != array);
    require(cJSON_AddItemToArray(node_edit(array), node_edit(value)));
}

void json_merge_patch(struct json *target, const struct json *patch)
{
    require(json_kind(target) == JSON_OBJECT);
    json_each (change, patch) {
        const char *key = json_key(change);
        if (!key)
            return; /* a patch that is not an object replaces the whole: not a thing to do in place */
        if (json_kind(change) == JSON_NULL) {
            json_remove(target, key);
        } else if (json_kind(change) != JSON_OBJECT) {
            json_put(target, key, json_copy(change));
        } else {
            if (json_kind(json_get(target, key)) != JSON_OBJECT)
                json_put(target, key, json_new_object());
            json_merge_patch(json_edit(target, key), change);
        }
    }
}
