/* The tables of the configuration: scalars (knobs.def), structured parts (parts.c) and the keys of
 * OpenClaw that we know and do not use (unused.def). Everything else reads them: the check, the
 * schema, redaction, reload classes. Constant; any thread. */
#pragma once

#include "base/field.h"
#include "gateway/config/config.h"
#include "gateway/config/path.h"

enum knob_kind {
    KIND_STR,    /* min, max: bytes */
    KIND_SECRET, /* the same, redacted */
    KIND_INT,
    KIND_BOOL,
    KIND_ENUM, /* one of names */
};

/* NONE: a part that is checked and that nothing in this version reads yet: a warning. */
enum reload_class { RELOAD_HOT, RELOAD_RESTART, RELOAD_NONE };

struct knob_row {
    const char *path;
    enum knob_kind kind;
    const char *otherwise; /* as text; NULL: none */
    double min, max;
    const char *names; /* "a|b|c"; the name ADDR stands for an IP address */
    enum reload_class reload;
    const char *help;
};

/* Flags of field rows in parts, beside those of base/field.h. */
enum {
    FIELD_UNUSED = 1 << 16,    /* checked and not used: a warning */
    FIELD_SECRET = 1 << 17,    /* redacted */
    FIELD_OR_STRING = 1 << 18, /* a string is allowed as well */
    FIELD_NUMBERS = 1 << 19,   /* STRS: numbers are allowed as well */
    FIELD_OR_BOOL = 1 << 20,   /* true and false are allowed as well */
    FIELD_NO_ADMIN = 1 << 22,  /* STRS: operator.admin is not given this way */
    FIELD_ID = 1 << 21,        /* STR: an id in its normal form; MAP: its keys are such */
};

struct part_row {
    const char *path;
    struct field field; /* what the value must be; its key is not used */
    enum reload_class reload;
    const char *help;
};

/* The one object that may be given as a string, which is then its member "primary". */
#define ROWS_SHORT_FORM "agents.defaults.model"

extern const struct knob_row knob_rows[KNOB_COUNT];
extern const struct part_row part_rows[]; /* ended by path NULL */
extern const char *const unused_rows[];   /* ended by NULL; "a.b" covers all below it */

/* The row of exactly this path, or NULL. */
const struct knob_row *rows_knob(const char *path);
const struct part_row *rows_part(const char *path);
/* The part a path stands in or is, or NULL. */
const struct part_row *rows_part_of(const char *path);
/* True when the place is, or lies in, one that we know and do not use. */
bool rows_unused(const struct step *at);
/* The field row of a place inside a part, NULL when there is none. */
const struct field *rows_field(const struct step *at);
/* True when a string at this place is a secret: by its row, or by its key's name (token, password,
 * secret, apiKey …) where no row tells. */
bool rows_secret(const struct step *at);
/* True when some row begins with path and a dot. */
bool rows_parent(const char *path);

/* The child keys that the tables know below path ("" for the top), in no order, each perhaps more than
 * once: fn is called with a slice. */
typedef void rows_child_fn(void *arg, const char *key, size_t length);
void rows_children(const char *path, rows_child_fn *fn, void *arg);

/* Text as the row's kind, "true"/"12"/"lan". False when the row does not allow it. */
bool knob_parse(const struct knob_row *row, const char *text, int64_t *ret_number);
/* The place of text in row->names, or -1. */
int knob_name_index(const struct knob_row *row, const char *text);
/* An id in its normal form: a to z, 0 to 9, _ and -, at most 64, not - or _ first. */
bool rows_is_id(const char *text);
/* What the row expects, for a person: "an integer from 0 to 65535". The caller owns it. */
char *knob_expected(const struct knob_row *row) MUSTCHECK;
