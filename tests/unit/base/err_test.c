/* Error codes and faults. */
#include "tests/t.h"

#include "base/json.h"

T(every_code_has_a_name_and_a_text)
{
    for (int code = 1; code < ERR_COUNT; code++) {
        t_ok(err_name(-code)[0] != '\0' && strcmp(err_name(-code), "UNKNOWN") != 0);
        t_ok(err_text(-code)[0] != '\0');
    }
    t_str(err_name(-ERR_NOT_FOUND), "NOT_FOUND");
    t_str(err_text(-ERR_TIMEOUT), "timed out");
    t_str(err_name(0), "NONE");
    t_str(err_name(5), "UNKNOWN");
    t_str(err_name(-ERR_COUNT), "UNKNOWN");
    t_str(err_text(-4711), "unknown error");
}

T(set_and_prefix)
{
    struct fault fault;

    t_eq(fault_set(&fault, -ERR_IO, "cannot read %s", "x"), -ERR_IO);
    t_str(fault.text, "cannot read x");
    t_eq(fault_prefix(&fault, "line %d", 7), -ERR_IO);
    t_str(fault.text, "line 7: cannot read x");
    fault_set(&fault, -ERR_BUSY, "again, %s", fault.text); /* its own text is a fine argument */
    t_str(fault.text, "again, line 7: cannot read x");
    t_eq(fault_set(NULL, -ERR_IO, "nobody listens"), -ERR_IO);
    t_eq(fault_prefix(NULL, "x"), 0);
}

/* Wherever the array ends, the text stays UTF-8. */
T(long_texts_are_cut_between_characters)
{
    char pad[FAULT_TEXT_MAX + 8];
    struct fault fault;

    for (int n = FAULT_TEXT_MAX - 12; n < FAULT_TEXT_MAX + 4; n++) {
        memset(pad, 'x', (size_t)n);
        pad[n] = '\0';
        fault_set(&fault, -ERR_IO, "%s\xf0\x9f\x98\x80\xe2\x82\xac\xc3\xa9", pad);
        t_ok(strlen(fault.text) >= FAULT_TEXT_MAX - 4 || n < FAULT_TEXT_MAX - 4);
        t_ok(json_is_utf8(fault.text, strlen(fault.text)));
        fault_set(&fault, -ERR_IO, "\xf0\x9f\x98\x80\xe2\x82\xac\xc3\xa9");
        fault_prefix(&fault, "%.*s", n - 8, pad);
        t_ok(json_is_utf8(fault.text, strlen(fault.text)));
        fault_set(&fault, -ERR_IO, "old");
        fault_prefix(&fault, "%s\xe2\x82\xac", pad);
        t_ok(json_is_utf8(fault.text, strlen(fault.text)));
        t_eq(fault.code, -ERR_IO);
    }
}
