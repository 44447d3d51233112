/* The answer of `ssh -G`: a line is a keyword in lower case, a blank, a value. Keywords are rows; those we have no use
 * for are passed over. What depends on other lines (tokens, the agent's socket) is worked out after the last one. */
#include "base/mem.h"
#include "tunnel/ssh/host_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

struct reading {
    struct ssh_host *host;
    struct account account;
    char *agent;    /* IdentityAgent as written */
    char *globals;  /* GlobalKnownHostsFile: after the user's, whichever line comes first */
    size_t dropped; /* files beyond SSH_FILES_MAX */
};

/* ---- values ---- */

static bool is_none(const char *value)
{
    return strcasecmp(value, "none") == 0;
}

static bool set_text(char **slot, const char *value)
{
    mem_free(*slot);
    *slot = is_none(value) ? NULL : mem_string(value);
    return true;
}

static bool read_number(const char *value, long least, long most, long *ret)
{
    char *end;

    errno = 0;
    *ret = strtol(value, &end, 10);
    return errno == 0 && end > value && *end == '\0' && *ret >= least && *ret <= most;
}

static bool read_flag(const char *value, bool *ret)
{
    *ret = strcmp(value, "yes") == 0 || strcmp(value, "true") == 0;
    return *ret || strcmp(value, "no") == 0 || strcmp(value, "false") == 0;
}

static bool read_seconds(const char *value, int64_t *ret_ms)
{
    long seconds = 0;

    if (!is_none(value) && !read_number(value, -1, INT_MAX / 1000, &seconds))
        return false;
    *ret_ms = seconds > 0 ? (int64_t)seconds * 1000 : 0;
    return true;
}

static void add_file(struct reading *in, char **list, size_t *count, char *path)
{
    if (*count == SSH_FILES_MAX) {
        in->dropped++;
        mem_free(path);
        return;
    }
    list[(*count)++] = path;
}

/* ---- keywords ---- */

static bool on_hostname(struct reading *in, const char *value)
{
    return *value && set_text(&in->host->hostname, value) && in->host->hostname;
}

static bool on_user(struct reading *in, const char *value)
{
    mem_free(in->host->user);
    in->host->user = mem_string(value);
    return *value != '\0';
}

static bool on_port(struct reading *in, const char *value)
{
    long port;

    if (!read_number(value, 1, 65535, &port))
        return false;
    in->host->port = (int)port;
    return true;
}

static bool on_alias(struct reading *in, const char *value)
{
    mem_free(in->host->host_key_alias);
    in->host->host_key_alias = mem_string(value);
    return true;
}

static bool on_identity(struct reading *in, const char *value)
{
    struct ssh_host *host = in->host;

    if (!is_none(value))
        add_file(in, host->identity_files, &host->identity_count, mem_string(value));
    return true;
}

static bool on_certificate(struct reading *in, const char *value)
{
    struct ssh_host *host = in->host;

    if (!is_none(value))
        add_file(in, host->certificate_files, &host->certificate_count, mem_string(value));
    return true;
}

static bool on_agent(struct reading *in, const char *value)
{
    mem_free(in->agent);
    in->agent = mem_string(value);
    return true;
}

/* ssh writes several paths with a blank between and no quotes: a piece that does not begin like a path is taken for
 * the rest of one with a blank in it. */
static void split_files(struct reading *in, const char *value)
{
    struct ssh_host *host = in->host;

    while (*value == ' ')
        value++;
    while (*value) {
        const char *end = value;

        do
            end += 1 + strcspn(end + 1, " ");
        while (*end && end[1] && !strchr("/~", end[1]));
        size_t length = (size_t)(end - value);
        while (length > 1 && value[length - 1] == ' ')
            length--;
        char *path = mem_slice(value, length);
        if (is_none(path) || *path == ' ')
            mem_free(path);
        else
            add_file(in, host->known_hosts, &host->known_hosts_count, path);
        value = *end ? end + 1 : end;
    }
}

static bool on_user_known(struct reading *in, const char *value)
{
    if (in->host->known_hosts_count > 0)
        return false; /* ssh says it once */
    split_files(in, value);
    in->host->user_known_hosts_count = in->host->known_hosts_count;
    return true;
}

static bool on_global_known(struct reading *in, const char *value)
{
    mem_free(in->globals);
    in->globals = mem_string(value);
    return true;
}

static bool on_strict(struct reading *in, const char *value)
{
    static const struct {
        const char *value;
        bool accept_new, check;
    } words[] = {
        {"yes", false, true},       {"true", false, true}, {"ask", false, true},
        {"accept-new", true, true}, {"no", false, false},  {"off", false, false},
        {"false", false, false},
    };

    for (size_t i = 0; i < COUNT(words); i++) {
        if (strcmp(value, words[i].value) != 0)
            continue;
        in->host->accept_new = words[i].accept_new;
        in->host->check_host_key = words[i].check;
        return true;
    }
    return false;
}

static bool on_family(struct reading *in, const char *value)
{
    static const struct {
        const char *value;
        int family;
    } words[] = {{"any", AF_UNSPEC}, {"inet", AF_INET}, {"inet6", AF_INET6}};

    for (size_t i = 0; i < COUNT(words); i++) {
        if (strcmp(value, words[i].value) != 0)
            continue;
        in->host->address_family = words[i].family;
        return true;
    }
    return false;
}

static bool on_proxy_command(struct reading *in, const char *value)
{
    return set_text(&in->host->proxy_command, value);
}

static bool on_proxy_jump(struct reading *in, const char *value)
{
    return set_text(&in->host->proxy_jump, value);
}

static bool on_revoked(struct reading *in, const char *value)
{
    return set_text(&in->host->revoked_host_keys, value);
}

static bool on_bind(struct reading *in, const char *value)
{
    return set_text(&in->host->bind_address, value);
}

static bool on_connect_timeout(struct reading *in, const char *value)
{
    return read_seconds(value, &in->host->connect_timeout_ms);
}

static bool on_alive_interval(struct reading *in, const char *value)
{
    return read_seconds(value, &in->host->alive_interval_ms);
}

static bool on_alive_count(struct reading *in, const char *value)
{
    long count;

    if (!read_number(value, 0, INT_MAX, &count))
        return false;
    in->host->alive_count = (int)count;
    return true;
}

static bool on_identities_only(struct reading *in, const char *value)
{
    return read_flag(value, &in->host->identities_only);
}

static bool on_hash(struct reading *in, const char *value)
{
    return read_flag(value, &in->host->hash_known_hosts);
}

static bool on_keepalive(struct reading *in, const char *value)
{
    return read_flag(value, &in->host->tcp_keepalive);
}

static bool on_compression(struct reading *in, const char *value)
{
    return read_flag(value, &in->host->compression);
}

/* Either line can forbid it. */
static bool on_password(struct reading *in, const char *value)
{
    bool allowed;

    if (!read_flag(value, &allowed))
        return false;
    in->host->password_allowed = in->host->password_allowed && allowed;
    return true;
}

static bool on_batch(struct reading *in, const char *value)
{
    bool batch;

    if (!read_flag(value, &batch))
        return false;
    in->host->password_allowed = in->host->password_allowed && !batch;
    return true;
}

static const struct keyword {
    const char *name;
    bool (*read)(struct reading *in, const char *value);
} keywords[] = {
    {"hostname", on_hostname},
    {"user", on_user},
    {"port", on_port},
    {"hostkeyalias", on_alias},
    {"identityfile", on_identity},
    {"certificatefile", on_certificate},
    {"identitiesonly", on_identities_only},
    {"identityagent", on_agent},
    {"userknownhostsfile", on_user_known},
    {"globalknownhostsfile", on_global_known},
    {"revokedhostkeys", on_revoked},
    {"hashknownhosts", on_hash},
    {"stricthostkeychecking", on_strict},
    {"proxycommand", on_proxy_command},
    {"proxyjump", on_proxy_jump},
    {"bindaddress", on_bind},
    {"addressfamily", on_family},
    {"connecttimeout", on_connect_timeout},
    {"serveraliveinterval", on_alive_interval},
    {"serveralivecountmax", on_alive_count},
    {"tcpkeepalive", on_keepalive},
    {"compression", on_compression},
    {"passwordauthentication", on_password},
    {"batchmode", on_batch},
};

/* ---- after the last line ---- */

/* ssh's home is the password database's; where $HOME is another one, the default files are sought there. */
static char *move_home(const char *path, const struct account *account)
{
    size_t home = strlen(account->home);

    if (strncmp(path, account->home, home) != 0 || (strcmp(path + home, "/.ssh/known_hosts") != 0 &&
                                                    strcmp(path + home, "/.ssh/known_hosts2") != 0))
        return mem_string(path);
    return mem_format("%s%s", account->lives, path + home);
}

static void finish_known_hosts(struct reading *in)
{
    struct ssh_host *host = in->host;

    if (in->globals)
        split_files(in, in->globals);
    for (size_t i = 0; i < host->known_hosts_count; i++) {
        CLEAN(mem_free) char *raw = host->known_hosts[i];
        CLEAN(mem_free) char *full = expand_path(raw, &in->account);

        host->known_hosts[i] = move_home(full, &in->account);
    }
}

static void finish_files(struct reading *in, char **list, size_t *count)
{
    size_t kept = 0;

    for (size_t i = 0; i < *count; i++) {
        CLEAN(mem_free) char *raw = list[i];
        CLEAN(mem_free) char *path = expand_tokens(raw, in->host, &in->account);

        list[i] = NULL;
        if (path) /* a variable that is not set: ssh leaves the file out */
            list[kept++] = expand_path(path, &in->account);
    }
    *count = kept;
}

static void finish_agent(struct reading *in)
{
    const char *value = in->agent ? in->agent : "SSH_AUTH_SOCK", *found = NULL;

    if (strcmp(value, "SSH_AUTH_SOCK") == 0)
        found = getenv("SSH_AUTH_SOCK");
    else if (*value == '$' && value[1] != '{')
        found = getenv(value + 1);
    else if (!is_none(value))
        found = value;
    if (found && *found)
        in->host->identity_agent = expand_path(found, &in->account);
}

static void finish(struct reading *in)
{
    struct ssh_host *host = in->host;

    finish_known_hosts(in);
    if (host->revoked_host_keys) {
        CLEAN(mem_free) char *raw = host->revoked_host_keys;

        host->revoked_host_keys = expand_path(raw, &in->account);
    }
    finish_files(in, host->identity_files, &host->identity_count);
    finish_files(in, host->certificate_files, &host->certificate_count);
    finish_agent(in);
    if (host->proxy_command) {
        CLEAN(mem_free) char *raw = host->proxy_command;

        host->proxy_command = expand_command(raw, host);
    }
}

/* ---- the whole ---- */

static int read_line(struct reading *in, const char *line, struct fault *reterr_fault)
{
    size_t key = strcspn(line, " ");

    if (line[key] == '\0')
        return 0;
    for (size_t i = 0; i < COUNT(keywords); i++) {
        if (strlen(keywords[i].name) != key || strncasecmp(keywords[i].name, line, key) != 0)
            continue;
        if (keywords[i].read(in, line + key + 1))
            return 0;
        return fault_set(reterr_fault, -ERR_INVALID,
                         "ssh -G says \"%.200s\", which makes no sense here; look at what your ssh "
                         "configuration sets for it",
                         line);
    }
    return 0;
}

static int read_lines(struct reading *in, const char *text, size_t length,
                      struct fault *reterr_fault)
{
    const char *at = text, *end = text + length;
    int r = 0;

    while (at < end && r == 0) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((stop ? stop : end) - at);
        CLEAN(mem_free) char *line = mem_slice(at, size);

        if (size > 0 && line[size - 1] == '\r')
            line[size - 1] = '\0';
        r = read_line(in, line, reterr_fault);
        at += size + 1;
    }
    if (r == 0 && (in->host->hostname == NULL || in->host->user == NULL))
        r = fault_set(reterr_fault, -ERR_INVALID,
                      "ssh -G does not say where %.200s is; is that OpenSSH's ssh?",
                      in->host->alias);
    return r;
}

int ssh_host_parse(const char *text, size_t length, const struct ssh_target *target,
                   struct ssh_host *ret, struct fault *reterr_fault)
{
    struct ssh_host host = {
        .alias = mem_string(target->host),
        .port = 22,
        .check_host_key = true,
        .alive_count = 3,
        .tcp_keepalive = true,
        .password_allowed = true,
        .from_ssh = true,
    };
    struct reading in = {.host = &host};

    account_of(&in.account);
    int r = read_lines(&in, text, length, reterr_fault);
    if (r == 0) {
        finish(&in);
        if (in.dropped > 0 && reterr_fault)
            (void)fault_set(reterr_fault, 0, "%zu files beyond the first %d of a kind are left out",
                            in.dropped, SSH_FILES_MAX);
        *ret = host;
    } else {
        ssh_host_done(&host);
    }
    account_done(&in.account);
    mem_free(in.agent);
    mem_free(in.globals);
    return r;
}
