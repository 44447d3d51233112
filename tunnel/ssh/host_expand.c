/* "~" and % tokens, as ssh replaces them: `ssh -G` leaves them in identity and certificate files, in the list of global
 * known_hosts files ("~" only) and in ProxyCommand. ssh_config(5) TOKENS. */
#include "base/buf.h"
#include "base/io/tls_digest.h"
#include "base/mem.h"
#include "tunnel/ssh/host_internal.h"

#include <ctype.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 65536

/* ---- the account ---- */

void account_of(struct account *ret)
{
    CLEAN(mem_free) char *room = mem_new(16384);
    struct passwd entry, *found = NULL;
    const char *home = getenv("HOME"), *user = getenv("USER");

    if (getpwuid_r(getuid(), &entry, room, 16384, &found) != 0 || found == NULL)
        entry = (struct passwd){0};
    ret->user = mem_string(found ? entry.pw_name : user ? user : "nobody");
    ret->home = mem_string(found ? entry.pw_dir : home ? home : "/");
    ret->lives = mem_string(home && *home == '/' ? home : ret->home);
}

void account_done(struct account *account)
{
    mem_free(account->user);
    mem_free(account->home);
    mem_free(account->lives);
    *account = (struct account){0};
}

static char *home_of(const char *user)
{
    CLEAN(mem_free) char *room = mem_new(16384);
    struct passwd entry, *found = NULL;

    if (getpwnam_r(user, &entry, room, 16384, &found) != 0 || found == NULL)
        return NULL;
    return mem_string(entry.pw_dir);
}

char *expand_path(const char *path, const struct account *account)
{
    if (*path == '/')
        return mem_string(path);
    if (*path != '~') {
        char here[4096];

        if (getcwd(here, sizeof(here)) == NULL)
            return mem_string(path);
        return mem_format("%s/%s", here, path);
    }
    size_t name = strcspn(path, "/");
    CLEAN(mem_free) char *user = mem_slice(path + 1, name - 1);
    CLEAN(mem_free) char *home = *user ? home_of(user) : mem_string(account->lives);

    if (home == NULL)
        return mem_string(path);
    return mem_format("%s%s", home, path + name);
}

/* ---- tokens ---- */

static void local_name(char out[256])
{
    if (gethostname(out, 256) < 0)
        out[0] = '\0';
    out[255] = '\0';
}

/* %C: what ssh hashes; since 9.6 ProxyJump is a part of it, and without one nothing changes. */
static void add_connection_hash(struct buf *out, const struct ssh_host *host)
{
    uint8_t hash[SHA1_BYTES];
    char name[256];

    local_name(name);
    CLEAN(mem_free)
    char *text = mem_format("%s%s%d%s%s", name, host->hostname, host->port, host->user,
                            host->proxy_jump ? host->proxy_jump : "");
    if (tls_sha1(text, strlen(text), hash) < 0)
        return;
    for (size_t i = 0; i < sizeof(hash); i++)
        buf_addf(out, "%02x", hash[i]);
}

static bool add_token(struct buf *out, char token, const struct ssh_host *host,
                      const struct account *account)
{
    char name[256];

    local_name(name);
    switch (token) {
    case '%': buf_add_char(out, '%'); return true;
    case 'C': add_connection_hash(out, host); return true;
    case 'd': buf_add_str(out, account->lives); return true;
    case 'h': buf_add_str(out, host->hostname); return true;
    case 'i': buf_addf(out, "%u", (unsigned)getuid()); return true;
    case 'j': buf_add_str(out, host->proxy_jump ? host->proxy_jump : ""); return true;
    case 'k':
        buf_add_str(out, host->host_key_alias ? host->host_key_alias : host->alias);
        return true;
    case 'L': buf_add(out, name, strcspn(name, ".")); return true;
    case 'l': buf_add_str(out, name); return true;
    case 'n': buf_add_str(out, host->alias); return true;
    case 'p': buf_addf(out, "%d", host->port); return true;
    case 'r': buf_add_str(out, host->user); return true;
    case 'u': buf_add_str(out, account->user); return true;
    default: return false;
    }
}

/* "${NAME}" at at: its value added, its length returned; 0: no such thing. */
static size_t add_variable(struct buf *out, const char *at)
{
    const char *end = strchr(at, '}');

    if (strncmp(at, "${", 2) != 0 || end == NULL)
        return 0;
    CLEAN(mem_free) char *name = mem_slice(at + 2, (size_t)(end - at - 2));
    const char *value = getenv(name);
    if (value == NULL)
        return 0;
    buf_add_str(out, value);
    return (size_t)(end - at) + 1;
}

char *expand_tokens(const char *text, const struct ssh_host *host, const struct account *account)
{
    CLEAN(buf_done) struct buf out = {0};

    buf_init(&out, TEXT_MAX);
    while (*text) {
        size_t plain = strcspn(text, "%$"), length = 0;

        buf_add(&out, text, plain);
        text += plain;
        if (*text == '%' && add_token(&out, text[1], host, account)) {
            text += 2;
        } else if (*text == '$' && text[1] == '{' && (length = add_variable(&out, text)) > 0) {
            text += length;
        } else if (*text == '$' && text[1] != '{') {
            buf_add_char(&out, *text++);
        } else if (*text) {
            return NULL;
        }
    }
    return buf_take(&out);
}

char *expand_command(const char *text, const struct ssh_host *host)
{
    static const struct account nobody;
    CLEAN(buf_done) struct buf out = {0};

    buf_init(&out, TEXT_MAX);
    while (*text) {
        size_t plain = strcspn(text, "%");

        buf_add(&out, text, plain);
        text += plain;
        if (*text == '\0')
            break;
        if (text[1] != '\0' && strchr("%hnpr", text[1]) != NULL &&
            add_token(&out, text[1], host, &nobody))
            text += 2;
        else
            buf_add_char(&out, *text++);
    }
    char *command = buf_take(&out);
    return command ? command : mem_string("");
}
