/* Replacing passages of a text. Pure; any thread. */
#pragma once

#include "base/json.h"

#define EDITS_MAX 100

/* text with every {oldText, newText} of edits done, into out. All are looked up in the text as it was: each oldText
 * must stand there exactly once (-ERR_NOT_FOUND, -ERR_CONFLICT), and no two may overlap (-ERR_CONFLICT). A text with
 * CRLF line ends keeps them also where the edit was written with LF. */
int edit_apply(const char *text, size_t length, const struct json *edits, struct buf *out,
               struct fault *reterr_fault);
