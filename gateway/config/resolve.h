/* From the merged document to the one that is read: ${NAME} in strings and secret references are put
 * in. Blocking (secret files); any thread, as long as nobody changes the environment. */
#pragma once

#include "gateway/config/source.h"

/* A new tree (owned), always; what could not be put in is an issue with path, file and line.
 *   "${NAME}"   the environment variable (upper case, digits, _), missing or empty: an issue
 *   "$${NAME}"  the text ${NAME}
 *   {source: "env", id: "NAME"} and {source: "file", path: "…"} (or id): a string
 * Sections that we do not use are left as they are. */
struct json *resolve(const struct json *merged, const struct sources *sources,
                     struct issues *issues) MUSTCHECK;

/* True for a secret reference: an object with a source and nothing but source, provider, id, path. */
bool resolve_is_reference(const struct json *value);
/* True for a string that holds a ${NAME}. */
bool resolve_has_variable(const char *text);
