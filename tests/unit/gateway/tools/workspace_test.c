/* Paths stay beneath the workspace, whatever they look like. */
#include "gateway/tools/workspace.h"

#include "base/mem.h"
#include "tests/t.h"

#include <fcntl.h>
#include <pthread.h>
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
        /* The way of older kernels keeps inside as well; it follows no link at all. */
        r = workspace_open_by_walk(fd, cases[i].path, O_RDONLY, 0, &fault);
        if (r >= 0)
            t_eq(cases[i].result, 0);
        t_eq(r >= 0, strcmp(cases[i].path, "notes.md") == 0);
        if (r >= 0)
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

T(paths_as_people_write_them)
{
    static const struct {
        const char *path, *plain;
    } cases[] = {
        {"notes.md", "notes.md"},
        {"./a//b/./c", "a/b/c"},
        {".", "."},
        {"a/", "a"},
        {"..", NULL},
        {"a/../b", NULL},
        {"/etc/passwd", NULL},
        {"", NULL},
        {"...", "..."},
        {"a..b/..c", "a..b/..c"},
    };
    CLEAN(mem_free) char *beneath = mem_format("%s/x/y", t_tmpdir());
    CLEAN(mem_free) char *beside = mem_format("%s-x/y", t_tmpdir());
    CLEAN(mem_free) char *below = NULL;
    struct fault fault = {0};

    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEAN(mem_free) char *plain = workspace_relative(t_tmpdir(), cases[i].path, &fault);

        if (!cases[i].plain)
            t_ok(plain == NULL);
        else
            t_str(plain, cases[i].plain);
    }
    below = workspace_relative(t_tmpdir(), beneath, &fault);
    t_str(below, "x/y");
    t_ok(workspace_relative(t_tmpdir(), beside, &fault) == NULL);
}

static void check_file(const char *folder, const char *name, const char *text)
{
    CLEAN(mem_free) char *path = mem_format("%s/%s", folder, name);
    char have[256] = "";
    FILE *file = fopen(path, "r");

    t_ok(file != NULL);
    t_ok(fgets(have, sizeof(have), file) != NULL);
    (void)fclose(file);
    t_str(have, text);
}

T(written_in_one_step)
{
    CLEAN(mem_free) char *work = mem_format("%s/w", t_tmpdir());
    CLEAN(mem_free) char *link = mem_format("%s/link", work), *out = mem_format("%s/out", work);
    CLEAN(mem_free) char *fifo = mem_format("%s/pipe", work), *run = mem_format("%s/run", work);
    struct fault fault = {0};
    struct stat st;
    int root;

    t_eq(mkdir(work, 0700), 0);
    put(t_tmpdir(), "outside", "safe");
    put(work, "run", "old");
    t_eq(chmod(run, 0755), 0);
    t_eq(symlink("../outside", link), 0);
    t_eq(symlink("..", out), 0);
    t_eq(mkfifo(fifo, 0600), 0);
    root = workspace_root(work, &fault);

    t_eq(workspace_write(root, "a/b/c.txt", NULL, "new", 3, &fault), 0);
    check_file(work, "a/b/c.txt", "new");
    t_eq(workspace_write(root, "run", NULL, "new", 3, &fault), 0);
    t_ok(stat(run, &st) == 0 && (st.st_mode & 0777) == 0755); /* its mode is kept */
    t_eq(workspace_write(root, "link", NULL, "x", 1, &fault), -ERR_INVALID);
    t_eq(workspace_write(root, "out/outside", NULL, "x", 1, &fault), -ERR_DENIED);
    t_eq(workspace_write(root, "pipe", NULL, "x", 1, &fault), -ERR_INVALID);
    t_eq(workspace_write(root, "a", NULL, "x", 1, &fault), -ERR_INVALID);
    t_eq(workspace_write(root, "run/x", NULL, "x", 1, &fault), -ERR_INVALID);
    check_file(t_tmpdir(), "outside", "safe");
    close(root);
}

T(what_is_read)
{
    struct fault fault = {0};
    struct buf b;
    int root = workspace_root(t_tmpdir(), &fault), proc = workspace_root("/proc/self", &fault);
    CLEAN(mem_free) char *fifo = mem_format("%s/pipe", t_tmpdir());

    buf_init(&b, 1 << 20);
    put(t_tmpdir(), "ten", "0123456789");
    t_eq(mkfifo(fifo, 0600), 0);
    t_eq(workspace_read(root, "ten", 10, NULL, &b, &fault), 10);
    t_str(b.data, "0123456789");
    t_eq(workspace_read(root, "ten", 9, NULL, &b, &fault), -ERR_TOO_LARGE);
    t_eq(workspace_read(root, "pipe", 9, NULL, &b, &fault), -ERR_INVALID);
    t_eq(workspace_read(root, ".", 9, NULL, &b, &fault), -ERR_INVALID);
    /* Links of /proc lead anywhere: never followed, also where the workspace is /proc itself. */
    t_ok(workspace_read(proc, "root/etc/passwd", 1 << 20, NULL, &b, &fault) < 0);
    t_ok(workspace_read(proc, "cwd/README.md", 1 << 20, NULL, &b, &fault) < 0);
    /* A file that tells no size is cut off all the same. */
    t_eq(workspace_read(proc, "maps", 100, NULL, &b, &fault), -ERR_TOO_LARGE);
    buf_done(&b);
    close(root);
    close(proc);
}

T(the_gateways_own_files_are_not_for_agents)
{
    CLEAN(mem_free) char *home = mem_format("%s/home", t_tmpdir());
    CLEAN(mem_free) char *state = mem_format("%s/.culvert", home);
    CLEAN(mem_free) char *work = mem_format("%s/workspace", state);
    CLEAN(mem_free) char *link = mem_format("%s/shortcut", home);
    struct fault fault = {0};
    struct buf b;
    int root;

    buf_init(&b, 1 << 20);
    t_ok(mkdir(home, 0700) == 0 && mkdir(state, 0700) == 0 && mkdir(work, 0700) == 0);
    t_eq(symlink(".culvert", link), 0);
    put(state, "culvert.json", "secret");
    put(work, "notes", "mine");
    root = workspace_root(home, &fault); /* the operator made the home folder the workspace */
    t_eq(workspace_read(root, ".culvert/culvert.json", 100, state, &b, &fault), -ERR_DENIED);
    t_eq(workspace_read(root, "shortcut/culvert.json", 100, state, &b, &fault), -ERR_DENIED);
    t_eq(workspace_write(root, ".culvert/culvert.json", state, "{}", 2, &fault), -ERR_DENIED);
    close(root);
    root = workspace_root(work, &fault); /* the usual place: below it */
    t_eq(workspace_read(root, "notes", 100, state, &b, &fault), 4);
    t_eq(workspace_write(root, "more", state, "x", 1, &fault), 0);
    close(root);
    buf_done(&b);
}

/* A folder on the way becomes a link to the outside and a folder again, as fast as another thread can. */
static struct swap {
    char *folder, *aside, *link;
    _Atomic bool stop;
} swap;

static void *swap_run(void *arg)
{
    (void)arg;
    while (!swap.stop) {
        if (rename(swap.folder, swap.aside) == 0) {
            if (symlink(swap.link, swap.folder) == 0)
                (void)unlink(swap.folder);
            (void)rename(swap.aside, swap.folder);
        }
    }
    return NULL;
}

T(a_folder_that_is_swapped_for_a_link_meanwhile)
{
    CLEAN(mem_free) char *work = mem_format("%s/s", t_tmpdir());
    CLEAN(mem_free) char *outside = mem_format("%s/o", t_tmpdir());
    struct fault fault = {0};
    pthread_t thread;
    int root, written = 0;

    swap.folder = mem_format("%s/d", work);
    swap.aside = mem_format("%s/d.aside", work);
    swap.link = mem_string(outside);
    t_ok(mkdir(work, 0700) == 0 && mkdir(outside, 0700) == 0 && mkdir(swap.folder, 0700) == 0);
    put(outside, "file", "safe");
    root = workspace_root(work, &fault);
    t_eq(pthread_create(&thread, NULL, swap_run, NULL), 0);
    for (int i = 0; i < 250 || (written == 0 && i < 20000); i++) {
        struct buf b;

        buf_init(&b, 1 << 16);
        written += workspace_write(root, "d/file", NULL, "bad", 3, &fault) == 0;
        if (workspace_read(root, "d/file", 100, NULL, &b, &fault) > 0)
            t_str(b.data, "bad"); /* never what lies outside */
        buf_done(&b);
    }
    swap.stop = true;
    t_eq(pthread_join(thread, NULL), 0);
    t_ok(written > 0);
    check_file(outside, "file", "safe");
    close(root);
    mem_free(swap.folder);
    mem_free(swap.aside);
    mem_free(swap.link);
}

T(a_missing_workspace_is_told)
{
    struct fault fault = {0};

    t_eq(workspace_root("/nowhere/at/all", &fault), -ERR_NOT_FOUND);
    t_has(fault.text, "/nowhere/at/all");
}
