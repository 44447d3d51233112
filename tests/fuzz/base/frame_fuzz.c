/* Frames: slices lie inside the text and are themselves sound JSON. */
#include "base/frame.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void check_value(struct json_slice s, const char *text, size_t size)
{
    if (!s.at)
        return;
    require(s.at >= text && s.length > 0 && s.length <= size - (size_t)(s.at - text));
    require(json_scan(s.at, s.length, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct fault fault = {.text = ""};
    struct frame f;
    int r = frame_parse(text, size, &f, &fault);

    check_value(f.id, text, size);
    if (r < 0) {
        require(r == -ERR_INVALID && fault.text[0]);
        return 0;
    }
    require(json_scan(text, size, NULL) == 0);
    check_value(f.body, text, size);
    check_value(f.error, text, size);
    require(f.kind == FRAME_REQUEST || f.kind == FRAME_RESPONSE || f.kind == FRAME_EVENT);
    require((f.kind == FRAME_EVENT) == (f.id.at == NULL) || f.kind == FRAME_EVENT);
    require((f.kind == FRAME_RESPONSE) == (f.name.at == NULL));
    require(!f.name.at || (f.name.length > 0 && json_is_utf8(f.name.at, f.name.length)));
    return 0;
}
