/* Reading IDENTITY.md: Markdown that people and agents write by hand, so emphasis, bullets and case do not
 * matter, and what is not a known label is passed over. */
#include "gateway/agent/identity_file.h"

#include "base/json.h"
#include "base/mem.h"
#include "gateway/tools/workspace.h"

#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (64 * 1024)

/* The slice without what Markdown puts around a word. */
static const char *trimmed(const char *text, size_t *length)
{
    while (*length > 0 && strchr(" \t\r*_`-", *text)) {
        text++;
        --*length;
    }
    while (*length > 0 && strchr(" \t\r*_`", text[*length - 1]))
        --*length;
    return text;
}

static void identity_take(const char *label, size_t label_length, const char *value, size_t length,
                          struct identity_file *ret)
{
    const struct {
        const char *label;
        char *to;
    } known[] = {
        {"name", ret->name},
        {"emoji", ret->emoji},
        {"avatar", ret->avatar},
        {"theme", ret->theme},
    };

    if (length == 0 || length > IDENTITY_VALUE_MAX || value[0] == '(')
        return;
    for (size_t i = 0; i < COUNT(known); i++) {
        if (strlen(known[i].label) == label_length &&
            strncasecmp(known[i].label, label, label_length) == 0) {
            memcpy(known[i].to, value, length);
            known[i].to[length] = '\0';
        }
    }
}

void identity_parse(const char *text, struct identity_file *ret)
{
    *ret = (struct identity_file){0};
    while (*text) {
        size_t line = strcspn(text, "\n"), label_length, length;
        const char *colon = memchr(text, ':', line), *label, *value;

        if (colon) {
            label_length = (size_t)(colon - text);
            length = line - label_length - 1;
            label = trimmed(text, &label_length);
            value = trimmed(colon + 1, &length);
            identity_take(label, label_length, value, length, ret);
        }
        text += line + (text[line] == '\n');
    }
}

void identity_read(const char *root, struct identity_file *ret)
{
    struct fault fault = {0};
    int folder = workspace_root(root, &fault);
    int fd = folder >= 0 ? workspace_open(folder, "IDENTITY.md", O_RDONLY, 0, &fault) : -1;
    CLEAN(mem_free) char *text = mem_new(FILE_MAX + 1);
    struct stat st;
    ssize_t length = 0;

    if (folder >= 0)
        close(folder);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        length = read(fd, text, FILE_MAX);
    if (fd >= 0)
        close(fd);
    if (length < 0 || !json_is_utf8(text, (size_t)length))
        *text = '\0';
    identity_parse(text, ret);
}
