/* The test kit: T(name) { … } registers a case, t_* checks say what was expected and what came. One
 * program per file; each case runs in order in one process; any failure fails the program.
 *   ./unit.base.json            every case
 *   ./unit.base.json name       one case */
#pragma once

#include "base/err.h"

#include <stdio.h>
#include <string.h>

#define T(name)                                                                                    \
    static void t_case_##name(void);                                                               \
    __attribute__((constructor)) static void t_register_##name(void)                               \
    {                                                                                              \
        t_register(#name, t_case_##name);                                                          \
    }                                                                                              \
    static void t_case_##name(void)

void t_register(const char *name, void (*run)(void));
/* The rest of this case is not run; the program reports it as skipped (exit 77 when all are). */
void t_skip(const char *reason);
void t_fail(const char *file, int line, const char *format, ...) PRINTF(3, 4);

#define t_ok(x)                  ((x) ? (void)0 : t_fail(__FILE__, __LINE__, "expected %s", #x))
#define t_eq(a, b)               t_eq_(__FILE__, __LINE__, #a, #b, (long long)(a), (long long)(b))
#define t_str(a, b)              t_str_(__FILE__, __LINE__, #a, (a), (b))
/* text contains part */
#define t_has(text, part)        t_has_(__FILE__, __LINE__, #text, (text), (part))
/* Every member of `expected` (single quotes allowed for double) is in `actual` with an equal value;
 * arrays match item by item; the string "*" matches anything. */
#define t_json(actual, expected) t_json_(__FILE__, __LINE__, (actual), (expected))

void t_eq_(const char *file, int line, const char *ea, const char *eb, long long a, long long b);
void t_str_(const char *file, int line, const char *ea, const char *a, const char *b);
void t_has_(const char *file, int line, const char *ea, const char *text, const char *part);
void t_json_(const char *file, int line, const char *actual, const char *expected);
/* A fresh folder, removed at exit when every case passed. */
const char *t_tmpdir(void);
