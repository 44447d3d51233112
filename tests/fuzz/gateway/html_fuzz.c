/* Any bytes as a page: text within its ceiling comes out, in UTF-8 when it came so. */
#include "base/json.h"
#include "gateway/tools/charset.h"
#include "gateway/tools/html.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void read_as(const char *text, size_t length, bool markdown)
{
    struct html_page page;
    struct buf out;

    buf_init(&out, 65536);
    html_read(text, length, "https://example.com/a/b", markdown, &out, &page);
    require(!out.bad && out.length <= 65536);
    require(strlen(page.title) <= HTML_TITLE_MAX);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf utf8;

    buf_init(&utf8, 4 * size + 64);
    charset_to_utf8((const char *)data, size, "text/html", &utf8);
    require(!utf8.bad && json_is_utf8(utf8.data ? utf8.data : "", utf8.length));
    read_as(utf8.data ? utf8.data : "", utf8.length, true);
    read_as((const char *)data, size, false);
    buf_done(&utf8);
    return 0;
}
