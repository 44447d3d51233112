/* The agent client against the real ssh-agent. */
#include "base/io/loop.h"
#include "base/mem.h"
#include "tests/t.h"
#include "tunnel/ssh/agent.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct wait {
    struct op op;
    int result, ends;
};

static void on_done(struct op *op, int result)
{
    struct wait *wait = CONTAINER(op, struct wait, op);

    wait->result = result;
    wait->ends++;
}

static pid_t spawn(const char *const *argv)
{
    pid_t pid = -1;
    char *const *args;
    posix_spawn_file_actions_t quiet;

    memcpy(&args, &argv, sizeof(args));
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&pid, argv[0], &quiet, NULL, args, environ) != 0)
        pid = -1;
    posix_spawn_file_actions_destroy(&quiet);
    return pid;
}

static int run(const char *const *argv)
{
    int status = -1;
    pid_t pid = spawn(argv);

    if (pid > 0)
        waitpid(pid, &status, 0);
    return status;
}
#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

static void again(struct loop *loop, struct wait *wait)
{
    wait->ends = 0;
    op_init(&wait->op, loop, on_done, 0);
}

static void until(struct loop *loop, struct wait *wait)
{
    while (wait->ends == 0)
        loop_turn(loop, true);
}

T(real_agent)
{
    CLEAN(loop_free) struct loop *loop = loop_new(LOOP_REAL);
    CLEAN(mem_free) char *socket_path = mem_format("%s/a", t_tmpdir());
    CLEAN(mem_free) char *key = mem_format("%s/key", t_tmpdir());
    struct agent_keys keys = {0};
    struct wait wait = {0};
    CLEAN(buf_done) struct buf signature = {0};

    if (access("/usr/bin/ssh-agent", X_OK) < 0)
        t_skip("no ssh-agent here");
    buf_init(&signature, 1024);
    pid_t daemon = spawn((const char *const[]){"ssh-agent", "-D", "-a", socket_path, NULL});
    t_ok(daemon > 0);
    for (int i = 0; i < 500 && access(socket_path, F_OK) < 0; i++)
        poll(NULL, 0, 10);
    setenv("SSH_AUTH_SOCK", socket_path, 1);
    t_eq(RUN("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "the key", "-f", key), 0);

    struct agent *agent = agent_new(loop, socket_path);
    op_init(&wait.op, loop, on_done, 0);
    agent_list(agent, &wait.op, &keys);
    until(loop, &wait);
    t_eq(wait.result, 0);
    t_eq(keys.count, 0);
    agent_keys_done(&keys);

    t_eq(RUN("ssh-add", "-q", key), 0);
    again(loop, &wait);
    agent_list(agent, &wait.op, &keys);
    until(loop, &wait);
    t_eq(wait.result, 0);
    t_eq(keys.count, 1);
    if (keys.count == 1) {
        t_str(keys.items[0].type, "ssh-ed25519");
        t_str(keys.items[0].comment, "the key");
        again(loop, &wait);
        agent_sign(agent, &wait.op, &keys.items[0], "data", 4, 0, &signature);
        until(loop, &wait);
        t_eq(wait.result, 0);
        t_eq(signature.length, 4 + 11 + 4 + 64);
    }

    t_eq(RUN("ssh-add", "-q", "-D"), 0);
    again(loop, &wait);
    if (keys.count == 1) {
        agent_sign(agent, &wait.op, &keys.items[0], "data", 4, 0, &signature);
        until(loop, &wait);
        t_eq(wait.result, -ERR_DENIED);
        t_has(wait.op.fault.text, "was the key taken out");
    }
    agent_keys_done(&keys);
    agent_free(agent);
    if (daemon > 0) {
        kill(daemon, SIGTERM);
        waitpid(daemon, NULL, 0);
    }
}
