/* Find every passage first, then copy the text once, in the order the passages stand in it. */
#include "gateway/tools/edit.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct passage {
    size_t at, length;
    char *with;
};

/* The same with CRLF for LF. Caller owns. */
static char *with_crlf(const char *text)
{
    struct buf b;

    buf_init(&b, 2 * strlen(text) + 1);
    for (; *text; text++) {
        if (*text == '\n')
            buf_add_char(&b, '\r');
        buf_add_char(&b, *text);
    }
    return buf_take(&b);
}

/* How often `part` stands in the text (at most 2 are counted), and where first. */
static int find(const char *text, size_t length, const char *part, size_t *ret_at)
{
    size_t n = strlen(part);
    const char *at = memmem(text, length, part, n);

    if (!at)
        return 0;
    *ret_at = (size_t)(at - text);
    return memmem(at + 1, length - *ret_at - 1, part, n) ? 2 : 1;
}

static int find_passage(const char *text, size_t length, const struct json *edit, size_t number,
                        struct passage *ret, struct fault *fault)
{
    const char *old = json_string(json_get(edit, "oldText"), "");
    const char *with = json_string(json_get(edit, "newText"), "");
    CLEAN(mem_free) char *crlf = NULL;
    int times;

    if (!*old)
        return fault_set(fault, -ERR_INVALID, "edit %zu: oldText is empty", number);
    times = find(text, length, old, &ret->at);
    if (times == 0 && strchr(old, '\n') && !strstr(old, "\r\n")) {
        crlf = with_crlf(old);
        times = find(text, length, crlf, &ret->at);
    }
    if (times == 0)
        return fault_set(
            fault, -ERR_NOT_FOUND,
            "edit %zu: oldText does not stand in the file; read it again and take the passage "
            "as it is, blanks and line ends included",
            number);
    if (times > 1)
        return fault_set(
            fault, -ERR_CONFLICT,
            "edit %zu: oldText stands more than once in the file; take more of what is around "
            "the passage",
            number);
    ret->length = strlen(crlf ? crlf : old);
    ret->with = crlf ? with_crlf(with) : mem_string(with);
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct passage *one = a, *two = b;
    return one->at < two->at ? -1 : one->at > two->at;
}

static int copy(const char *text, size_t length, const struct passage *passages, size_t count,
                struct buf *out, struct fault *fault)
{
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        if (passages[i].at < at)
            return fault_set(fault, -ERR_CONFLICT, "two edits overlap: put them into one");
        buf_add(out, text + at, passages[i].at - at);
        buf_add_str(out, passages[i].with);
        at = passages[i].at + passages[i].length;
    }
    buf_add(out, text + at, length - at);
    return out->bad ? fault_set(fault, -ERR_TOO_LARGE, "the file would have more than %zu bytes",
                                out->max)
                    : 0;
}

int edit_apply(const char *text, size_t length, const struct json *edits, struct buf *out,
               struct fault *reterr_fault)
{
    struct passage passages[EDITS_MAX] = {0};
    size_t count = 0;
    int r = json_count(edits) == 0 ? fault_set(reterr_fault, -ERR_INVALID, "there is no edit") : 0;

    json_each (edit, edits) {
        if (count == EDITS_MAX || r < 0)
            break;
        r = find_passage(text, length, edit, count + 1, &passages[count], reterr_fault);
        count++;
    }
    if (r == 0) {
        qsort(passages, count, sizeof(passages[0]), by_place);
        r = copy(text, length, passages, count, out, reterr_fault);
    }
    for (size_t i = 0; i < count; i++)
        mem_free(passages[i].with);
    return r;
}
