/* A program's output within its ceiling. */
#include "gateway/tools/output.h"

#include "base/mem.h"
#include "tests/t.h"

T(short_output_is_whole)
{
    struct output o;

    output_init(&o);
    output_add(&o, "one\n", 4);
    output_add(&o, "two\n", 4);
    CLEAN(mem_free) char *text = output_text(&o);
    t_str(text, "one\ntwo\n");
    output_done(&o);
}

T(long_output_keeps_both_ends)
{
    struct output o;

    output_init(&o);
    for (int i = 0; i < 200000; i++) {
        char line[32];
        int n = snprintf(line, sizeof(line), "line %d\n", i);
        output_add(&o, line, (size_t)n);
    }
    CLEAN(mem_free) char *text = output_text(&o);
    t_ok(strlen(text) < OUTPUT_HEAD + 2 * OUTPUT_TAIL + 200);
    t_has(text, "line 0\n");
    t_has(text, "line 199999\n");
    t_has(text, "bytes of output were cut out here");
    output_done(&o);
}

T(one_huge_piece)
{
    size_t length = 1 << 20;
    char *piece = mem_new(length);
    struct output o;

    memset(piece, 'x', length);
    output_init(&o);
    output_add(&o, piece, length);
    CLEAN(mem_free) char *text = output_text(&o);
    t_ok(strlen(text) >= OUTPUT_HEAD + OUTPUT_TAIL);
    t_eq(o.dropped, length - OUTPUT_HEAD - OUTPUT_TAIL);
    output_done(&o);
    mem_free(piece);
}

T(terminal_sequences_go)
{
    static const char raw[] =
        "\x1b[1;31mred\x1b[0m \x1b]0;title\x07ok\rx\x08y\x1b(B\x1b\ttab\n\x1b[";
    struct buf out;

    buf_init(&out, 4096);
    output_clean(raw, sizeof(raw) - 1, &out);
    t_str(out.data, "red okxyBtab\n");
    buf_done(&out);
}
