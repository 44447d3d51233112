/* The addresses of pages, from the configuration in use. Owns nothing. */
#include "gateway/http/pages.h"

#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"

#include <stdlib.h>
#include <string.h>

bool pages_enabled(struct gateway *gw)
{
    return config_bool(gw->config, KNOB_ui_enabled);
}

bool pages_has_folder(struct gateway *gw)
{
    const char *root = config_str(gw->config, KNOB_ui_root);

    return pages_enabled(gw) && root && *root;
}

char *pages_base(struct gateway *gw)
{
    const char *text = config_str(gw->config, KNOB_ui_base);
    size_t length;

    text += strspn(text, "/");
    length = strlen(text);
    while (length > 0 && text[length - 1] == '/')
        length--;
    return length ? mem_format("/%.*s", (int)length, text) : mem_string("");
}

/* As a person writes it: "~" is the home folder, what does not begin at the root lies in the state directory. */
char *pages_folder(struct gateway *gw)
{
    const char *text = config_str(gw->config, KNOB_ui_root), *home = getenv("HOME");

    if (!text || !*text)
        return NULL;
    if (text[0] == '/')
        return mem_string(text);
    if (text[0] == '~' && (text[1] == '/' || !text[1]) && home && home[0] == '/')
        return mem_format("%s%s", home, text + 1);
    return mem_format("%s/%s", gw->state_dir, text);
}

const char *pages_path(struct gateway *gw, const char *path)
{
    CLEAN(mem_free) char *base = pages_base(gw);
    size_t length = strlen(base);

    if (strncmp(path, base, length) != 0 || (path[length] && path[length] != '/'))
        return NULL;
    return path + length;
}

char *pages_webchat(struct gateway *gw)
{
    CLEAN(mem_free) char *base = pages_base(gw);

    return mem_format("%s/%s", base, pages_has_folder(gw) ? "webchat/" : "");
}
