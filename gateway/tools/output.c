/* Head until it is full, then a tail that loses its front. */
#include "gateway/tools/output.h"

#include <string.h>

void output_init(struct output *output)
{
    *output = (struct output){0};
    buf_init(&output->head, OUTPUT_HEAD);
    buf_init(&output->tail, 2 * (size_t)OUTPUT_TAIL);
}

void output_done(struct output *output)
{
    buf_done(&output->head);
    buf_done(&output->tail);
}

void output_add(struct output *output, const char *text, size_t length)
{
    size_t room = OUTPUT_HEAD - output->head.length, take = length < room ? length : room;

    buf_add(&output->head, text, take);
    text += take;
    length -= take;
    if (length > OUTPUT_TAIL) {
        output->dropped += length - OUTPUT_TAIL;
        text += length - OUTPUT_TAIL;
        length = OUTPUT_TAIL;
    }
    if (output->tail.length + length > 2 * (size_t)OUTPUT_TAIL) {
        size_t drop = output->tail.length + length - OUTPUT_TAIL;

        drop = drop < output->tail.length ? drop : output->tail.length;
        output->dropped += drop;
        buf_drop(&output->tail, drop);
    }
    buf_add(&output->tail, text, length);
}

/* The length of a terminal sequence that begins at text (ESC …), 1 for a lone ESC. */
static size_t sequence_length(const char *text, size_t length)
{
    size_t n = 2;

    if (length < 2)
        return 1;
    if (text[1] == '[') { /* CSI: parameters, then one letter */
        while (n < length && (unsigned char)text[n] >= 0x20 && (unsigned char)text[n] < 0x40)
            n++;
        return n < length ? n + 1 : n;
    }
    if (text[1] == ']' || text[1] == 'P') { /* OSC, DCS: up to BEL or ESC \ */
        while (n < length && text[n] != '\a' && text[n] != '\x1b')
            n++;
        return n < length && text[n] == '\x1b' && n + 1 < length ? n + 2 : n < length ? n + 1 : n;
    }
    return 2;
}

void output_clean(const char *text, size_t length, struct buf *out)
{
    for (size_t i = 0; i < length;) {
        unsigned char c = (unsigned char)text[i];

        if (c == 0x1b) {
            i += sequence_length(text + i, length - i);
            continue;
        }
        if ((c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t')
            buf_add_char(out, (char)c);
        i++;
    }
}

char *output_text(const struct output *output)
{
    struct buf out;

    buf_init(&out, OUTPUT_HEAD + 2 * OUTPUT_TAIL + 256);
    if (output->head.data)
        output_clean(output->head.data, output->head.length, &out);
    if (output->dropped > 0)
        buf_addf(&out, "\n[… %zu bytes of output were cut out here …]\n", output->dropped);
    if (output->tail.data)
        output_clean(output->tail.data, output->tail.length, &out);
    return buf_take(&out);
}
