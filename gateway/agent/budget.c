/* Token estimates. On the safe side for text in other scripts than Latin; what is wrong with them is
 * learned from the usage of each answer. */
#include "gateway/agent/budget.h"

#include "base/mem.h"

#include <string.h>

#define MESSAGE_TOKENS 8    /* what a message costs besides its text */
#define IMAGE_TOKENS   1600 /* what the large models take for a picture of the largest useful size */
#define RATIO_MIN      0.5
#define RATIO_MAX      4.0

void budget_init(struct budget *budget, int64_t window)
{
    budget->window = window > 0 ? window : BUDGET_WINDOW_DEFAULT;
    budget->reserve =
        budget->window / 4 < BUDGET_RESERVE_MAX ? budget->window / 4 : BUDGET_RESERVE_MAX;
    budget->ratio = 1;
}

void budget_learn(struct budget *budget, size_t estimated, int64_t told)
{
    double ratio;

    if (told <= 0 || estimated == 0)
        return;
    ratio = (double)told / (double)estimated;
    budget->ratio = ratio < RATIO_MIN ? RATIO_MIN : ratio > RATIO_MAX ? RATIO_MAX : ratio;
}

bool budget_fits(const struct budget *budget, size_t estimated)
{
    return estimated <= budget_room(budget);
}

size_t budget_room(const struct budget *budget)
{
    return (size_t)((double)(budget->window - budget->reserve) / budget->ratio);
}

size_t budget_text(const char *text, size_t length)
{
    size_t other = 0;

    for (size_t i = 0; i < length; i++)
        other += (unsigned char)text[i] >> 7;
    return (length - other + 3) / 4 + (other + 1) / 2;
}

size_t budget_json(const struct json *value)
{
    CLEAN(mem_free) char *text = value ? json_print(value, false) : NULL;

    return text ? budget_text(text, strlen(text)) : 0;
}

static size_t budget_part(const struct json *part)
{
    const char *type = json_string(json_get(part, "type"), "");
    const char *text = json_string(json_get(part, "text"), NULL);

    if (strcmp(type, "image") == 0)
        return IMAGE_TOKENS;
    if (strcmp(type, "text") == 0 && text)
        return budget_text(text, strlen(text));
    return budget_json(part);
}

size_t budget_message(const struct json *message)
{
    const struct json *content = json_get(message, "content");
    const char *text = json_string(content, NULL);
    size_t tokens = MESSAGE_TOKENS;

    if (text)
        return tokens + budget_text(text, strlen(text));
    json_each (part, content)
        tokens += budget_part(part);
    return tokens;
}
