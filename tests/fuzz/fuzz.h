/* A fuzz target is one function over bytes; broken invariants end in require(). */
#pragma once

#include "base/own.h"

/* libFuzzer's name. 0: go on. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
