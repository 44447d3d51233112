/* Finding rows by path, and what a scalar row allows. The tables are small (hundreds of rows) and are
 * read only when a configuration is loaded: plain walks. */
#include "gateway/config/rows.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

/* Does path stand below (or at) row, whose segment * matches any one segment? */
static bool is_in(const char *path, const char *row)
{
    for (;;) {
        size_t want = strcspn(row, "."), have = strcspn(path, ".");
        bool any = want == 1 && row[0] == '*';
        if (have == 0 || (!any && (want != have || memcmp(row, path, want) != 0)))
            return false;
        row += want;
        path += have;
        if (!*row)
            return true;
        if (!*path)
            return false;
        row++;
        path++;
    }
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

bool rows_unused(const char *path)
{
    for (const char *const *row = unused_rows; *row; row++) {
        if (is_in(path, *row))
            return true;
    }
    return false;
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
