/* The main of a fuzz target built without libFuzzer: runs every file of the given folders once. An empty
 * or missing corpus fails, so that a target cannot lose its seeds unnoticed. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX (1 << 20)

static bool replay_file(const char *path)
{
    static uint8_t bytes[INPUT_MAX];
    FILE *file = fopen(path, "rb");

    if (!file)
        return false;
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    /* A block of exactly that size lets the sanitizer see a read behind the end. */
    uint8_t *exact = malloc(size ? size : 1);
    for (size_t i = 0; exact && i < size; i++)
        exact[i] = bytes[i];
    if (exact)
        LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return exact != NULL;
}

static int replay_folder(const char *folder)
{
    struct dirent *entry;
    char path[4096];
    int count = 0;
    DIR *dir = opendir(folder);

    while (dir && (entry = readdir(dir))) {
        int n = snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.' && n > 0 && (size_t)n < sizeof(path) && replay_file(path))
            count++;
    }
    if (dir)
        closedir(dir);
    printf("%s: %d inputs\n", folder, count);
    return count;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (replay_folder(argv[i]) == 0)
            return 1;
    return argc > 1 ? 0 : 2;
}
