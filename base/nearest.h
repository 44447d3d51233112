/* The nearest of some names by edit distance, for "did you mean". Pure. */
#pragma once

#include "base/own.h"

#define NEAREST_MAX 64 /* longer names are not compared */

struct nearest {
    char wanted[NEAREST_MAX + 1];
    char best[NEAREST_MAX + 1]; /* "" while nothing is near enough */
    unsigned distance;
};

void nearest_init(struct nearest *nearest, const char *wanted);
/* Near enough is at most a third of the wanted name's letters, at least 2; case counts half. */
void nearest_try(struct nearest *nearest, const char *name, size_t length);
/* Insertions, deletions, replacements and swaps of neighbours, ASCII case ignored. Both at most
 * NEAREST_MAX bytes. */
unsigned nearest_distance(const char *a, size_t a_length, const char *b, size_t b_length);
