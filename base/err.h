/* Errors: one table of negative codes, and `struct fault`, the sentence a person reads. */
#pragma once

#include "base/own.h"

enum err {
    ERR_NONE,
#define ERR(name, text) ERR_##name,
#include "base/err.def"
#undef ERR
    ERR_COUNT
};

/* Longest sentence a fault carries; longer text is cut at a UTF-8 boundary. */
#define FAULT_TEXT_MAX 512

/* What failed, why, what to do next. Owned by the caller, usually on the stack. Never holds a
 * secret. code is 0 (nothing failed) or a negative -ERR_x. */
struct fault {
    int code;
    char text[FAULT_TEXT_MAX];
};

/* An empty fault without touching the room for its text: for the roads every request takes. */
static inline void fault_clear(struct fault *fault)
{
    fault->code = 0;
    fault->text[0] = '\0';
}

/* The table's text for a negative code; never NULL. Any thread. */
const char *err_text(int code);

/* The name of a negative code ("NOT_FOUND"); never NULL. */
const char *err_name(int code);

/* Fill the fault (NULL is allowed) and return code, so that a line can `return fault_set(...)`. */
int fault_set(struct fault *fault, int code, const char *format, ...) PRINTF(3, 4);

/* Put "prefix: " before the text that is there. Returns the fault's code. */
int fault_prefix(struct fault *fault, const char *format, ...) PRINTF(2, 3);
