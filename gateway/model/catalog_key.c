/* Keys of model providers: models.providers.<id>.apiKey (the configuration has put in ${NAME} and secret
 * references already), the bare name of an environment variable, or the provider's usual variable. */
#include "gateway/model/catalog.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool is_variable_name(const char *text)
{
    if (*text == '\0' || isdigit((unsigned char)*text))
        return false;
    for (; *text != '\0'; text++)
        if (!isupper((unsigned char)*text) && !isdigit((unsigned char)*text) && *text != '_')
            return false;
    return true;
}

/* Takes the text as the key after trimming; it goes into a header, so control characters are refused. */
static int key_take(struct model_provider *p, const char *text, const char *variable)
{
    size_t length = strlen(text);

    while (length > 0 && isspace((unsigned char)text[length - 1]))
        length--;
    while (length > 0 && isspace((unsigned char)*text))
        text++, length--;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
            return fault_set(&p->fault, -ERR_INVALID,
                             "the key of model provider %.80s holds blanks or control characters",
                             p->id);
    if (length == 0)
        return 0;
    p->key = mem_slice(text, length);
    p->key_env = mem_string(variable);
    return 0;
}

int catalog_key_load(struct model_provider *p, const struct json *node)
{
    const char *text = json_string(json_get(node, "apiKey"), NULL);
    const struct vendor *vendor = vendor_find(p->id);
    const char *value;

    if (text != NULL) {
        value = is_variable_name(text) ? getenv(text) : NULL;
        return value != NULL ? key_take(p, value, text) : key_take(p, text, NULL);
    }
    value = vendor != NULL ? getenv(vendor->variable) : NULL;
    return value != NULL ? key_take(p, value, vendor->variable) : 0;
}
