/* Field tables: one row per member decodes a JSON object into a struct, says what is wrong with it in
 * the words the protocol's clients know, checks replies in test builds, and prints JSON Schema. */
#pragma once

#include "base/json.h"

enum field_kind {
    FIELD_END,
    FIELD_STR,     /* const char *, borrowed from the tree */
    FIELD_INT,     /* int64_t */
    FIELD_NUM,     /* double */
    FIELD_BOOL,    /* bool */
    FIELD_ENUM,    /* int: index into names; absent: otherwise */
    FIELD_STRS,    /* const struct json *: array of strings */
    FIELD_OBJECT,  /* nested struct, decoded by sub */
    FIELD_OBJECTS, /* const struct json *: array, each item checked against sub */
    FIELD_MAP,     /* const struct json *: object whose values all match `sub[0]` (sub NULL: any) */
    FIELD_ANY,     /* const struct json *; with names: true, false or one of them */
    FIELD_ARRAY,   /* const struct json *: array of anything */
};

enum {
    FIELD_REQUIRED = 1,
    FIELD_NULLABLE = 2,  /* null is allowed; see struct field_set */
    FIELD_NONEMPTY = 4,  /* strings: at least one byte that is not blank */
    FIELD_ALIAS = 8,     /* another spelling of the row before it (same destination) */
};

struct field {
    const char *key;
    enum field_kind kind;
    unsigned flags;
    size_t at;                /* offsetof the destination; unused when only checking */
    size_t set_at;            /* offsetof its struct field_set member, or FIELD_NO_SET */
    double min, max;          /* INT, NUM: range. STR: max code points. STRS, OBJECTS, ARRAY: max items */
    double otherwise;         /* INT, NUM, BOOL, ENUM when absent */
    const char *const *names; /* ENUM: NULL-terminated */
    const struct field *sub;
    const char *help;         /* one sentence for the schema, may be NULL */
};

#define FIELD_NO_SET ((size_t)-1)

/* Tells absent, null and given apart where that matters (sessions.patch: null clears). */
struct field_set {
    bool given; /* the key was there, also as null */
    bool null;
};

/* What a reply or a parameter object looks like from outside. */
struct shape {
    enum field_kind kind;       /* FIELD_OBJECT, FIELD_OBJECTS (array of), FIELD_ANY, FIELD_ARRAY */
    const struct field *fields; /* rows, ended by F_END */
    bool nullable;
};

/* A maximum of 0 or from here on is none, in the check and in the schema alike. */
#define FIELD_UNBOUNDED     1e15
#define FIELD_NUM_UNBOUNDED 1e308
/* What a FIELD_NONEMPTY string must match, as the schema prints it. */
#define FIELD_NONEMPTY_PATTERN "[^ \\t\\n\\v\\f\\r]"

#define REQUIRED FIELD_REQUIRED
#define OPTIONAL 0u

/* clang-format off */
/* t is the struct, m its member whose name is also the JSON key; the _K forms give another key. */
#define F_STR_K(t, k, m, f, cap) {.key = k, .kind = FIELD_STR, .flags = (f), .at = offsetof(struct t, m), .set_at = FIELD_NO_SET, .max = (cap)}
#define F_STR(t, m, f, cap) F_STR_K(t, #m, m, f, cap)
#define F_INT_K(t, k, m, f, lo, hi, other) {.key = k, .kind = FIELD_INT, .flags = (f), .at = offsetof(struct t, m), .set_at = FIELD_NO_SET, .min = (lo), .max = (hi), .otherwise = (other)}
#define F_INT(t, m, f, lo, hi, other) F_INT_K(t, #m, m, f, lo, hi, other)
#define F_NUM(t, m, f, lo, hi, other) {.key = #m, .kind = FIELD_NUM, .flags = (f), .at = offsetof(struct t, m), .set_at = FIELD_NO_SET, .min = (lo), .max = (hi), .otherwise = (other)}
#define F_BOOL(t, m, f, other) {.key = #m, .kind = FIELD_BOOL, .flags = (f), .at = offsetof(struct t, m), .set_at = FIELD_NO_SET, .otherwise = (other)}
#define F_ENUM(t, m, f, list, other) {.key = #m, .kind = FIELD_ENUM, .flags = (f), .at = offsetof(struct t, m), .set_at = FIELD_NO_SET, .names = (list), .otherwise = (other)}
#define F_STRS(t, m, f, cap) {.key = #m, .kind = FIELD_STRS, .flags = (f), .at = offsetof(struct t, m), .set_at = FIELD_NO_SET, .max = (cap)}
#define F_OBJECT(t, m, f, rows) {.key = #m, .kind = FIELD_OBJECT, .flags = (f), .at = offsetof(struct t, m), .set_at = FIELD_NO_SET, .sub = (rows)}
#define F_OBJECTS(t, m, f, rows, cap) {.key = #m, .kind = FIELD_OBJECTS, .flags = (f), .at = offsetof(struct t, m), .set_at = FIELD_NO_SET, .sub = (rows), .max = (cap)}
#define F_ANY(t, m, f) {.key = #m, .kind = FIELD_ANY, .flags = (f), .at = offsetof(struct t, m), .set_at = FIELD_NO_SET}
#define F_ARRAY(t, m, f, cap) {.key = #m, .kind = FIELD_ARRAY, .flags = (f), .at = offsetof(struct t, m), .set_at = FIELD_NO_SET, .max = (cap)}
#define F_MAP(t, m, f, rows) {.key = #m, .kind = FIELD_MAP, .flags = (f), .at = offsetof(struct t, m), .set_at = FIELD_NO_SET, .sub = (rows)}
/* Nullable, told apart: s is the struct field_set member beside m. */
#define F_STR_SET(t, m, s, f, cap) {.key = #m, .kind = FIELD_STR, .flags = (f) | FIELD_NULLABLE, .at = offsetof(struct t, m), .set_at = offsetof(struct t, s), .max = (cap)}
#define F_INT_SET(t, m, s, f, lo, hi, other) {.key = #m, .kind = FIELD_INT, .flags = (f) | FIELD_NULLABLE, .at = offsetof(struct t, m), .set_at = offsetof(struct t, s), .min = (lo), .max = (hi), .otherwise = (other)}
#define F_NUM_SET(t, m, s, f, lo, hi, other) {.key = #m, .kind = FIELD_NUM, .flags = (f) | FIELD_NULLABLE, .at = offsetof(struct t, m), .set_at = offsetof(struct t, s), .min = (lo), .max = (hi), .otherwise = (other)}
#define F_BOOL_SET(t, m, s, f, other) {.key = #m, .kind = FIELD_BOOL, .flags = (f) | FIELD_NULLABLE, .at = offsetof(struct t, m), .set_at = offsetof(struct t, s), .otherwise = (other)}
#define F_ENUM_SET(t, m, s, f, list, other) {.key = #m, .kind = FIELD_ENUM, .flags = (f) | FIELD_NULLABLE, .at = offsetof(struct t, m), .set_at = offsetof(struct t, s), .names = (list), .otherwise = (other)}
#define F_STRS_SET(t, m, s, f, cap) {.key = #m, .kind = FIELD_STRS, .flags = (f) | FIELD_NULLABLE, .at = offsetof(struct t, m), .set_at = offsetof(struct t, s), .max = (cap)}
#define F_ANY_SET(t, m, s, f) {.key = #m, .kind = FIELD_ANY, .flags = (f) | FIELD_NULLABLE, .at = offsetof(struct t, m), .set_at = offsetof(struct t, s)}
#define F_END {.kind = FIELD_END}

/* Rows of replies: nothing is decoded, so no struct. */
#define R_STR(k, f) {.key = k, .kind = FIELD_STR, .flags = (f), .set_at = FIELD_NO_SET, .max = 1e15}
#define R_INT(k, f) {.key = k, .kind = FIELD_INT, .flags = (f), .set_at = FIELD_NO_SET, .min = -9007199254740992.0, .max = 9007199254740992.0}
#define R_NUM(k, f) {.key = k, .kind = FIELD_NUM, .flags = (f), .set_at = FIELD_NO_SET, .min = -1e308, .max = 1e308}
#define R_BOOL(k, f) {.key = k, .kind = FIELD_BOOL, .flags = (f), .set_at = FIELD_NO_SET}
#define R_ENUM(k, f, list) {.key = k, .kind = FIELD_ENUM, .flags = (f), .set_at = FIELD_NO_SET, .names = (list)}
#define R_STRS(k, f) {.key = k, .kind = FIELD_STRS, .flags = (f), .set_at = FIELD_NO_SET, .max = 1e15}
#define R_OBJECT(k, f, rows) {.key = k, .kind = FIELD_OBJECT, .flags = (f), .set_at = FIELD_NO_SET, .sub = (rows)}
#define R_OBJECTS(k, f, rows) {.key = k, .kind = FIELD_OBJECTS, .flags = (f), .set_at = FIELD_NO_SET, .sub = (rows), .max = 1e15}
#define R_MAP(k, f, rows) {.key = k, .kind = FIELD_MAP, .flags = (f), .set_at = FIELD_NO_SET, .sub = (rows)}
#define R_ANY(k, f) {.key = k, .kind = FIELD_ANY, .flags = (f), .set_at = FIELD_NO_SET}
#define R_ARRAY(k, f) {.key = k, .kind = FIELD_ARRAY, .flags = (f), .set_at = FIELD_NO_SET, .max = 1e15}
/* clang-format on */

/* Decode object (NULL or JSON null count as {}) into dest, which is zeroed to size first; defaults
 * are filled in. Unknown keys are ignored. Borrowed pointers live as long as the tree. On failure
 * -ERR_INVALID with the reference's wording: "at /client/id: must be equal to one of the allowed
 * values", "must have required property 'key'" (protocol.md 2.5; at the root the live
 * validator names no place). */
int field_decode(const struct field *fields, const struct json *object, void *dest, size_t size,
                 struct fault *reterr_fault);

/* Check a value against a shape without decoding; unknown keys are allowed. Same wording. */
int field_check(const struct shape *shape, const struct json *value, struct fault *reterr_fault);

/* Print the JSON Schema (draft 2020-12) of a shape as one value. What the schema accepts and what
 * field_decode accepts are the same set (lengths count Unicode code points in both). */
void field_schema(const struct shape *shape, struct json_writer *w);
