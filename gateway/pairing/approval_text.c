/* What a person is shown before they allow something: nothing invisible, nothing that reads other than it
 * runs. Pure. */
#include "base/buf.h"
#include "base/mem.h"
#include "gateway/pairing/approval.h"

#include <string.h>

/* Controls, format characters (bidirectional, zero width, tags), fillers and blanks other than the plain
 * one: Unicode's Cc, Cf, Zl, Zp, Zs and the Hangul fillers. Sorted. */
static const struct {
    uint32_t first, last;
} hidden[] = {
    {0x00, 0x09},       {0x0B, 0x1F},       {0x7F, 0xA0},       {0xAD, 0xAD},
    {0x600, 0x605},     {0x61C, 0x61C},     {0x6DD, 0x6DD},     {0x70F, 0x70F},
    {0x890, 0x891},     {0x8E2, 0x8E2},     {0x115F, 0x1160},   {0x1680, 0x1680},
    {0x180E, 0x180E},   {0x2000, 0x200F},   {0x2028, 0x202F},   {0x205F, 0x206F},
    {0x3000, 0x3000},   {0x3164, 0x3164},   {0xFEFF, 0xFEFF},   {0xFFA0, 0xFFA0},
    {0xFFF9, 0xFFFB},   {0x110BD, 0x110BD}, {0x110CD, 0x110CD}, {0x13430, 0x1343F},
    {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF},
};

static bool is_hidden(uint32_t point)
{
    for (size_t i = 0; i < COUNT(hidden); i++) {
        if (point <= hidden[i].last)
            return point >= hidden[i].first;
    }
    return false;
}

/* One character of text; a byte that begins none stands for itself. Returns its length. */
static size_t next_point(const unsigned char *at, uint32_t *ret)
{
    size_t length = *at >= 0xF0 ? 4 : *at >= 0xE0 ? 3 : *at >= 0xC0 ? 2 : 1;
    uint32_t point = length == 1 ? *at : *at & (0xFFu >> (length + 1));

    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            *ret = 0xFFFD;
            return 1;
        }
        point = point << 6 | (at[i] & 0x3Fu);
    }
    *ret = length == 1 && *at >= 0x80 ? 0xFFFD : point;
    return length;
}

char *approval_display(const char *text)
{
    struct buf b;

    buf_init(&b, 16 * strlen(text) + 1);
    while (*text) {
        uint32_t point;
        size_t length = next_point((const unsigned char *)text, &point);

        if (point == 0xFFFD)
            buf_add_str(&b, "\xEF\xBF\xBD");
        else if (is_hidden(point))
            buf_addf(&b, "\\u{%X}", (unsigned)point);
        else
            buf_add(&b, text, length);
        text += length;
    }
    return buf_take(&b);
}
