/* A session carried by a child ssh, for what libssh2 cannot do: RSA keys with SHA-2, hardware keys, certificates, algorithms
 * nobody shares. One master (ssh -M -N) signs in, once, and listens on a control socket in a folder of ours alone (0700);
 * a forward is asked of it for each destination and leads to a unix socket there, so that a stream is a connect; a
 * command is a small ssh that uses the master's connection. The master keeps watch (ServerAlive) and ends when the
 * server is gone; so does the session. It never asks: BatchMode. */
#include "tunnel/ssh/child_internal.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHILD_LOOK_MS 30

static void child_master_start(void *arg);

/* ---- falling back ---- */

void ssh_connect_fall_back(struct ssh *ssh, int code, const char *what, const char *remedy)
{
    char where[300];

    if (!ssh->policy->allow_child) {
        ssh_fail(ssh, code, "%s: %s; %s", ssh_where(ssh, where), what, remedy);
        return;
    }
    ssh->child = NEW(struct ssh_child);
    ssh->child->ssh = ssh;
    ssh->child->code = code;
    (void)snprintf(ssh->child->reason, sizeof ssh->child->reason, "%s; %s", what, remedy);
    ssh->after = child_master_start;
}

static void child_say_once(struct ssh *ssh)
{
    char key[300];

    (void)snprintf(key, sizeof key, "said: %.250s is carried by ssh", ssh->host.hostname);
    if (ssh_secrets_get(ssh->policy->secrets, key) != NULL)
        return;
    ssh_secrets_put(ssh->policy->secrets, key, "");
    ssh_notice(ssh, "%s is reached by the ssh program: %s", ssh->host.hostname, ssh->child->reason);
}

/* What every ssh of ours is given; returns how many. Only the master reads the configuration: the others talk to it. */
size_t child_arguments(const struct ssh *ssh, bool master, const char *argv[CHILD_ARGS_MAX])
{
    static const char *const fixed[] = {"-T",
                                        "-oBatchMode=yes",
                                        "-oForwardAgent=no",
                                        "-oForwardX11=no",
                                        "-oPermitLocalCommand=no",
                                        "-oRemoteCommand=none",
                                        "-oControlPersist=no",
                                        "-oStreamLocalBindUnlink=no",
                                        "-oLogLevel=INFO"};
    size_t n = 0;

    argv[n++] = ssh->ssh_program != NULL ? ssh->ssh_program : "ssh";
    if (!master || ssh->host.config_file != NULL) {
        argv[n++] = "-F";
        argv[n++] = master ? ssh->host.config_file : "/dev/null";
    }
    for (size_t i = 0; i < COUNT(fixed); i++)
        argv[n++] = fixed[i];
    argv[n++] = "-S";
    argv[n++] = ssh->child->control;
    return n;
}

void child_take_noise(char *to, size_t size, const char *text, size_t length)
{
    size_t n = strlen(to);

    if (length == 0 || n + 4 >= size)
        return;
    if (n > 0) {
        to[n++] = ';';
        to[n++] = ' ';
    }
    for (size_t i = 0; i < length && n + 1 < size; i++)
        to[n++] = text[i] >= ' ' && text[i] < 127 ? text[i] : ' ';
    to[n < size ? n : size - 1] = '\0';
}

/* ---- the master ---- */

static void master_on_noise(void *arg, const char *text, size_t length)
{
    struct ssh_child *c = arg;

    if (strlen(c->noise) > sizeof c->noise / 2)
        c->noise[0] = '\0'; /* the last words count */
    child_take_noise(c->noise, sizeof c->noise, text, length);
}

static const struct {
    const char *part;
    int code;
} endings[] = {
    {"Permission denied", -ERR_AUTH},
    {"Too many authentication failures", -ERR_AUTH},
    {"Host key verification failed", -ERR_DENIED},
    {"not responding", -ERR_TIMEOUT},
};

static void master_on_ended(void *arg, int status, int signal, int result)
{
    struct ssh_child *c = arg;
    int code = c->ssh->phase == SSH_READY ? -ERR_CLOSED : -ERR_CONNECT;

    (void)result;
    c->master = NULL;
    for (size_t i = 0; i < COUNT(endings); i++) {
        if (strstr(c->noise, endings[i].part) != NULL)
            code = endings[i].code;
    }
    if (c->noise[0] == '\0')
        (void)snprintf(c->noise, sizeof c->noise, signal != 0 ? "signal %d" : "status %d",
                       signal != 0 ? signal : status);
    if (c->ssh->phase == SSH_READY)
        ssh_fail(c->ssh, code, "ssh ended: %s", c->noise);
    else
        ssh_fail(c->ssh, code, "ssh says: %.180s (it was asked because %.200s)", c->noise,
                 c->reason);
}

static void master_on_look(void *arg)
{
    struct ssh_child *c = arg;
    struct ssh *ssh = c->ssh;

    if (access(c->control, F_OK) != 0)
        return;
    timer_stop(ssh->loop, &c->look);
    (void)snprintf(ssh->algorithms, sizeof ssh->algorithms, "as ssh has it");
    ssh_ready(ssh);
}

static void master_on_late(void *arg)
{
    struct ssh *ssh = arg;

    ssh_fail(ssh, -ERR_TIMEOUT, "ssh did not sign in in %d s; %s", SSH_AUTH_MS / 1000,
             ssh->child->reason);
}

static bool child_folder(struct ssh_child *c)
{
    const char *base = getenv("XDG_RUNTIME_DIR");

    if (base == NULL || base[0] != '/' || strlen(base) > 48)
        base = "/tmp";
    (void)snprintf(c->folder, sizeof c->folder, "%s/culvert-ssh-XXXXXX", base);
    if (mkdtemp(c->folder) == NULL) {
        ssh_fail(c->ssh, -ERR_IO, "no folder for ssh's sockets (%s): %s", c->folder,
                 strerror(errno));
        c->folder[0] = '\0';
        return false;
    }
    (void)snprintf(c->control, sizeof c->control, "%s/c", c->folder);
    return true;
}

/* Where $HOME is not the account's, ssh's own "~" is not ours (host.c): its files are named in full. A path as ssh
 * reads one: quoted, "%" doubled. */
static void child_add_path(struct buf *out, const char *path)
{
    buf_add_char(out, '"');
    for (; *path != '\0'; path++) {
        if (*path == '%' || *path == '"' || *path == '\\')
            buf_add_char(out, *path == '%' ? '%' : '\\');
        buf_add_char(out, *path);
    }
    buf_add_str(out, "\" ");
}

/* The options' text, one after the other with its NUL, into text; returns how many. */
static size_t child_home_options(const struct ssh *ssh, struct buf *text)
{
    const struct ssh_host *host = &ssh->host;
    size_t count = 0;

    if (host->config_file == NULL || ssh->config_file != NULL)
        return 0;
    if (host->user_known_hosts_count > 0) {
        buf_add_str(text, "-oUserKnownHostsFile=");
        for (size_t i = 0; i < host->user_known_hosts_count; i++)
            child_add_path(text, host->known_hosts[i]);
        buf_add_char(text, '\0');
        count++;
    }
    for (size_t i = 0; i < host->identity_count; i++, count++) {
        buf_add_str(text, "-oIdentityFile=");
        child_add_path(text, host->identity_files[i]);
        buf_add_char(text, '\0');
    }
    return text->bad ? 0 : count;
}

static int child_launch(struct ssh *ssh, struct fault *why)
{
    CLEAN(buf_done) struct buf home = {0};
    struct ssh_child *c = ssh->child;
    const char *argv[CHILD_ARGS_MAX];
    char port[16];
    size_t n = child_arguments(ssh, /* master= */ true, argv);
    struct child_config config = {
        .argv = argv, .leash = true, .arg = c, .noise = master_on_noise, .ended = master_on_ended};
    int r;

    argv[n++] = "-M";
    argv[n++] = "-N";
    argv[n++] = "-oClearAllForwardings=yes";
    argv[n++] = ssh->policy->accept_new || ssh->host.accept_new
                    ? "-oStrictHostKeyChecking=accept-new"
                    : "-oStrictHostKeyChecking=yes";
    argv[n++] = "-oServerAliveInterval=2";
    argv[n++] = "-oServerAliveCountMax=2";
    argv[n++] = "-oConnectTimeout=15";
    argv[n++] = "-oTCPKeepAlive=yes";
    buf_init(&home, 65536);
    size_t options = child_home_options(ssh, &home);
    for (const char *at = home.data; options > 0; options--, at += strlen(at) + 1)
        argv[n++] = at;
    if (ssh->identity != NULL) {
        argv[n++] = "-i";
        argv[n++] = ssh->identity;
    }
    if (ssh->target.user != NULL) {
        argv[n++] = "-l";
        argv[n++] = ssh->target.user;
    }
    if (ssh->target.port != 0) {
        (void)snprintf(port, sizeof port, "%d", ssh->target.port);
        argv[n++] = "-p";
        argv[n++] = port;
    }
    if (ssh->via != NULL) {
        argv[n++] = "-J";
        argv[n++] = ssh->via;
    }
    argv[n++] = "--";
    argv[n++] = ssh->target.host;
    argv[n] = NULL;
    r = child_start(ssh->loop, &config, &c->master, why);
    if (r == 0)
        child_close_input(c->master);
    return r;
}

/* After the turn in which libssh2 gave up. */
static void child_master_start(void *arg)
{
    struct ssh *ssh = arg;
    struct fault why;
    char where[300];

    fault_clear(&why);
    ssh_connect_stop(ssh);
    ssh_turn_stop(ssh, /* goodbye= */ true);
    ssh_transport_stop(ssh);
    ssh_jump_stop(ssh);
    ssh->goodbye[0] = '\0';
    ssh->phase = SSH_CONNECTING;
    ssh->carrier = &ssh_carrier_child;
    if (!child_folder(ssh->child))
        return;
    if (child_launch(ssh, &why) < 0) {
        ssh_fail(ssh, ssh->child->code, "%s: %s (%s)", ssh_where(ssh, where), ssh->child->reason,
                 why.text);
        return;
    }
    child_say_once(ssh);
    timer_start(ssh->loop, &ssh->child->look, CHILD_LOOK_MS, CHILD_LOOK_MS, master_on_look,
                ssh->child);
    timer_start(ssh->loop, &ssh->deadline, SSH_AUTH_MS, 0, master_on_late, ssh);
}

/* ---- the end ---- */

static void child_folder_remove(const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    char path[400];

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        (void)unlink(path);
    }
    if (dir != NULL)
        (void)closedir(dir);
    (void)rmdir(folder);
}

static void child_close(struct ssh *ssh)
{
    struct ssh_child *c = ssh->child;

    if (c == NULL)
        return;
    timer_stop(ssh->loop, &c->look);
    for (size_t i = 0; i < ssh->channel_count; i++)
        channel_fd_drop(ssh->channels[i]);
    child_helpers_drop(ssh);
    child_doors_close(ssh);
    child_drop(TAKE(c->master), /* grace_ms= */ 0);
    if (c->folder[0] != '\0')
        child_folder_remove(c->folder);
    while (c->forwards != NULL) {
        struct child_forward *forward = c->forwards;

        c->forwards = forward->next;
        mem_free(forward->to);
        mem_free(forward);
    }
    c->folder[0] = '\0';
}

static void child_open(struct ssh_channel *channel)
{
    channel->state = CHANNEL_OPENING;
    if (channel->kind == SSH_EXEC)
        channel_fd_exec(channel);
    else
        child_forward_open(channel);
}

const struct ssh_carrier ssh_carrier_child = {
    .open = child_open,
    .write = channel_fd_write,
    .resume = channel_fd_resume,
    .end = channel_fd_end,
    .drop = channel_fd_drop,
    .listen = child_listen,
    .probe = child_probe,
    .close = child_close,
};
