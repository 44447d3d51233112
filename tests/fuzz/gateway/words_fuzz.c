/* Any text as a command line: what splits, joins into a line that splits the same; nothing that a shell would
 * read otherwise passes for plain words. */
#include "base/mem.h"
#include "gateway/tools/words.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN(mem_free) char *line = mem_slice((const char *)data, size);
    char **words = NULL, **again = NULL;
    struct fault fault = {0};
    int r = words_split(line, &words, &fault);

    require(r == 0 || (words == NULL && (r == 1 || fault.text[0] != '\0')));
    if (r != 0)
        return 0;
    CLEAN(mem_free) char *joined = words_join(words);
    require(words_split(joined, &again, &fault) == 0);
    for (size_t i = 0; words[i] || again[i]; i++)
        require(words[i] && again[i] && strcmp(words[i], again[i]) == 0);
    words_free(words);
    words_free(again);
    return 0;
}
