/* The cutter of lines. Lines that lie whole in one piece are not copied. Owns: the unfinished line. */
#include "gateway/model/line_reader.h"

#include <string.h>

void line_reader_init(struct line_reader *reader, line_fn *fn, void *arg)
{
    *reader = (struct line_reader){.fn = fn, .arg = arg};
    buf_init(&reader->line, LINE_MAX_BYTES);
}

void line_reader_done(struct line_reader *reader)
{
    buf_done(&reader->line);
}

static int line_tell(struct line_reader *reader, const char *line, size_t length)
{
    if (!reader->begun && length >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0)
        line += 3, length -= 3;
    reader->begun = true;
    return reader->fn(reader->arg, line, length);
}

/* The first CR or LF of a piece, or NULL. */
static const char *line_end(const char *bytes, size_t length)
{
    const char *lf = memchr(bytes, '\n', length);
    const char *cr = memchr(bytes, '\r', lf != NULL ? (size_t)(lf - bytes) : length);

    return cr != NULL ? cr : lf;
}

/* The unfinished line together with its end. */
static int line_join(struct line_reader *reader, const char *bytes, size_t length)
{
    int r;

    buf_add(&reader->line, bytes, length);
    if (reader->line.bad)
        return -ERR_TOO_LARGE;
    r = line_tell(reader, reader->line.data, reader->line.length);
    buf_clear(&reader->line);
    return r;
}

int line_reader_feed(struct line_reader *reader, const char *bytes, size_t length)
{
    const char *end, *stop = bytes + length;
    int r = 0;

    while (bytes < stop && r == 0) {
        if (reader->after_cr && *bytes == '\n') {
            reader->after_cr = false;
            bytes++;
            continue;
        }
        reader->after_cr = false;
        end = line_end(bytes, (size_t)(stop - bytes));
        if (end == NULL) {
            buf_add(&reader->line, bytes, (size_t)(stop - bytes));
            return reader->line.bad ? -ERR_TOO_LARGE : 0;
        }
        length = (size_t)(end - bytes);
        r = reader->line.length == 0 ? line_tell(reader, bytes, length)
                                     : line_join(reader, bytes, length);
        reader->after_cr = *end == '\r';
        bytes = end + 1;
    }
    return r;
}

int line_reader_finish(struct line_reader *reader)
{
    return reader->line.length > 0 ? line_join(reader, "", 0) : 0;
}
