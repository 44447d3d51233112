/* Error codes as text, and faults. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err_row {
    const char *name, *text;
};

static const struct err_row err_rows[ERR_COUNT] = {
    [ERR_NONE] = {"NONE", "no error"},
#define ERR(name_, text_) [ERR_##name_] = {#name_, text_},
#include "base/err.def"
#undef ERR
};

static const struct err_row *err_row(int code)
{
    static const struct err_row unknown = {"UNKNOWN", "unknown error"};

    if (code > 0 || code <= -(int)ERR_COUNT)
        return &unknown;
    return &err_rows[-code];
}

const char *err_text(int code)
{
    return err_row(code)->text;
}

const char *err_name(int code)
{
    return err_row(code)->name;
}

/* A text that filled the array may end inside a character: take the torn one off. */
static void fault_trim(char *text, size_t length)
{
    size_t start = length;

    while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0 || (unsigned char)text[start - 1] < 0xc0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t whole = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (length - (start - 1) < whole)
        text[start - 1] = '\0';
}

int fault_set(struct fault *fault, int code, const char *format, ...)
{
    char text[FAULT_TEXT_MAX]; /* apart: an argument may be the fault's own text */
    va_list args;

    if (!fault)
        return code;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n >= (int)sizeof(text))
        fault_trim(text, sizeof(text) - 1);
    fault->code = code;
    memcpy(fault->text, text, strlen(text) + 1);
    return code;
}

/* Appends text, cut where the array ends. */
static size_t fault_append(struct fault *fault, size_t used, const char *text)
{
    size_t room = sizeof(fault->text) - 1 - used;
    size_t length = strnlen(text, FAULT_TEXT_MAX);

    memcpy(fault->text + used, text, length < room ? length : room);
    used += length < room ? length : room;
    fault->text[used] = '\0';
    if (length > room)
        fault_trim(fault->text, used);
    return used;
}

int fault_prefix(struct fault *fault, const char *format, ...)
{
    char old[FAULT_TEXT_MAX];
    va_list args;

    if (!fault)
        return 0;
    memcpy(old, fault->text, sizeof(old));
    old[sizeof(old) - 1] = '\0';
    va_start(args, format);
    int n = vsnprintf(fault->text, sizeof(fault->text), format, args);
    va_end(args);
    size_t used = strnlen(fault->text, sizeof(fault->text) - 1);
    if (n >= (int)sizeof(fault->text))
        fault_trim(fault->text, used);
    else
        fault_append(fault, fault_append(fault, used, ": "), old);
    return fault->code;
}
