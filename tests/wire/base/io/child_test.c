/* Child processes: lines, ceilings, the end exactly once, groups, input. Real processes (sh). */
#include "base/io/child.h"

#include "base/mem.h"
#include "tests/t.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct watcher {
    struct child *child;
    struct buf lines, noise;
    int count, ends, status, signal, result;
    int64_t stop_grace; /* stop at the first line; -1: do not */
    bool drop;          /* drop at the first line */
};

static struct loop *loop;

static void on_line(void *arg, const char *text, size_t length)
{
    struct watcher *w = arg;

    buf_add(&w->lines, text, length);
    buf_add_char(&w->lines, '\n');
    w->count++;
    if (w->stop_grace >= 0)
        child_stop(w->child, w->stop_grace);
    if (w->drop)
        child_drop(w->child, 0);
}

static void on_noise(void *arg, const char *text, size_t length)
{
    struct watcher *w = arg;

    buf_add(&w->noise, text, length);
    buf_add_char(&w->noise, '\n');
}

static void on_ended(void *arg, int status, int signum, int result)
{
    struct watcher *w = arg;

    w->ends++;
    w->status = status;
    w->signal = signum;
    w->result = result;
    w->child = NULL;
}

static void watcher_init(struct watcher *w)
{
    *w = (struct watcher){.stop_grace = -1};
    buf_init(&w->lines, 32u << 20);
    buf_init(&w->noise, 1u << 20);
    loop = loop_new(LOOP_REAL);
}

static void watcher_done(struct watcher *w)
{
    buf_done(&w->lines);
    buf_done(&w->noise);
    loop = loop_free(loop);
}

static void start(struct watcher *w, const char *script, size_t line_max)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct child_config config = {.argv = argv,
                                  .line_max = line_max,
                                  .arg = w,
                                  .line = on_line,
                                  .noise = on_noise,
                                  .ended = on_ended};
    struct fault fault = {0};

    t_eq(child_start(loop, &config, &w->child, &fault), 0);
    t_ok(child_pid(w->child) > 0);
}

static void wait_end(struct watcher *w)
{
    while (w->ends == 0)
        loop_turn(loop, true);
    for (int i = 0; i < 5; i++)
        loop_turn(loop, false);
    t_eq(w->ends, 1);
}

static void on_pause(void *arg)
{
    (void)arg;
}

/* A zombie that nobody has collected yet is dead. */
static bool is_alive(int pid)
{
    char path[64], text[512] = "";
    const char *state;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    file = fopen(path, "r");
    if (file == NULL)
        return false;
    (void)fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    state = strrchr(text, ')');
    return state != NULL && state[2] != 'Z' && state[2] != 'X';
}

T(lines_and_status)
{
    struct watcher w;

    watcher_init(&w);
    start(&w, "printf 'one\\r\\ntw'; printf 'o\\n\\nlast'; echo bad >&2; exit 3", 100);
    wait_end(&w);
    t_str(w.lines.data, "one\ntwo\n\nlast\n");
    t_eq(w.count, 4);
    t_str(w.noise.data, "bad\n");
    t_eq(w.status, 3);
    t_eq(w.signal, 0);
    t_eq(w.result, 0);
    watcher_done(&w);
}

T(not_found_and_not_named)
{
    const char *const argv[] = {"no-such-program-here", NULL}, *const none[] = {NULL};
    const char *const good[] = {"sh", "-c", "true", NULL};
    struct child_config config = {.argv = argv, .ended = on_ended};
    struct fault fault = {0};
    struct watcher w;

    watcher_init(&w);
    t_eq(child_start(loop, &config, &w.child, &fault), -ERR_NOT_FOUND);
    t_has(fault.text, "no-such-program-here");
    config.argv = none;
    t_eq(child_start(loop, &config, &w.child, &fault), -ERR_INVALID);
    config.argv = good;
    config.directory = "/no/such/folder";
    t_eq(child_start(loop, &config, &w.child, &fault), -ERR_NOT_FOUND);
    watcher_done(&w); /* loop_free: no handle is left */
}

T(another_file_than_its_name)
{
    const char *const argv[] = {"no-such-program-here", "-c", "echo \"$0\"", NULL};
    struct fault fault = {0};
    struct watcher w;

    watcher_init(&w);
    t_eq(child_start(
             loop,
             &(struct child_config){
                 .argv = argv, .file = "/bin/sh", .arg = &w, .line = on_line, .ended = on_ended},
             &w.child, &fault),
         0);
    wait_end(&w);
    t_str(w.lines.data, "no-such-program-here\n");
    watcher_done(&w);
}

T(line_ceiling)
{
    struct watcher w;

    watcher_init(&w);
    start(&w, "echo short; head -c 100 /dev/zero | tr '\\0' x; sleep 30", 99);
    wait_end(&w);
    t_eq(w.result, -ERR_TOO_LARGE);
    t_str(w.lines.data, "short\n");
    t_eq(w.signal, SIGKILL);
    watcher_done(&w);

    watcher_init(&w);
    start(&w, "head -c 99 /dev/zero | tr '\\0' x; echo; head -c 99 /dev/zero | tr '\\0' y", 99);
    wait_end(&w);
    t_eq(w.result, 0);
    t_eq(w.count, 2);
    t_eq(w.lines.length, 200);
    watcher_done(&w);
}

T(long_noise_comes_in_pieces)
{
    struct watcher w;

    watcher_init(&w);
    start(&w, "head -c 20000 /dev/zero | tr '\\0' x >&2", 99);
    wait_end(&w);
    t_eq(w.result, 0);
    t_eq(w.noise.length, 20003);
    watcher_done(&w);
}

T(input_reaches_it)
{
    struct watcher w;

    watcher_init(&w);
    start(&w, "cat", 100);
    t_eq(child_write(w.child, "hello\n", 6), 0);
    t_eq(child_write(w.child, "", 0), 0);
    t_eq(child_write(w.child, "you\n", 4), 0);
    child_close_input(w.child);
    child_close_input(w.child);
    t_eq(child_write(w.child, "x", 1), -ERR_CLOSED);
    wait_end(&w);
    t_str(w.lines.data, "hello\nyou\n");
    t_eq(w.status, 0);
    watcher_done(&w);
}

T(input_ceiling)
{
    struct watcher w;
    char *big = mem_new(1u << 20);
    int r = 0, writes = 0;

    watcher_init(&w);
    start(&w, "exec sleep 30", 100);
    while (r == 0 && writes < 10) {
        r = child_write(w.child, big, 1u << 20);
        writes++;
    }
    t_eq(r, -ERR_FULL);
    t_ok(writes >= 4);
    child_stop(w.child, 1000);
    wait_end(&w);
    t_eq(w.signal, SIGTERM);
    mem_free(big);
    watcher_done(&w);
}

T(input_to_one_that_does_not_read)
{
    struct watcher w;
    char *big = mem_new(1u << 20);

    watcher_init(&w);
    start(&w, "exec 0<&-; echo closed; sleep 0.2; exit 4", 100);
    while (w.count == 0)
        loop_turn(loop, true);
    (void)child_write(w.child, big, 1u << 20); /* EPIPE, not SIGPIPE */
    wait_end(&w);
    t_eq(w.status, 4);
    mem_free(big);
    watcher_done(&w);
}

T(stop_reaches_the_whole_group)
{
    struct watcher w;
    int grandchild;

    watcher_init(&w);
    start(&w, "sleep 60 & echo $!; wait", 100);
    while (w.count == 0)
        loop_turn(loop, true);
    grandchild = (int)strtol(w.lines.data, NULL, 10);
    t_ok(grandchild > 0 && is_alive(grandchild));
    child_stop(w.child, 5000);
    wait_end(&w);
    t_eq(w.signal, SIGTERM);
    for (int i = 0; i < 100 && is_alive(grandchild); i++) {
        struct timer pause = {0};

        timer_start(loop, &pause, 10, 0, on_pause, NULL);
        loop_turn(loop, true);
        timer_stop(loop, &pause);
    }
    t_ok(!is_alive(grandchild));
    watcher_done(&w);
}

T(grace_then_kill)
{
    struct watcher w;

    watcher_init(&w);
    w.stop_grace = 50;
    start(&w, "trap '' TERM; echo ready; while :; do sleep 0.01; done", 100);
    wait_end(&w);
    t_eq(w.signal, SIGKILL);
    t_eq(w.result, 0);
    watcher_done(&w);
}

T(drop_inside_a_line_tells_nothing_more)
{
    struct watcher w;

    watcher_init(&w);
    w.drop = true;
    start(&w, "echo one; echo two; sleep 30", 100);
    while (w.count == 0)
        loop_turn(loop, true);
    watcher_done(&w); /* runs until the handles are closed */
    t_eq(w.count, 1);
    t_eq(w.ends, 0);
}

/* Somebody who left the group keeps our pipe: not waited for beyond the drain. */
T(a_holder_of_the_pipe_does_not_hold_the_end)
{
    struct watcher w;

    watcher_init(&w);
    start(&w, "setsid sleep 8 & echo gone", 100);
    wait_end(&w);
    t_eq(w.status, 0);
    t_str(w.lines.data, "gone\n");
    watcher_done(&w);
}

T(environment_and_folder)
{
    const char *const argv[] = {"sh", "-c", "echo $WHO; pwd", NULL};
    const char *const envp[] = {"WHO=me", "PATH=/usr/bin:/bin", NULL};
    struct watcher w;
    struct child_config config = {.argv = argv,
                                  .envp = envp,
                                  .directory = "/",
                                  .arg = &w,
                                  .line = on_line,
                                  .ended = on_ended};

    watcher_init(&w);
    t_eq(child_start(loop, &config, &w.child, NULL), 0);
    wait_end(&w);
    t_str(w.lines.data, "me\n/\n");
    watcher_done(&w);
}

/* ---- on a leash ---- */

static void start_leashed(struct watcher *w, const char *script)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct child_config config = {
        .argv = argv, .leash = true, .arg = w, .line = on_line, .ended = on_ended};

    t_eq(child_start(loop, &config, &w->child, NULL), 0);
}

/* Dead within two seconds: the kernel's work, not ours. */
static bool dies(int pid)
{
    for (int i = 0; i < 200; i++) {
        if (!is_alive(pid))
            return true;
        (void)poll(NULL, 0, 10);
    }
    return false;
}

/* A grandchild that holds none of our pipes and ignores what can be ignored. */
#define GRANDCHILD                                                                                 \
    "sh -c 'trap \"\" TERM HUP INT; exec sleep 100' </dev/null >/dev/null 2>&1 3<&- & echo $!; "

T(the_group_ends_with_its_leader)
{
    struct watcher w;
    int grandchild;

    watcher_init(&w);
    start_leashed(&w, GRANDCHILD "exit 4");
    wait_end(&w);
    t_eq(w.status, 4);
    grandchild = (int)strtol(w.lines.data, NULL, 10);
    t_ok(grandchild > 1 && dies(grandchild));
    watcher_done(&w);
}

/* In a process of its own, which is killed the hard way once its child has told the two pids. */
static void keeper(int out)
{
    struct watcher w;

    watcher_init(&w);
    start_leashed(&w, GRANDCHILD "echo $$; trap '' TERM HUP INT; exec sleep 100");
    while (w.count < 2)
        loop_turn(loop, true);
    (void)!write(out, w.lines.data, w.lines.length);
    for (;;)
        (void)pause();
}

T(the_group_ends_when_we_are_killed)
{
    char text[64] = "", *end = text;
    int ends[2], status;
    pid_t pid;

    t_eq(pipe(ends), 0);
    pid = fork();
    if (pid == 0)
        keeper(ends[1]);
    while (strlen(text) == 0 || strchr(strchr(text, '\n') + 1, '\n') == NULL) {
        ssize_t n = read(ends[0], text + strlen(text), sizeof text - 1 - strlen(text));
        if (n <= 0)
            break;
    }
    long grandchild = strtol(text, &end, 10), child = strtol(end, NULL, 10);
    t_ok(is_alive((int)child) && is_alive((int)grandchild));
    t_eq(kill(pid, SIGKILL), 0);
    t_eq(waitpid(pid, &status, 0), pid);
    t_ok(dies((int)child));
    t_ok(dies((int)grandchild));
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* Of a flood one piece is read per turn, so others have theirs. */
static int ticks;

static void on_tick(void *arg)
{
    struct watcher *w = arg;

    if (++ticks == 50)
        child_stop(w->child, 0);
}

T(a_flood_leaves_turns_to_others)
{
    struct watcher w;
    struct timer timer = {0};
    struct loop_delay delay;

    watcher_init(&w);
    ticks = 0;
    start(&w, "exec yes 'a line of some length that comes again and again'", 1000);
    buf_done(&w.lines); /* not kept */
    buf_init(&w.lines, 1);
    timer_start(loop, &timer, 1, 1, on_tick, &w);
    loop_delay_take(loop, &delay);
    while (w.ends == 0)
        loop_turn(loop, true);
    loop_delay_take(loop, &delay);
    t_ok(w.count > 10000);
    t_ok(delay.max_us < 100000); /* 2 ms is usual; the machine may be busy */
    timer_stop(loop, &timer);
    watcher_done(&w);
}
