/* Tables and ages. Text from outside never reaches the terminal with control characters in it. */
#include "gateway/cli/print.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

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
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    return text;
}

static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text; text++)
        if (((unsigned char)*text & 0xc0) != 0x80)
            width++;
    return width;
}

static void put_cell(const char *text, size_t width, bool last)
{
    fputs(text, stdout);
    if (last) {
        putchar('\n');
        return;
    }
    size_t w = width_of(text);
    do
        putchar(' ');
    while (++w < width + 2);
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
