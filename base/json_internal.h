/* What the JSON files share with one another: the scanner's primitives. Not for the rest of the house. */
#pragma once

#include "base/json.h"

/* As json_scan; on failure *reterr_at is the byte offset of the trouble (JSON5 turns it into a line). */
int json_scan_located(const char *text, size_t length, size_t *reterr_at,
                      struct fault *reterr_fault);

/* How many leading bytes stand for themselves inside a JSON string: ASCII without controls, quote and
 * backslash. */
size_t json_plain_run(const char *text, size_t length);

/* Bytes of the well-formed UTF-8 sequence at text (1 to 4), 0 when it is malformed or cut off. */
unsigned json_utf8_sequence(const char *text, size_t length);
