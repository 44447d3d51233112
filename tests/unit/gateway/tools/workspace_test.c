/* Paths stay beneath the workspace, whatever they look like. */
#include "gateway/tools/workspace.h"

#include "base/mem.h"
#include "tests/t.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void put(const char *root, const char *name, const char *text)
{
    CLEAN(mem_free) char *path = mem_format("%s/%s", root, name);
    FILE *file = fopen(path, "w");

    t_ok(file != NULL);
    (void)fputs(text, file);
    (void)fclose(file);
}

T(nothing_leads_out)
{
    CLEAN(mem_free) char *root = mem_format("%s/work", t_tmpdir());
    CLEAN(mem_free) char *links = mem_format("%s/links", root);
    CLEAN(mem_free) char *absolute = mem_format("%s/secret", t_tmpdir());
    CLEAN(mem_free) char *away = mem_format("%s/away", root), *back = mem_format("%s/back", root);
    CLEAN(mem_free) char *within = mem_format("%s/within", root);
    static const struct {
        const char *path;
        int result;
    } cases[] = {
        {"notes.md", 0},
        {"links/../notes.md", 0},
        {"within", 0},
        {"../secret", -ERR_DENIED},
        {"links/../../secret", -ERR_DENIED},
        {"/etc/passwd", -ERR_DENIED},
        {"away", -ERR_DENIED},
        {"back", -ERR_DENIED},
        {"missing", -ERR_NOT_FOUND},
        {"notes.md/x", -ERR_INVALID},
        {"", -ERR_NOT_FOUND},
    };
    struct fault fault = {0};
    int fd;

    t_eq(mkdir(root, 0700), 0);
    t_eq(mkdir(links, 0700), 0);
    put(t_tmpdir(), "secret", "not yours");
    put(root, "notes.md", "mine");
    t_eq(symlink(absolute, away), 0);
    t_eq(symlink("links/../../secret", back), 0);
    t_eq(symlink("links/../notes.md", within), 0);
    fd = workspace_root(root, &fault);
    t_ok(fd >= 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        int r = workspace_open(fd, cases[i].path, O_RDONLY, 0, &fault);

        t_eq(r < 0 ? r : 0, cases[i].result);
        if (r < 0)
            t_has(fault.text, cases[i].path);
        else
            close(r);
    }
    t_eq(workspace_open(fd, "../new", O_WRONLY | O_CREAT, 0600, &fault), -ERR_DENIED);
    t_eq(workspace_open(fd, "away", O_WRONLY | O_TRUNC, 0, &fault), -ERR_DENIED);
    close(fd);
}

T(a_fifo_does_not_hold_the_thread)
{
    CLEAN(mem_free) char *fifo = mem_format("%s/fifo", t_tmpdir());
    struct fault fault = {0};
    int root = workspace_root(t_tmpdir(), &fault), fd;

    t_eq(mkfifo(fifo, 0600), 0);
    fd = workspace_open(root, "fifo", O_RDONLY, 0, &fault);
    t_ok(fd >= 0);
    close(fd);
    close(root);
}

T(a_missing_workspace_is_told)
{
    struct fault fault = {0};

    t_eq(workspace_root("/nowhere/at/all", &fault), -ERR_NOT_FOUND);
    t_has(fault.text, "/nowhere/at/all");
}
