/* SSH targets, and asking ssh what it would do with one: `ssh -T -G … -- host` as a child, its output to
 * ssh_host_parse, its complaints to the person. Without an ssh: the command line and the usual files.
 *
 * StrictHostKeyChecking "no" is not obeyed: it says to go on where somebody may be listening in, and a tunnel that
 * stays would be listened to all day. The owner tells the person so.
 *
 * Where $HOME is not the account's home, ssh's own default (the account's ~/.ssh/config) is not what the person of
 * this environment configured: $HOME/.ssh/config is named instead, or the system's file where that is missing. */
#include "tunnel/ssh/host.h"

#include "base/buf.h"
#include "base/io/child.h"
#include "base/mem.h"
#include "tunnel/ssh/host_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define RESOLVE_MAGIC 0x73686f73u
#define RESOLVE_MS    10000
#define OUTPUT_MAX    (256u << 10) /* ssh says about 5 KiB */
#define NOISE_MAX     300
#define NAME_MAX_LEN  255

/* ---- targets ---- */

/* What ssh itself refuses: names reach ProxyCommand's shell by %h and %r. */
static bool has_any(const char *text, const char *refused)
{
    for (const char *c = text; *c; c++)
        if (iscntrl((unsigned char)*c) || strchr(refused, *c))
            return true;
    return false;
}

static int check_name(const char *what, const char *name, const char *refused,
                      struct fault *reterr_fault)
{
    if (*name == '\0')
        return fault_set(reterr_fault, -ERR_INVALID, "the SSH target has no %s", what);
    if (*name == '-')
        return fault_set(reterr_fault, -ERR_INVALID, "an SSH target's %s cannot begin with \"-\"",
                         what);
    if (strlen(name) > NAME_MAX_LEN)
        return fault_set(reterr_fault, -ERR_INVALID, "the SSH target's %s is longer than %d bytes",
                         what, NAME_MAX_LEN);
    if (has_any(name, refused))
        return fault_set(reterr_fault, -ERR_INVALID,
                         "the SSH target's %s has a character that no %s has", what, what);
    return 0;
}

static int read_port(const char *text, int *ret, struct fault *reterr_fault)
{
    char *end;
    long port;

    errno = 0;
    port = isdigit((unsigned char)*text) ? strtol(text, &end, 10) : 0;
    if (port < 1 || port > 65535 || errno != 0 || *end != '\0')
        return fault_set(reterr_fault, -ERR_INVALID,
                         "the port in the SSH target is \"%.40s\"; it is a number from 1 to 65535",
                         text);
    *ret = (int)port;
    return 0;
}

/* "host", "[::1]", and with a port where url says so. text is cut up. */
static int read_place(char *text, bool url, struct ssh_target *target, struct fault *reterr_fault)
{
    char *host = text, *port = NULL, *close;

    if (*text == '[' && (close = strchr(text, ']')) != NULL) {
        host = text + 1;
        *close = '\0';
        if (close[1] == ':')
            port = close + 2;
        else if (close[1] != '\0')
            return fault_set(reterr_fault, -ERR_INVALID,
                             "after \"]\" an SSH target has a port: "
                             "ssh://[::1]:22");
    } else if ((port = strchr(text, ':')) != NULL && strchr(port + 1, ':') == NULL) {
        *port++ = '\0';
    } else {
        port = NULL; /* an IPv6 address has more than one colon */
    }
    if (port && !url)
        return fault_set(reterr_fault, -ERR_INVALID,
                         "with a port the SSH target is written ssh://%s%s%.200s:%.20s",
                         target->user ? target->user : "", target->user ? "@" : "", host, port);
    if (port && read_port(port, &target->port, reterr_fault) < 0)
        return -ERR_INVALID;
    if (check_name("host", host, " '`\"$\\;&<>|(){}/@", reterr_fault) < 0)
        return -ERR_INVALID;
    target->host = mem_string(host);
    return 0;
}

static int read_target(char *text, struct ssh_target *target, struct fault *reterr_fault)
{
    bool url = strncasecmp(text, "ssh://", 6) == 0;
    char *place = url ? text + 6 : text, *at, *slash;

    if (!url && strstr(text, "://"))
        return fault_set(reterr_fault, -ERR_INVALID,
                         "\"%.100s\" is no SSH target; one is "
                         "ssh://[user@]host[:port] or a name from "
                         "~/.ssh/config",
                         text);
    at = strrchr(place, '@');
    if (at) {
        *at = '\0';
        if (check_name("user", place, " '`\";&<>|(){}/", reterr_fault) < 0)
            return -ERR_INVALID;
        if (at > place && at[-1] == '\\')
            return fault_set(reterr_fault, -ERR_INVALID,
                             "an SSH target's user cannot end with \"\\\"");
        target->user = mem_string(place);
        place = at + 1;
    }
    slash = strchr(place, '/');
    if (url && slash && slash[1] == '\0')
        *slash = '\0';
    else if (slash)
        return fault_set(reterr_fault, -ERR_INVALID,
                         "an SSH target has no path: leave \"%.100s\" out", slash);
    return read_place(place, url, target, reterr_fault);
}

int ssh_target_parse(const char *text, struct ssh_target *ret, struct fault *reterr_fault)
{
    CLEAN(mem_free) char *copy = mem_string(text);
    struct ssh_target target = {0};
    int r = strlen(text) > 1024
                ? fault_set(reterr_fault, -ERR_INVALID, "the SSH target is too long")
                : read_target(copy, &target, reterr_fault);

    if (r < 0)
        ssh_target_done(&target);
    else
        *ret = target;
    return r;
}

void ssh_target_done(struct ssh_target *target)
{
    mem_free(target->user);
    mem_free(target->host);
    *target = (struct ssh_target){0};
}

/* ---- hosts ---- */

static void free_list(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free(list[i]);
}

void ssh_host_done(struct ssh_host *host)
{
    free_list(host->identity_files, host->identity_count);
    free_list(host->certificate_files, host->certificate_count);
    free_list(host->known_hosts, host->known_hosts_count);
    mem_free(host->alias);
    mem_free(host->hostname);
    mem_free(host->user);
    mem_free(host->host_key_alias);
    mem_free(host->revoked_host_keys);
    mem_free(host->identity_agent);
    mem_free(host->proxy_command);
    mem_free(host->proxy_jump);
    mem_free(host->bind_address);
    mem_free(host->config_file);
    *host = (struct ssh_host){0};
}

void host_defaults(const struct ssh_target *target, const char *identity, struct ssh_host *ret)
{
    static const char *const keys[] = {"id_ed25519", "id_ecdsa", "id_ecdsa_sk", "id_ed25519_sk",
                                       "id_rsa"};
    const char *agent = getenv("SSH_AUTH_SOCK");
    struct account account;

    account_of(&account);
    *ret = (struct ssh_host){
        .alias = mem_string(target->host),
        .hostname = mem_string(target->host),
        .user = mem_string(target->user ? target->user : account.user),
        .port = target->port ? target->port : 22,
        .identity_agent = agent && *agent ? mem_string(agent) : NULL,
        .check_host_key = true,
        .alive_count = 3,
        .tcp_keepalive = true,
        .password_allowed = true,
    };
    for (char *c = ret->hostname; *c; c++)
        *c = (char)tolower((unsigned char)*c); /* as ssh does */
    if (identity)
        ret->identity_files[ret->identity_count++] = expand_path(identity, &account);
    for (size_t i = 0; i < COUNT(keys) && !identity; i++)
        ret->identity_files[ret->identity_count++] =
            mem_format("%s/.ssh/%s", account.lives, keys[i]);
    ret->known_hosts[0] = mem_format("%s/.ssh/known_hosts", account.lives);
    ret->known_hosts[1] = mem_format("%s/.ssh/known_hosts2", account.lives);
    ret->known_hosts[2] = mem_string("/etc/ssh/ssh_known_hosts");
    ret->known_hosts[3] = mem_string("/etc/ssh/ssh_known_hosts2");
    ret->known_hosts_count = 4;
    ret->user_known_hosts_count = 2;
    account_done(&account);
}

/* ---- asking ssh ---- */

struct resolve {
    uint32_t magic;
    struct op *op;
    struct ssh_target target;
    char *config_file, *identity, *program;
    struct ssh_host *ret;
    struct child *child;
    struct timer deadline;
    struct buf output, noise;
};

static void resolve_free(struct resolve *resolve)
{
    timer_stop(resolve->op->loop, &resolve->deadline);
    child_drop(resolve->child, /* grace_ms= */ 0);
    ssh_target_done(&resolve->target);
    mem_free(resolve->config_file);
    mem_free(resolve->identity);
    mem_free(resolve->program);
    buf_done(&resolve->output);
    buf_done(&resolve->noise);
    resolve->magic = 0;
    mem_free(resolve);
}

static void resolve_end(struct resolve *resolve, int result)
{
    struct op *op = resolve->op;

    if (result == 0)
        resolve->ret->config_file = TAKE(resolve->config_file);
    resolve_free(resolve);
    op_end(op, result);
}

static void resolve_cancel(struct op *op, void *worker)
{
    struct resolve *resolve = worker;

    (void)op;
    CHECK(resolve, RESOLVE_MAGIC);
    resolve_free(resolve);
}

static void on_deadline(void *arg)
{
    struct resolve *resolve = arg;

    CHECK(resolve, RESOLVE_MAGIC);
    fault_set(&resolve->op->fault, -ERR_TIMEOUT,
              "ssh -G %.200s did not end within %d s; does a \"Match exec\" in your ssh "
              "configuration hang?",
              resolve->target.host, RESOLVE_MS / 1000);
    resolve_end(resolve, -ERR_TIMEOUT);
}

static void on_line(void *arg, const char *text, size_t length)
{
    struct resolve *resolve = arg;

    CHECK(resolve, RESOLVE_MAGIC);
    buf_add(&resolve->output, text, length);
    buf_add_char(&resolve->output, '\n');
}

/* ssh's own words, for the fault: one after the other, printable. */
static void on_noise(void *arg, const char *text, size_t length)
{
    struct resolve *resolve = arg;

    CHECK(resolve, RESOLVE_MAGIC);
    if (resolve->noise.length > 0 && resolve->noise.length < NOISE_MAX)
        buf_add_str(&resolve->noise, "; ");
    for (size_t i = 0; i < length && resolve->noise.length < NOISE_MAX; i++)
        buf_add_char(&resolve->noise, iscntrl((unsigned char)text[i]) ? ' ' : text[i]);
}

static void on_ended(void *arg, int status, int signal, int result)
{
    struct resolve *resolve = arg;
    struct fault *fault = &resolve->op->fault;
    const char *said = resolve->noise.length > 0 ? resolve->noise.data : "it says nothing";
    int r;

    CHECK(resolve, RESOLVE_MAGIC);
    resolve->child = NULL;
    if (result < 0 || signal != 0 || resolve->output.bad)
        r = fault_set(fault, -ERR_IO, "ssh -G %.100s ended badly: %s", resolve->target.host, said);
    else if (status != 0)
        r = fault_set(fault, -ERR_INVALID, "ssh does not take the configuration for %.100s: %s",
                      resolve->target.host, said);
    else
        r = ssh_host_parse(resolve->output.data ? resolve->output.data : "", resolve->output.length,
                           &resolve->target, resolve->ret, fault);
    if (r == 0 && resolve->noise.length > 0 && fault->text[0] == '\0')
        fault_set(fault, 0, "ssh says: %s", said);
    resolve_end(resolve, r);
}

/* Which file -F names; NULL: ssh's own. */
static char *choose_config(const char *given)
{
    static const char system[] = "/etc/ssh/ssh_config";
    struct account account;
    char *chosen = NULL;

    account_of(&account);
    if (given) {
        chosen = strcmp(given, "none") == 0 ? mem_string(given) : expand_path(given, &account);
    } else if (strcmp(account.lives, account.home) != 0) {
        chosen = mem_format("%s/.ssh/config", account.lives);
        if (access(chosen, F_OK) < 0) {
            mem_free(chosen);
            chosen = mem_string(access(system, R_OK) == 0 ? system : "none");
        }
    }
    account_done(&account);
    return chosen;
}

static int start_ssh(struct resolve *resolve, struct fault *reterr_fault)
{
    const char *argv[16] = {resolve->program, "-T", "-G"};
    char port[16];
    size_t n = 3;
    const struct child_config config = {
        .argv = argv,
        .leash = true,
        .line_max = OUTPUT_MAX,
        .arg = resolve,
        .line = on_line,
        .noise = on_noise,
        .ended = on_ended,
    };

    if (resolve->config_file) {
        argv[n++] = "-F";
        argv[n++] = resolve->config_file;
    }
    if (resolve->target.user) {
        argv[n++] = "-l";
        argv[n++] = resolve->target.user;
    }
    if (resolve->target.port) {
        snprintf(port, sizeof(port), "%d", resolve->target.port);
        argv[n++] = "-p";
        argv[n++] = port;
    }
    if (resolve->identity) {
        argv[n++] = "-i";
        argv[n++] = resolve->identity;
    }
    argv[n++] = "--";
    argv[n++] = resolve->target.host;
    argv[n] = NULL;
    int r = child_start(resolve->op->loop, &config, &resolve->child, reterr_fault);
    if (r == 0)
        child_close_input(resolve->child);
    return r;
}

void ssh_host_resolve(struct op *op, const struct ssh_target *target,
                      const struct ssh_options *options, struct ssh_host *ret)
{
    struct resolve *resolve = NEW(struct resolve);
    int r;

    resolve->magic = RESOLVE_MAGIC;
    resolve->op = op;
    resolve->target =
        (struct ssh_target){mem_string(target->user), mem_string(target->host), target->port};
    resolve->config_file = choose_config(options->config_file);
    resolve->identity = mem_string(options->identity);
    resolve->program = mem_string(options->ssh_program ? options->ssh_program : "ssh");
    resolve->ret = ret;
    buf_init(&resolve->output, OUTPUT_MAX);
    buf_init(&resolve->noise, 2 * NOISE_MAX);
    op_start(op, resolve_cancel, resolve);
    timer_start(op->loop, &resolve->deadline, RESOLVE_MS, 0, on_deadline, resolve);

    if (*target->host == '-')
        r = fault_set(&op->fault, -ERR_INVALID, "an SSH target's host cannot begin with \"-\"");
    else
        r = start_ssh(resolve, &op->fault);
    if (r == 0)
        return;
    if (r == -ERR_NOT_FOUND) {
        fault_clear(&op->fault);
        host_defaults(&resolve->target, resolve->identity, ret);
        mem_free(TAKE(resolve->config_file));
        r = 0;
    }
    resolve_end(resolve, r);
}
