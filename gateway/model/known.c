/* Vendors and families. The numbers are the vendors' published ones; a model that is newer than its row here
 * works, with its family's limits, until models.providers.<id>.models[] says better. */
#include "gateway/model/known.h"

#include <string.h>
#include <strings.h>

static const struct vendor vendors[] = {
    {.id = "openai",
     .base_url = "https://api.openai.com/v1",
     .variable = "OPENAI_API_KEY",
     .host = "//api.openai.com"},
    {.id = "anthropic",
     .api = "anthropic-messages",
     .base_url = "https://api.anthropic.com",
     .variable = "ANTHROPIC_API_KEY",
     .host = "//api.anthropic.com"},
    {.id = "openrouter",
     .base_url = "https://openrouter.ai/api/v1",
     .variable = "OPENROUTER_API_KEY",
     .host = "//openrouter.ai"},
    {.id = "groq",
     .base_url = "https://api.groq.com/openai/v1",
     .variable = "GROQ_API_KEY",
     .host = "//api.groq.com"},
    {.id = "mistral",
     .base_url = "https://api.mistral.ai/v1",
     .variable = "MISTRAL_API_KEY",
     .host = "//api.mistral.ai"},
    {.id = "deepseek",
     .base_url = "https://api.deepseek.com/v1",
     .variable = "DEEPSEEK_API_KEY",
     .host = "//api.deepseek.com"},
    {.id = "together",
     .base_url = "https://api.together.xyz/v1",
     .variable = "TOGETHER_API_KEY",
     .host = "//api.together.xyz"},
    {.id = "ollama", .api = "ollama", .variable = "OLLAMA_API_KEY"}, /* where: discover.c */
};

const struct vendor *vendor_find(const char *provider)
{
    for (size_t i = 0; i < COUNT(vendors); i++)
        if (strcasecmp(vendors[i].id, provider) == 0)
            return &vendors[i];
    return NULL;
}

const struct vendor *vendor_at(const char *url)
{
    for (size_t i = 0; i < COUNT(vendors); i++)
        if (vendors[i].host != NULL && strstr(url, vendors[i].host) != NULL)
            return &vendors[i];
    return NULL;
}

const struct vendor *vendor_next(const struct vendor *vendor)
{
    vendor = vendor != NULL ? vendor + 1 : vendors;
    return vendor < vendors + COUNT(vendors) ? vendor : NULL;
}

/* clang-format off */
static const struct family families[] = {
    {"",                  0,       0,      false, false, THINKING_BY_BUDGET},
    {"claude-",           200000,  64000,  true,  true,  THINKING_BY_EFFORT},
    {"claude-3-",         200000,  4096,   false, true,  THINKING_BY_BUDGET},
    {"claude-3-5-",       200000,  8192,   false, true,  THINKING_BY_BUDGET},
    {"claude-3-7-",       200000,  64000,  true,  true,  THINKING_BY_BUDGET},
    {"claude-sonnet-4-0", 200000,  64000,  true,  true,  THINKING_BY_BUDGET},
    {"claude-sonnet-4-2", 200000,  64000,  true,  true,  THINKING_BY_BUDGET}, /* by its date */
    {"claude-sonnet-4-5", 200000,  64000,  true,  true,  THINKING_BY_BUDGET},
    {"claude-opus-4-0",   200000,  32000,  true,  true,  THINKING_BY_BUDGET},
    {"claude-opus-4-1",   200000,  32000,  true,  true,  THINKING_BY_BUDGET},
    {"claude-opus-4-2",   200000,  32000,  true,  true,  THINKING_BY_BUDGET}, /* by its date */
    {"claude-opus-4-5",   200000,  64000,  true,  true,  THINKING_BY_BUDGET},
    {"claude-haiku-4-5",  200000,  64000,  true,  true,  THINKING_BY_BUDGET},
    {"gpt-4o",            128000,  16384,  false, true,  THINKING_BY_EFFORT},
    {"gpt-4.1",           1047576, 32768,  false, true,  THINKING_BY_EFFORT},
    {"gpt-5",             400000,  128000, true,  true,  THINKING_BY_EFFORT},
    {"o1",                200000,  100000, true,  true,  THINKING_BY_EFFORT},
    {"o3",                200000,  100000, true,  true,  THINKING_BY_EFFORT},
    {"o4-mini",           200000,  100000, true,  true,  THINKING_BY_EFFORT},
};
/* clang-format on */

const struct family *family_of(const char *model)
{
    const char *slash = strrchr(model, '/');
    const struct family *best = &families[0];

    if (slash != NULL)
        model = slash + 1;
    for (size_t i = 0; i < COUNT(families); i++) {
        size_t length = strlen(families[i].prefix);

        if (length >= strlen(best->prefix) && strncmp(model, families[i].prefix, length) == 0)
            best = &families[i];
    }
    return best;
}
