/* The rewritten page: what it is told, which addresses change, and that the policy names exactly its inline
 * scripts. */
#include "gateway/http/control_ui_page.h"

#include "base/mem.h"
#include "tests/t.h"

#include <string.h>

static void check(const char *text, const char *base, const char *expected)
{
    struct control_ui_page page;

    control_ui_page_write(text, strlen(text), base, &page);
    t_str(page.html.data ? page.html.data : "", expected);
    control_ui_page_done(&page);
}

T(attributes_and_addresses)
{
    check(
        "<HTML lang=en><link href=\"./a.css\"><script src=\"./b.js\"></script>", "/x",
        "<HTML data-openclaw-control-ui-base-path=\"/x\" data-openclaw-terminal-enabled=\"false\" "
        "lang=en><link href=\"/x/a.css\"><script src=\"/x/b.js\"></script>");
    /* other addresses, and other attributes, stay */
    check(
        "<html><a href=\"https://e.example/./x\" title=\"./t\" data-x=\"./d\">./y</a>", "",
        "<html data-openclaw-control-ui-base-path=\"\" data-openclaw-terminal-enabled=\"false\"><a "
        "href=\"https://e.example/./x\" title=\"./t\" data-x=\"./d\">./y</a>");
    check("<html>", "/\"><script>",
          "<html data-openclaw-control-ui-base-path=\"/&#34;&#62;&#60;script&#62;"
          "\" data-openclaw-terminal-enabled=\"false\">");
    check("no page at all", "/x", "no page at all");
    check("", "/x", "");
    check("<html", "/x", "<html");
    check("=\"./", "/x", "=\"./");
}

T(the_build_is_read)
{
    static const char text[] = "<html data-openclaw-control-ui-build-id=\"2026.9-x\"><p>";
    struct control_ui_page page;

    control_ui_page_write(text, sizeof(text) - 1, "", &page);
    t_str(page.build, "2026.9-x");
    control_ui_page_done(&page);
    control_ui_page_write("<html data-openclaw-control-ui-build-id=\"open", 44, "", &page);
    t_str(page.build, "");
    control_ui_page_done(&page);
}

/* echo -n 'alert(1)' | openssl dgst -sha256 -binary | base64 */
T(the_policy_names_inline_scripts)
{
    static const char text[] = "<html><script>alert(1)</script><script src=\"x.js\">no</script>"
                               "<SCRIPT type=\"module\">alert(1)</SCRIPT><script>cut";
    struct control_ui_page page;
    const char *first, *second, *hash = "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='";

    control_ui_page_write(text, sizeof(text) - 1, "", &page);
    first = strstr(page.headers, hash);
    second = first ? strstr(first + strlen(hash), hash) : NULL;
    t_ok(second && !strstr(second + strlen(hash), "sha256-"));
    t_ok(!strstr(page.headers, "script-src 'self' 'unsafe-inline'"));
    control_ui_page_done(&page);
    CLEAN(mem_free) char *plain = control_ui_headers(NULL);
    t_ok(strstr(plain, "script-src 'self' 'wasm-unsafe-eval'; "));
    t_ok(!strstr(plain, "\n\n") && !strstr(plain, "%s"));
}
