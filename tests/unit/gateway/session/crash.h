/* The files of a store as a crash at this moment would leave them. */
#pragma once

#include "base/mem.h"
#include "tests/t.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static inline void copy_file(const char *from_dir, const char *to_dir, const char *name)
{
    CLEAN(mem_free) char *from = mem_format("%s/%s", from_dir, name);
    CLEAN(mem_free) char *to = mem_format("%s/%s", to_dir, name);
    int in = open(from, O_RDONLY | O_CLOEXEC), out;
    char block[65536];
    ssize_t n;

    if (in < 0)
        return; /* no -wal: nothing to copy */
    out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    while ((n = read(in, block, sizeof(block))) > 0)
        require(write(out, block, (size_t)n) == n);
    close(in);
    close(out);
}

/* The files as a crash at this moment would leave them, in a folder of their own. */
static inline char *crash_image(const char *dir, const char *name)
{
    char *image = mem_format("%s/%s", t_tmpdir(), name);

    require(mkdir(image, 0700) == 0);
    copy_file(dir, image, "culvert.db");
    copy_file(dir, image, "culvert.db-wal");
    return image;
}

static inline char *fresh_dir(const char *name)
{
    char *dir = mem_format("%s/%s", t_tmpdir(), name);

    require(mkdir(dir, 0700) == 0);
    return dir;
}
