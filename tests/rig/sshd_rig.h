/* A real OpenSSH server for tests: a listener of our own on 127.0.0.1, port 0, that gives each connection an
 * `sshd -i`, with configuration, host keys and authorized_keys in a folder of the test. Works as root and as an
 * ordinary user (then only that user can sign in). Runs on the test's loop: it accepts while the loop turns.
 *
 *   struct sshd_rig *rig = sshd_rig_new(loop, "RekeyLimit 1M\n");     extra lines win over the rig's own
 *   … ssh_open with rig->target and rig->options …
 *   rig = sshd_rig_free(rig);                                          ends what it started, by pid
 *
 * Each test program that includes it gets its own copy (static functions). */
#pragma once

#include "base/io/loop.h"
#include "base/mem.h"
#include "tests/t.h"
#include "tunnel/ssh/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SSHD_RIG_PIDS 256

struct sshd_rig {
    struct loop *loop;
    char folder
        [256]; /* host_ed25519, id_ed25519, authorized_keys, known_hosts, sshd_config, ssh_config, log */
    char user[64];
    char address[300]; /* ssh://user@127.0.0.1:port, for ssh_target_parse */
    char config[300];  /* for ssh_options.config_file */
    struct ssh_target target;
    struct ssh_options options;
    int port, fd;
    struct watch *watch;
    pid_t pids[SSHD_RIG_PIDS]; /* of each connection, its process group too; 0: reaped */
    size_t count;
    char shadow[300]; /* "": the machine's own */
    bool refuse;      /* accept and hang up at once: an sshd that is not there */
};

/* Runs a program to its end; its status. */
static inline int sshd_rig_run(const char *const argv[])
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = -1;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(const void *)argv, environ) ==
        0)
        (void)waitpid(pid, &status, 0);
    posix_spawn_file_actions_destroy(&actions);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A path in the rig's folder; four of them at a time. */
static inline const char *sshd_rig_path(const struct sshd_rig *rig, const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];

    (void)snprintf(path, sizeof paths[0], "%s/%s", rig->folder, name);
    return path;
}

static inline void sshd_rig_write(const struct sshd_rig *rig, const char *name, const char *text)
{
    int fd = open(sshd_rig_path(rig, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    t_ok(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    (void)close(fd);
}

/* The caller frees; "" when there is none. */
static inline char *sshd_rig_read(const struct sshd_rig *rig, const char *name)
{
    char *text = mem_new(65536);
    int fd = open(sshd_rig_path(rig, name), O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, 65535) : 0;

    if (fd >= 0)
        (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* ssh-keygen: a key pair in the folder. */
static inline void sshd_rig_key(const struct sshd_rig *rig, const char *name, const char *type,
                                const char *passphrase)
{
    const char *argv[] = {"ssh-keygen", "-q", "-t", type, "-N",
                          passphrase,   "-C", name, "-f", sshd_rig_path(rig, name),
                          NULL};

    t_eq(sshd_rig_run(argv), 0);
}

/* Lets the public half of a key in; options go before it ("" none). */
static inline void sshd_rig_authorize(const struct sshd_rig *rig, const char *name,
                                      const char *options)
{
    char file[300];
    char *old = sshd_rig_read(rig, "authorized_keys"), *pub, *text;

    (void)snprintf(file, sizeof file, "%s.pub", name);
    pub = sshd_rig_read(rig, file);
    text = mem_format("%s%s%s%s", old, options, options[0] != '\0' ? " " : "", pub);
    sshd_rig_write(rig, "authorized_keys", text);
    mem_free(old);
    mem_free(pub);
    mem_free(text);
}

static inline void sshd_rig_spawn(struct sshd_rig *rig, int fd)
{
    char config[300];
    char *script =
        mem_format("mount --bind %s /etc/shadow && exec /usr/sbin/sshd -i -e -f %s/sshd_config",
                   rig->shadow, rig->folder);
    const char *plain[] = {"/usr/sbin/sshd", "-i", "-e", "-f", config, NULL};
    const char *apart[] = {"/usr/bin/unshare", "-m", "/bin/sh", "-c", script, NULL};
    const char *const *argv = rig->shadow[0] != '\0' ? apart : plain;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;

    (void)snprintf(config, sizeof config, "%s/sshd_config", rig->folder);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, fd, 0);
    posix_spawn_file_actions_adddup2(&actions, fd, 1);
    posix_spawn_file_actions_addopen(&actions, 2, sshd_rig_path(rig, "log"),
                                     O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attributes, 0);
    require(rig->count < SSHD_RIG_PIDS);
    if (posix_spawn(&rig->pids[rig->count], argv[0], &actions, &attributes,
                    (char *const *)(const void *)argv, environ) == 0)
        rig->count++;
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    mem_free(script);
}

/* From now on this user's password there is the one of the hash (crypt(3)), in a mount namespace of each
 * connection's own. false: not root, or no namespaces here. */
static inline bool sshd_rig_password(struct sshd_rig *rig, const char *hash)
{
    const char *argv[] = {"/usr/bin/unshare", "-m", "true", NULL};
    char *line;

    if (geteuid() != 0 || sshd_rig_run(argv) != 0)
        return false;
    line = mem_format("%s:%s:19000:0:99999:7:::\n", rig->user, hash);
    sshd_rig_write(rig, "shadow", line);
    mem_free(line);
    (void)snprintf(rig->shadow, sizeof rig->shadow, "%s/shadow", rig->folder);
    return true;
}

static inline void sshd_rig_on_connection(void *arg, int events)
{
    struct sshd_rig *rig = arg;
    int fd = accept4(rig->fd, NULL, NULL, SOCK_CLOEXEC);

    (void)events;
    if (fd < 0)
        return;
    if (!rig->refuse)
        sshd_rig_spawn(rig, fd);
    (void)close(fd);
}

static inline void sshd_rig_listen(struct sshd_rig *rig)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;

    rig->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    require(bind(rig->fd, (struct sockaddr *)&address, sizeof address) == 0 &&
            listen(rig->fd, 64) == 0);
    require(getsockname(rig->fd, (struct sockaddr *)&address, &length) == 0);
    rig->port = ntohs(address.sin_port);
    rig->watch = watch_new(rig->loop, rig->fd, POLLIN, sshd_rig_on_connection, rig);
}

/* What sshd needs and what a client of it needs, in one folder. */
static inline void sshd_rig_configure(struct sshd_rig *rig, const char *extra)
{
    char *text = mem_format("%s\nHostKey %s/host_ed25519\nAuthorizedKeysFile "
                            "%s/authorized_keys\nPidFile none\nUsePAM no\n"
                            "StrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n"
                            "KbdInteractiveAuthentication no\nPrintMotd no\nLogLevel VERBOSE\n",
                            extra, rig->folder, rig->folder);
    char *pub = sshd_rig_read(rig, "host_ed25519.pub");

    sshd_rig_write(rig, "sshd_config", text);
    mem_free(text);
    text = mem_format("[127.0.0.1]:%d %s", rig->port, pub);
    sshd_rig_write(rig, "known_hosts", text);
    mem_free(text);
    mem_free(pub);
    text = mem_format(
        "Host *\nUserKnownHostsFile %s/known_hosts\nGlobalKnownHostsFile /dev/null\nIdentityFile "
        "%s/id_ed25519\nIdentitiesOnly yes\nIdentityAgent none\nStrictHostKeyChecking yes\n",
        rig->folder, rig->folder);
    sshd_rig_write(rig, "ssh_config", text);
    mem_free(text);
}

/* NULL and the case skipped when there is no sshd. */
static inline struct sshd_rig *sshd_rig_new(struct loop *loop, const char *extra)
{
    static unsigned rigs;
    struct sshd_rig *rig;
    const struct passwd *me = getpwuid(geteuid());
    struct fault why;

    fault_clear(&why);
    if (access("/usr/sbin/sshd", X_OK) != 0 || me == NULL) {
        t_skip("no /usr/sbin/sshd (Debian package openssh-server)");
        return NULL;
    }
    if (geteuid() == 0)
        (void)mkdir("/run/sshd", 0755); /* privilege separation wants it */
    rig = NEW(struct sshd_rig);
    rig->loop = loop;
    (void)snprintf(rig->folder, sizeof rig->folder, "%s/sshd%u", t_tmpdir(), rigs++);
    require(mkdir(rig->folder, 0700) == 0);
    (void)snprintf(rig->user, sizeof rig->user, "%s", me->pw_name);
    sshd_rig_listen(rig);
    sshd_rig_key(rig, "host_ed25519", "ed25519", "");
    sshd_rig_key(rig, "id_ed25519", "ed25519", "");
    sshd_rig_authorize(rig, "id_ed25519", "");
    sshd_rig_configure(rig, extra);
    (void)snprintf(rig->address, sizeof rig->address, "ssh://%s@127.0.0.1:%d", rig->user,
                   rig->port);
    (void)snprintf(rig->config, sizeof rig->config, "%s/ssh_config", rig->folder);
    require(ssh_target_parse(rig->address, &rig->target, &why) == 0);
    rig->options.config_file = rig->config;
    return rig;
}

/* Each connection's sshd and what it started. */
static inline void sshd_rig_signal(struct sshd_rig *rig, int signum)
{
    for (size_t i = 0; i < rig->count; i++) {
        if (rig->pids[i] > 0)
            (void)kill(-rig->pids[i], signum);
    }
}

static inline void sshd_rig_kill(struct sshd_rig *rig)
{
    sshd_rig_signal(rig, SIGKILL);
    for (size_t i = 0; i < rig->count; i++) {
        if (rig->pids[i] > 0)
            (void)waitpid(rig->pids[i], NULL, 0);
        rig->pids[i] = 0;
    }
    rig->count = 0;
}

static inline struct sshd_rig *sshd_rig_free(struct sshd_rig *rig)
{
    if (rig == NULL)
        return NULL;
    sshd_rig_kill(rig);
    rig->watch = watch_free(rig->watch);
    (void)close(rig->fd);
    ssh_target_done(&rig->target);
    return mem_free(rig);
}
