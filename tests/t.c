/* The test kit: registration, the runner, checks that say what was expected and what came. A failed
 * check goes on with its case; t_skip leaves it. */
#include "tests/t.h"

#include "base/json.h"
#include "base/mem.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#define CASES_MAX    512
#define EXIT_SKIPPED 77 /* what ctest's SKIP_RETURN_CODE and automake agree on */

struct t_case {
    const char *name;
    void (*run)(void);
};

static struct {
    struct t_case cases[CASES_MAX];
    size_t count;
    unsigned failures; /* of the running case */
    const char *skipped;
    jmp_buf leave;
    char directory[128];
} t;

void t_register(const char *name, void (*run)(void))
{
    require(t.count < CASES_MAX);
    t.cases[t.count++] = (struct t_case){name, run};
}

void t_skip(const char *reason)
{
    t.skipped = reason;
    longjmp(t.leave, 1);
}

void t_fail(const char *file, int line, const char *format, ...)
{
    va_list args;

    t.failures++;
    fprintf(stderr, "    %s:%d: ", file, line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void t_eq_(const char *file, int line, const char *ea, const char *eb, long long a, long long b)
{
    if (a != b)
        t_fail(file, line, "%s is %lld, expected %lld (%s)", ea, a, b, eb);
}

static const char *t_quoted(const char *text)
{
    return text ? text : "(NULL)";
}

void t_str_(const char *file, int line, const char *ea, const char *a, const char *b)
{
    bool same = a && b ? strcmp(a, b) == 0 : a == b;

    if (!same)
        t_fail(file, line, "%s\n      is       %s\n      expected %s", ea, t_quoted(a),
               t_quoted(b));
}

void t_has_(const char *file, int line, const char *ea, const char *text, const char *part)
{
    if (!text || !strstr(text, part))
        t_fail(file, line, "%s\n      is            %s\n      should contain %s", ea,
               t_quoted(text), part);
}

/* ---- t_json ---- */

/* Single quotes stand for double ones, so that C sources stay readable; \' is a plain quote. */
static char *t_json_text(const char *text)
{
    char *copy = mem_string(text);
    char *to = copy;

    for (const char *from = copy; *from; from++) {
        if (from[0] == '\\' && from[1] == '\'')
            *to++ = *++from;
        else
            *to++ = *from == '\'' ? '"' : *from;
    }
    *to = '\0';
    return copy;
}

static bool t_json_match(const struct json *actual, const struct json *expected, struct buf *where);

static bool t_json_members(const struct json *actual, const struct json *expected,
                           struct buf *where)
{
    size_t length = where->length;

    json_each (want, expected) {
        buf_addf(where, "/%s", json_key(want));
        if (!t_json_match(json_get(actual, json_key(want)), want, where))
            return false;
        where->length = length;
    }
    return true;
}

static bool t_json_items(const struct json *actual, const struct json *expected, struct buf *where)
{
    const struct json *item = json_first(actual);
    size_t length = where->length, index = 0;

    json_each (want, expected) {
        buf_addf(where, "/%zu", index++);
        if (!t_json_match(item, want, where))
            return false;
        item = json_next(item);
        where->length = length;
    }
    if (item)
        buf_addf(where, "/%zu (one too many)", index);
    return item == NULL;
}

/* On a mismatch where is the place. An absent value (NULL) matches nothing but is told from null. */
static bool t_json_match(const struct json *actual, const struct json *expected, struct buf *where)
{
    if (!actual)
        return false;
    if (strcmp(json_string(expected, ""), "*") == 0)
        return true;
    if (json_kind(actual) != json_kind(expected))
        return false;
    if (json_kind(expected) == JSON_OBJECT)
        return t_json_members(actual, expected, where);
    if (json_kind(expected) == JSON_ARRAY)
        return t_json_items(actual, expected, where);
    return json_equal(actual, expected);
}

static struct json *t_json_parse(const char *file, int line, const char *what, const char *text)
{
    struct fault fault;
    struct json *j = text ? json_parse(text, strlen(text), &fault) : NULL;

    if (!j)
        t_fail(file, line, "the %s JSON cannot be read: %s\n      %s", what,
               text ? fault.text : "it is NULL", t_quoted(text));
    return j;
}

void t_json_(const char *file, int line, const char *actual, const char *expected)
{
    CLEAN(json_free) struct json *got = t_json_parse(file, line, "actual", actual);
    char *text = t_json_text(expected);
    CLEAN(json_free) struct json *want = t_json_parse(file, line, "expected", text);
    CLEAN(buf_done) struct buf where;

    buf_init(&where, 65536);
    if (got && want && !t_json_match(got, want, &where))
        t_fail(file, line, "JSON differs at %s\n      is       %s\n      expected %s",
               where.length ? where.data : "the root", actual, text);
    mem_free(text);
}

/* ---- t_tmpdir ---- */

const char *t_tmpdir(void)
{
    const char *base = getenv("TMPDIR");

    if (t.directory[0])
        return t.directory;
    snprintf(t.directory, sizeof(t.directory), "%s/culvert-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(t.directory)) {
        fprintf(stderr, "cannot make %s\n", t.directory);
        _exit(1);
    }
    return t.directory;
}

static int t_remove(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
    (void)status, (void)kind, (void)ftw;
    return remove(path);
}

static void t_cleanup(bool passed)
{
    if (t.directory[0] && passed)
        nftw(t.directory, t_remove, 16, FTW_DEPTH | FTW_PHYS);
    else if (t.directory[0])
        fprintf(stderr, "left for inspection: %s\n", t.directory);
}

/* ---- the runner ---- */

enum t_result { T_PASSED, T_FAILED, T_SKIPPED };

static enum t_result t_run(const struct t_case *c)
{
    t.failures = 0;
    t.skipped = NULL;
    if (setjmp(t.leave) == 0)
        c->run();
    if (t.failures) {
        printf("FAIL %s\n", c->name);
        return T_FAILED;
    }
    if (t.skipped) {
        printf("skip %s: %s\n", c->name, t.skipped);
        return T_SKIPPED;
    }
    printf("ok   %s\n", c->name);
    return T_PASSED;
}

static bool t_selected(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc < 2;
}

int main(int argc, char **argv)
{
    size_t results[3] = {0};

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < t.count; i++)
        if (t_selected(t.cases[i].name, argc, argv))
            results[t_run(&t.cases[i])]++;
    size_t ran = results[T_PASSED] + results[T_FAILED];
    printf("%zu passed, %zu failed, %zu skipped\n", results[T_PASSED], results[T_FAILED],
           results[T_SKIPPED]);
    if (ran + results[T_SKIPPED] == 0) {
        fprintf(stderr, "no such case; there are:\n");
        for (size_t i = 0; i < t.count; i++)
            fprintf(stderr, "  %s\n", t.cases[i].name);
        return 1;
    }
    t_cleanup(results[T_FAILED] == 0);
    if (results[T_FAILED])
        return 1;
    return ran ? 0 : EXIT_SKIPPED;
}
