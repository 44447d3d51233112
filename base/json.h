/* The JSON door: a pure scanner that runs before anything is built, the tree (cJSON behind it), and
 * the writer that prints replies straight into a buffer. design.md section 4. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* ---- scanner: bytes in, verdict out; no allocation that outlives the call ---- */

#define JSON_DEPTH_MAX  64
#define JSON_VALUES_MAX 100000

struct json_slice {
    const char *at; /* borrowed from the scanned text; NULL when absent */
    size_t length;
};

/* Strict RFC 8259 grammar and UTF-8, exactly one value, no \u0000 (nor lone surrogates), no two equal
 * keys in one object, at most JSON_DEPTH_MAX levels and JSON_VALUES_MAX values, no integer literal
 * beyond ±2^53. 0, -ERR_INVALID (no JSON), or -ERR_UNSUPPORTED (JSON of which we take less); the fault says
 * what and at which byte. Any thread. Linear in length
 * (a hashed key set above a few keys). */
int json_scan(const char *text, size_t length, struct fault *reterr_fault);

/* As json_scan, and for a top-level object also the raw value slices of the wanted members
 * (strings with their quotes). wanted is NULL-terminated; ret_values has one slot per name and is
 * zeroed first. A top level that is not an object is -ERR_INVALID. Other members are only checked.
 * On failure the members that were read whole before the trouble are there. */
int json_scan_members(const char *text, size_t length, const char *const *wanted,
                      struct json_slice *ret_values, struct fault *reterr_fault);

/* True when length bytes are valid UTF-8 without NUL. */
bool json_is_utf8(const char *text, size_t length);

/* ---- tree ---- */

struct json; /* opaque; a parsed or built value. A child belongs to its parent. */

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* Scan, then build. NULL on failure (fault filled). Caller owns: json_free. */
struct json *json_parse(const char *text, size_t length, struct fault *reterr_fault) MUSTCHECK;
/* JSON5 (comments, trailing commas, unquoted keys, single quotes, hex, +, Infinity refused), with the
 * same limits and the same verdict on duplicate keys; the fault names line and column. Strings may
 * not contain NUL. For configuration files. */
struct json *json5_parse(const char *text, size_t length, struct fault *reterr_fault) MUSTCHECK;
struct json *json_free(struct json *j); /* NULL allowed; returns NULL; only for a root */
DEFINE_CLEAN(struct json *, json_free)

enum json_kind json_kind(const struct json *j);  /* NULL counts as JSON_NULL */
const char *json_kind_name(enum json_kind kind); /* "object", "array", … */
const struct json *json_get(const struct json *object,
                            const char *key); /* exact case; NULL: absent */
const struct json *json_path(const struct json *object, const char *dotted); /* "a.b.c" */
const struct json *json_at(const struct json *array, size_t index);
size_t json_count(const struct json *container);
const struct json *json_first(const struct json *container);
const struct json *json_next(const struct json *member);
const char *json_key(const struct json *member); /* NULL inside arrays */
#define json_each(item, container)                                                                 \
    for (const struct json *item = json_first(container); item; item = json_next(item))

/* Value or the given default when j is NULL or of another kind. Strings are borrowed. */
const char *json_string(const struct json *j, const char *otherwise);
double json_number(const struct json *j, double otherwise);
int64_t json_integer(const struct json *j,
                     int64_t otherwise); /* also when not integral: otherwise */
bool json_boolean(const struct json *j, bool otherwise);
bool json_is_integer(const struct json *j);
bool json_equal(const struct json *a, const struct json *b); /* key order does not matter */

/* Building and editing (configuration documents). The container owns what is put in it. */
struct json *json_new_object(void) MUSTCHECK;
struct json *json_new_array(void) MUSTCHECK;
struct json *json_new_string(const char *text) MUSTCHECK;
struct json *json_new_number(double number) MUSTCHECK;
struct json *json_new_boolean(bool value) MUSTCHECK;
struct json *json_new_null(void) MUSTCHECK;
struct json *json_copy(const struct json *j) MUSTCHECK;
struct json *json_edit(const struct json *object, const char *key); /* as json_get, to be changed */
struct json *json_edit_at(struct json *array, size_t index);
void json_put(struct json *object, const char *key, struct json *value); /* replaces; takes value */
void json_remove(struct json *object, const char *key);                  /* absent is fine */
void json_append(struct json *array, struct json *value);                /* takes value */
/* RFC 7386 merge patch, in place: null deletes. patch is borrowed. target must be an object. */
void json_merge_patch(struct json *target, const struct json *patch);

/* Compact text; indent 2 when pretty. Caller owns: mem_free. */
char *json_print(const struct json *j, bool pretty) MUSTCHECK;

/* ---- writer ---- */

/* Prints one value after another into out with commas where they belong. Errors show as out->bad.
 * A NULL string, slice or tree given with a key is left out: absent fields are never null. */
struct json_writer {
    struct buf *out; /* borrowed */
    bool comma;      /* one goes before the next key or value */
    unsigned depth;  /* open objects and arrays */
};

void jw_init(struct json_writer *w, struct buf *out);
void jw_object(struct json_writer *w); /* { */
void jw_object_end(struct json_writer *w);
void jw_array(struct json_writer *w); /* [ */
void jw_array_end(struct json_writer *w);
void jw_key(struct json_writer *w, const char *key);  /* then exactly one value */
void jw_str(struct json_writer *w, const char *text); /* bytes that are not UTF-8 become U+FFFD */
void jw_strn(struct json_writer *w, const char *text, size_t length);
void jw_int(struct json_writer *w, int64_t value);
void jw_num(struct json_writer *w, double value); /* shortest text that reads back; NaN: null */
void jw_bool(struct json_writer *w, bool value);
void jw_null(struct json_writer *w);
void jw_raw(struct json_writer *w, const char *json, size_t length); /* already valid JSON */
void jw_tree(struct json_writer *w, const struct json *j);

void jw_kobject(struct json_writer *w, const char *key); /* key and { */
void jw_karray(struct json_writer *w, const char *key);
void jw_kstr(struct json_writer *w, const char *key, const char *text); /* nothing when text NULL */
void jw_kint(struct json_writer *w, const char *key, int64_t value);
void jw_knum(struct json_writer *w, const char *key, double value);
void jw_kbool(struct json_writer *w, const char *key, bool value);
void jw_knull(struct json_writer *w, const char *key);
void jw_kraw(struct json_writer *w, const char *key, const char *json);      /* nothing when NULL */
void jw_ktree(struct json_writer *w, const char *key, const struct json *j); /* nothing when NULL */
