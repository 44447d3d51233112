/* config.schema: JSON Schema and hints for forms, made from the tables. protocol.md 4.1. */
#pragma once

#include "base/json.h"

/* The JSON Schema of the whole document, one value. Keys that we know and do not use are allowed. */
void schema_write(struct json_writer *w);
/* {<path>: {label, help, sensitive}} for every scalar and part. */
void schema_write_hints(struct json_writer *w);
