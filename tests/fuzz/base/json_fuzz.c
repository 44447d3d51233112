/* Scanner and tree: what the scanner passes, the tree takes, and printing it reads back equal. */
#include "base/json.h"
#include "base/mem.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static struct json *reparse(const struct json *j, bool pretty)
{
    CLEAN(mem_free) char *text = json_print(j, pretty);

    return json_parse(text, strlen(text), NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct fault fault = {.text = ""};
    int r = json_scan(text, size, &fault);
    CLEAN(json_free) struct json *j = json_parse(text, size, NULL);

    require((r == 0) == (j != NULL));
    require(r == 0 ||
            ((r == -ERR_INVALID || r == -ERR_UNSUPPORTED) && fault.code == r && fault.text[0]));
    if (!j)
        return 0;
    require(json_is_utf8(text, size));
    CLEAN(json_free) struct json *compact = reparse(j, false);
    CLEAN(json_free) struct json *pretty = reparse(j, true);
    CLEAN(json_free) struct json *copy = json_copy(j);
    require(compact && json_equal(j, compact));
    require(pretty && json_equal(pretty, j));
    require(json_equal(copy, j));
    return 0;
}
