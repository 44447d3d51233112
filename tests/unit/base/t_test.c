/* The kit itself: that its checks fail when they should, and what the program then says. Each case named
 * probe_* fails or skips on purpose, and only in a child of this program that asks for it. */
#include "tests/t.h"

#include "base/buf.h"
#include "base/mem.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void only_in_child(void)
{
    if (!getenv("T_PROBE"))
        t_skip("runs in a child");
}

T(probe_eq)
{
    only_in_child();
    t_eq(1 + 1, 3);
}

T(probe_ok)
{
    only_in_child();
    t_ok(1 > 2);
}

T(probe_str)
{
    only_in_child();
    t_str("one", "two");
    t_str(NULL, "two");
}

T(probe_has)
{
    only_in_child();
    t_has("haystack", "needle");
}

T(probe_json_value)
{
    only_in_child();
    t_json("{\"a\":{\"b\":[1,2]}}", "{'a':{'b':[1,3]}}");
}

T(probe_json_absent)
{
    only_in_child();
    t_json("{\"a\":1}", "{'b':'*'}");
}

T(probe_json_longer)
{
    only_in_child();
    t_json("[1,2,3]", "[1,2]");
}

T(probe_json_bad)
{
    only_in_child();
    t_json("{", "{}");
}

T(probe_skip)
{
    only_in_child();
    t_skip("no reason");
}

/* Runs this program with one case; what it printed is the caller's. */
static int run(const char *name, char **ret_output)
{
    char self[4096];
    struct buf b;
    int pipe_fds[2];

    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    t_ok(n > 0 && pipe(pipe_fds) == 0);
    self[n > 0 ? n : 0] = '\0';
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pipe_fds[1], STDOUT_FILENO);
        dup2(pipe_fds[1], STDERR_FILENO);
        close(pipe_fds[0]);
        setenv("T_PROBE", "1", 1);
        execl(self, self, name, (char *)NULL);
        _exit(126);
    }
    close(pipe_fds[1]);
    buf_init(&b, 1 << 20);
    char *to;
    while ((to = buf_reserve(&b, 4096)) && (n = read(pipe_fds[0], to, 4096)) > 0)
        b.length += (size_t)n;
    close(pipe_fds[0]);
    buf_add(&b, "", 0);
    if (b.data)
        b.data[b.length] = '\0';
    *ret_output = buf_take(&b);
    int status = 0;
    t_ok(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void fails_with(int line, const char *name, const char *said)
{
    CLEAN(mem_free) char *output = NULL;

    t_eq_(__FILE__, line, name, "exit status", run(name, &output), 1);
    t_has_(__FILE__, line, name, output, said);
    t_has_(__FILE__, line, name, output, "1 failed");
}

T(failures_are_failures)
{
    fails_with(__LINE__, "probe_eq", "1 + 1 is 2, expected 3");
    fails_with(__LINE__, "probe_ok", "expected 1 > 2");
    fails_with(__LINE__, "probe_str", "is       one\n      expected two");
    fails_with(__LINE__, "probe_str", "is       (NULL)");
    fails_with(__LINE__, "probe_has", "should contain needle");
    fails_with(__LINE__, "probe_json_value", "JSON differs at /a/b/1");
    fails_with(__LINE__, "probe_json_absent", "JSON differs at /b");
    fails_with(__LINE__, "probe_json_longer", "JSON differs at /2 (one too many)");
    fails_with(__LINE__, "probe_json_bad", "the actual JSON cannot be read");
}

T(skips_and_unknown_cases)
{
    CLEAN(mem_free) char *skip = NULL;
    CLEAN(mem_free) char *unknown = NULL;

    t_eq(run("probe_skip", &skip), 77);
    t_has(skip, "skip probe_skip: no reason");
    t_eq(run("no_such_case", &unknown), 1);
    t_has(unknown, "no such case");
}

T(json_that_matches)
{
    t_json("{\"a\":1,\"b\":[true,null,\"x\"],\"more\":0}", "{'b':[true,null,'*'],'a':1.0}");
    t_json("\"it's\"", "'it\\'s'");
    t_json("{\"n\":null}", "{'n':'*'}");
}

T(temporary_folder)
{
    t_ok(access(t_tmpdir(), W_OK) == 0);
    t_ok(t_tmpdir() == t_tmpdir());
}
