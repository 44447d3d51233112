/* Text from outside, marked as such for a model: it is read as data. The marks carry a fresh number, so that the text
 * cannot end them itself. */
#pragma once

#include "base/own.h"

/* source: "web_fetch". Caller owns. */
char *untrusted_wrap(const char *source, const char *text) MUSTCHECK;
