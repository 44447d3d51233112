/* Tables and ages. Text from outside never reaches the terminal with control characters in it. */
#include "gateway/cli/print.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define COLUMN_WIDTH_MAX 72
#define COLUMNS_MAX      12
#define CELL_MAX         4096

static const struct {
    int64_t seconds;
    const char *unit;
} units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};

static char *age_text(int64_t ms, const char *suffix)
{
    int64_t seconds = ms > 0 ? ms / 1000 : 0;

    for (size_t i = 0; i < COUNT(units); i++)
        if (seconds >= units[i].seconds)
            return mem_format("%lld %s%s", (long long)(seconds / units[i].seconds), units[i].unit,
                              suffix);
    return mem_string(suffix[0] ? "now" : "0 s");
}

char *print_age(const struct json *ms_ago)
{
    return json_kind(ms_ago) == JSON_NUMBER ? age_text((int64_t)json_number(ms_ago, 0), "") : NULL;
}

char *print_since(const struct json *wall_ms)
{
    struct timespec now;

    if (json_kind(wall_ms) != JSON_NUMBER)
        return NULL;
    clock_gettime(CLOCK_REALTIME, &now);
    return age_text((int64_t)now.tv_sec * 1000 - (int64_t)json_number(wall_ms, 0), " ago");
}

char *print_list(const struct json *array)
{
    struct buf b;

    if (json_count(array) == 0)
        return NULL;
    buf_init(&b, CELL_MAX);
    json_each (item, array)
        buf_addf(&b, "%s%s", b.length ? ", " : "", json_string(item, "?"));
    char *text = buf_take(&b);
    buf_done(&b);
    return text;
}

char *print_scopes(const struct json *array)
{
    static const char prefix[] = "operator.";
    char *text = print_list(array);

    for (char *at = text; at && (at = strstr(at, prefix)) != NULL;)
        memmove(at, at + sizeof(prefix) - 1, strlen(at + sizeof(prefix) - 1) + 1);
    return text;
}

char *print_yes(const struct json *boolean)
{
    return mem_string(json_boolean(boolean, false) ? "yes" : "");
}

/* Control characters (C0, DEL, and C1, which UTF-8 spells C2 80 to C2 9F) become blanks: a terminal would
 * act on them. */
static void clean(char *text, const char *but)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;

        if ((*c < 0x20 && !strchr(but, *c)) || *c == 0x7f || c1)
            *c = ' ';
        if (c1)
            *++c = ' ';
    }
}

void print_text(FILE *out, const char *text)
{
    CLEAN(mem_free) char *copy = mem_string(text);

    clean(copy, "\n\t");
    fputs(copy, out);
}

static char *cell_text(const struct json *row, const struct column *column)
{
    const struct json *value = json_path(row, column->path);
    char *text = NULL;

    if (column->text)
        text = column->text(value);
    else if (json_kind(value) == JSON_STRING)
        text = mem_string(json_string(value, ""));
    else if (json_kind(value) != JSON_NULL)
        text = json_print(value, false);
    if (!text)
        text = mem_string("-");
    clean(text, "");
    return text;
}

/* Terminal columns of a character: East Asian wide ones and emoji take two. */
static size_t columns_of(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } wide[] = {{0x1100, 0x115f}, {0x2e80, 0xa4cf}, {0xac00, 0xd7a3},   {0xf900, 0xfaff},
                {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6},   {0x1f300, 0x1faff},
                {0x0300, 0x036f}, {0x200b, 0x200f}, {0x20000, 0x3fffd}, {0xfe00, 0xfe0f}};

    for (size_t i = 0; i < COUNT(wide); i++) {
        if (c >= wide[i].first && c <= wide[i].last)
            return wide[i].first == 0x0300 || wide[i].first == 0x200b || wide[i].first == 0xfe00
                       ? 0
                       : 2;
    }
    return 1;
}

/* The next character of valid UTF-8; *text moves behind it. */
static uint32_t character(const char **text)
{
    unsigned char first = (unsigned char)*(*text)++;
    uint32_t c = first < 0x80   ? first
                 : first < 0xe0 ? first & 0x1fu
                 : first < 0xf0 ? first & 0xfu
                                : first & 7u;

    while (((unsigned char)**text & 0xc0) == 0x80)
        c = c << 6 | ((unsigned char)*(*text)++ & 0x3fu);
    return c;
}

static size_t width_of(const char *text)
{
    size_t width = 0;

    while (*text)
        width += columns_of(character(&text));
    return width;
}

/* Bytes of the text that fit into so many columns. */
static size_t fitting(const char *text, size_t width)
{
    const char *at = text, *next = text;

    while (*at) {
        size_t columns = columns_of(character(&next));
        if (columns > width)
            break;
        width -= columns;
        at = next;
    }
    return (size_t)(at - text);
}

static void put_cell(const char *text, size_t width, bool last)
{
    size_t w = width_of(text);

    if (w > width) {
        size_t length = fitting(text, width - 1);
        CLEAN(mem_free) char *part = mem_format("%.*s\u2026", (int)length, text);
        put_cell(part, width, last);
        return;
    }
    printf("%s%*s", text, last ? 0 : (int)(width - w + 2), "");
    if (last)
        putchar('\n');
}

/* On a terminal the last column has what the others leave, if that is enough to read. */
static size_t last_width(const size_t *widths, size_t count)
{
    struct winsize size;
    size_t left, last = widths[count - 1];

    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
        return last;
    left = size.ws_col;
    for (size_t i = 0; i + 1 < count; i++)
        left = left > widths[i] + 2 ? left - widths[i] - 2 : 0;
    return left >= 12 && left < last ? left : last;
}

void print_table(const struct json *rows, const struct column *columns, size_t count,
                 const char *empty)
{
    size_t widths[COLUMNS_MAX] = {0};

    require(count <= COLUMNS_MAX);
    if (json_count(rows) == 0) {
        puts(empty);
        return;
    }
    for (size_t i = 0; i < count; i++)
        widths[i] = width_of(columns[i].heading);
    json_each (row, rows) {
        for (size_t i = 0; i < count; i++) {
            CLEAN(mem_free) char *text = cell_text(row, &columns[i]);
            size_t width = width_of(text) < COLUMN_WIDTH_MAX ? width_of(text) : COLUMN_WIDTH_MAX;
            if (width > widths[i])
                widths[i] = width;
        }
    }
    widths[count - 1] = last_width(widths, count);
    for (size_t i = 0; i < count; i++)
        put_cell(columns[i].heading, widths[i], i + 1 == count);
    json_each (row, rows) {
        for (size_t i = 0; i < count; i++) {
            CLEAN(mem_free) char *text = cell_text(row, &columns[i]);
            put_cell(text, widths[i], i + 1 == count);
        }
    }
}

void print_json(const struct json *payload)
{
    CLEAN(mem_free) char *text = json_print(payload, false);
    puts(text);
}
