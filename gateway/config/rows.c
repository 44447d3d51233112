/* Finding rows by path, and what a scalar row allows. The tables are small (hundreds of rows) and are
 * read only when a configuration is loaded: plain walks. */
#include "gateway/config/rows.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct knob_row knob_rows[KNOB_COUNT] = {
#define KNOB(id, path_, kind_, otherwise_, min_, max_, reload_, help_)                             \
    [KNOB_##id] = {.path = path_,                                                                  \
                   .kind = KIND_##kind_,                                                           \
                   .otherwise = otherwise_,                                                        \
                   .min = min_,                                                                    \
                   .max = max_,                                                                    \
                   .reload = RELOAD_##reload_,                                                     \
                   .help = help_},
#define KNOB_ENUM(id, path_, names_, otherwise_, reload_, help_)                                   \
    [KNOB_##id] = {.path = path_,                                                                  \
                   .kind = KIND_ENUM,                                                              \
                   .otherwise = otherwise_,                                                        \
                   .names = names_,                                                                \
                   .reload = RELOAD_##reload_,                                                     \
                   .help = help_},
#include "gateway/config/knobs.def"
#undef KNOB
#undef KNOB_ENUM
};

const char *const unused_rows[] = {
#define UNUSED(path) path,
#include "gateway/config/unused.def"
#undef UNUSED
    NULL,
};

/* Does row, whose segment * matches any one key, lead to the place or to something above it? Returns how
 * many steps the row takes, 0: it does not. Compared step by step, because keys may hold dots. */
static size_t row_covers(const char *row, const struct step *const *steps, size_t count)
{
    size_t used = 0;

    while (used < count) {
        size_t length = strcspn(row, ".");
        const char *key = steps[used++]->key;
        bool any = length == 1 && row[0] == '*';
        if (!any && (!key || strlen(key) != length || memcmp(row, key, length) != 0))
            return 0;
        row += length;
        if (!*row)
            return used;
        row++;
    }
    return 0;
}

/* Does path stand below (or at) row? */
static bool is_in(const char *path, const char *row)
{
    size_t length = strlen(row);

    return !strncmp(path, row, length) && (path[length] == '\0' || path[length] == '.');
}

const struct knob_row *rows_knob(const char *path)
{
    for (size_t i = 0; i < COUNT(knob_rows); i++) {
        if (strcmp(knob_rows[i].path, path) == 0)
            return &knob_rows[i];
    }
    return NULL;
}

const struct part_row *rows_part(const char *path)
{
    for (const struct part_row *row = part_rows; row->path; row++) {
        if (strcmp(row->path, path) == 0)
            return row;
    }
    return NULL;
}

const struct part_row *rows_part_of(const char *path)
{
    for (const struct part_row *row = part_rows; row->path; row++) {
        if (is_in(path, row->path))
            return row;
    }
    return NULL;
}

bool rows_unused(const struct step *at)
{
    const struct step *steps[JSON_DEPTH_MAX];
    size_t count = step_list(at, steps, COUNT(steps));

    for (const char *const *row = unused_rows; *row; row++) {
        if (row_covers(*row, steps, count))
            return true;
    }
    return false;
}

/* One step further down from a row. */
static const struct field *field_below(const struct field *row, const struct step *step)
{
    if (row->kind == FIELD_MAP)
        return row->sub;
    if (row->kind == FIELD_OBJECTS && !step->key)
        return row; /* an item: its members come next */
    if ((row->kind != FIELD_OBJECT && row->kind != FIELD_OBJECTS) || !step->key)
        return NULL;
    for (const struct field *sub = row->sub; sub->kind != FIELD_END; sub++) {
        if (strcmp(sub->key, step->key) == 0)
            return sub;
    }
    return NULL;
}

const struct field *rows_field(const struct step *at)
{
    const struct step *steps[JSON_DEPTH_MAX];
    size_t count = step_list(at, steps, COUNT(steps));

    for (const struct part_row *part = part_rows; part->path; part++) {
        const struct field *row = &part->field;
        size_t used = row_covers(part->path, steps, count);
        if (used == 0)
            continue;
        while (row && used < count)
            row = field_below(row, steps[used++]);
        return row;
    }
    return NULL;
}

static bool is_secret_name(const char *key)
{
    static const char *const endings[] = {"token",  "password",   "passphrase", "secret",
                                          "apikey", "privatekey", "secretkey",  "credential"};
    size_t length = strlen(key);

    for (size_t i = 0; i < COUNT(endings); i++) {
        size_t n = strlen(endings[i]);
        if (length >= n && strcasecmp(key + length - n, endings[i]) == 0)
            return true;
    }
    return false;
}

bool rows_secret(const struct step *at)
{
    char path[CONFIG_PATH_MAX];
    const struct knob_row *knob = rows_knob(step_text(at, path, sizeof(path)));
    const struct field *field = rows_field(at);

    if (knob)
        return knob->kind == KIND_SECRET;
    if (field && (field->flags & FIELD_SECRET))
        return true;
    for (; at && !at->key; at = at->up)
        ; /* an item is as secret as its list */
    return at && is_secret_name(at->key);
}

struct parent_search {
    bool found;
};

static void on_any_child(void *arg, const char *key, size_t length)
{
    struct parent_search *search = arg;

    (void)key;
    search->found = search->found || length > 0;
}

bool rows_parent(const char *path)
{
    struct parent_search search = {false};

    rows_children(path, on_any_child, &search);
    return search.found;
}

static void child_of(const char *row, const char *path, rows_child_fn *fn, void *arg)
{
    size_t length = strlen(path);

    if (length > 0) {
        if (strncmp(row, path, length) != 0 || row[length] != '.')
            return;
        row += length + 1;
    }
    if (row[0] != '*')
        fn(arg, row, strcspn(row, "."));
}

void rows_children(const char *path, rows_child_fn *fn, void *arg)
{
    for (size_t i = 0; i < COUNT(knob_rows); i++)
        child_of(knob_rows[i].path, path, fn, arg);
    for (const struct part_row *row = part_rows; row->path; row++)
        child_of(row->path, path, fn, arg);
    for (const char *const *row = unused_rows; *row; row++)
        child_of(*row, path, fn, arg);
}

bool rows_is_id(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-");

    return length > 0 && length <= 64 && !text[length] && text[0] != '-' && text[0] != '_';
}

static bool is_address(const char *text)
{
    struct in6_addr address;

    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

int knob_name_index(const struct knob_row *row, const char *text)
{
    size_t length = strlen(text);
    int index = 0;

    for (const char *name = row->names; *name; index++) {
        size_t n = strcspn(name, "|");
        if (n == 4 && !memcmp(name, "ADDR", 4) ? is_address(text)
                                               : n == length && !memcmp(name, text, n))
            return index;
        name += n + (name[n] == '|');
    }
    return -1;
}

static bool parse_integer(const struct knob_row *row, const char *text, int64_t *ret)
{
    char *end;

    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || (double)value < row->min || (double)value > row->max)
        return false;
    *ret = value;
    return true;
}

bool knob_parse(const struct knob_row *row, const char *text, int64_t *ret_number)
{
    size_t length = strlen(text);

    *ret_number = 0;
    switch (row->kind) {
    case KIND_INT: return parse_integer(row, text, ret_number);
    case KIND_BOOL:
        *ret_number = strcmp(text, "true") == 0;
        return *ret_number || strcmp(text, "false") == 0;
    case KIND_ENUM: *ret_number = knob_name_index(row, text); return *ret_number >= 0;
    case KIND_STR:
    case KIND_SECRET: return (double)length >= row->min && (double)length <= row->max;
    }
    return false;
}

static char *expected_names(const char *names)
{
    CLEAN(buf_done) struct buf out;

    buf_init(&out, 4096);
    for (const char *name = names; *name;) {
        size_t n = strcspn(name, "|");
        if (n == 4 && !memcmp(name, "ADDR", 4))
            buf_add_str(&out, "an IP address");
        else
            buf_addf(&out, "\"%.*s\"", (int)n, name);
        name += n + (name[n] == '|');
        if (*name)
            buf_add_str(&out, strchr(name, '|') ? ", " : " or ");
    }
    return buf_take(&out);
}

char *knob_expected(const struct knob_row *row)
{
    switch (row->kind) {
    case KIND_INT: return mem_format("an integer from %.0f to %.0f", row->min, row->max);
    case KIND_BOOL: return mem_string("true or false");
    case KIND_ENUM: return expected_names(row->names);
    case KIND_STR:
    case KIND_SECRET:
        return row->min > 0 ? mem_format("a string of %.0f to %.0f bytes", row->min, row->max)
                            : mem_format("a string of at most %.0f bytes", row->max);
    }
    return mem_string("");
}
