/* Any text as a configuration: it is refused with issues or accepted, every issue's line lies in the
 * text, and what config.get shows goes back unchanged. */
#include "base/mem.h"
#include "gateway/config/redact.h"
#include "gateway/config/snapshot.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void check_lines(const struct issues *issues, int lines)
{
    for (size_t i = 0; i < issues->count; i++)
        require(issues->items[i].line >= 0 && issues->items[i].line <= lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN(mem_free) char *text = mem_slice((const char *)data, size);
    CLEAN(snapshot_free) struct snapshot *s = snapshot_build("/nowhere/culvert.json", text, size);
    int lines = 1;

    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    check_lines(&s->issues, lines);
    check_lines(&s->warnings, lines);
    if (!snapshot_valid(s))
        return 0;
    CLEAN(json_free) struct json *shown = redact(s->merged, NULL);
    CLEAN(json_free) struct json *back = redact_restore(shown, s->merged, NULL, NULL);
    require(!back || json_equal(back, s->merged)); /* NULL: the text itself held the placeholder */
    return 0;
}
