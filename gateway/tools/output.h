/* What a program printed, kept within a ceiling: its beginning and its end. Pure. */
#pragma once

#include "base/buf.h"

#define OUTPUT_HEAD (24u * 1024)
#define OUTPUT_TAIL (24u * 1024)

struct output {
    struct buf head, tail;
    size_t dropped; /* bytes between them */
};

void output_init(struct output *output);
void output_done(struct output *output);
void output_add(struct output *output, const char *text, size_t length);
/* As text for a model: valid UTF-8 is the caller's business, terminal sequences and control characters but line ends
 * and tabs are gone, what was dropped is said. Caller owns. */
char *output_text(const struct output *output) MUSTCHECK;
/* Only the cleaning: length bytes from text, appended to out. */
void output_clean(const char *text, size_t length, struct buf *out);
