/* JSON5: takes all strict JSON, with the same result, and never gives out what strict JSON refuses. */
#include "base/json.h"
#include "base/mem.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct fault fault = {.text = ""};
    CLEAN(json_free) struct json *strict = json_parse(text, size, NULL);
    CLEAN(json_free) struct json *j = json5_parse(text, size, &fault);

    require(!strict || (j && json_equal(strict, j)));
    if (!j) {
        require(strncmp(fault.text, "line ", 5) == 0);
        return 0;
    }
    CLEAN(mem_free) char *printed = json_print(j, false);
    CLEAN(json_free) struct json *again = json_parse(printed, strlen(printed), NULL);
    require(again && json_equal(again, j));
    return 0;
}
