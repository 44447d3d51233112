/* Which certificate, and making our own: both files are written into a folder beside, which then takes its
 * name, so that a start that was cut short never leaves half of it. */
#include "gateway/tls.h"

#define LOG_SUBSYSTEM "tls"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/config/write.h"
#include "gateway/gateway.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CERTIFICATE_FILE "gateway-cert.pem"
#define KEY_FILE         "gateway-key.pem"
#define PEM_MAX          65536
#define DAY_MS           86400000LL

static char *own_folder(const char *state_dir)
{
    return mem_format("%s/gateway/tls", state_dir);
}

static bool is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* "~/x" as people write it in a configuration. */
static char *expand(const char *path)
{
    const char *home = getenv("HOME");

    if (strncmp(path, "~/", 2) == 0 && home && home[0])
        return mem_format("%s%s", home, path + 1);
    return mem_string(path);
}

/* ---- making ---- */

static int make_folder(const char *path, struct fault *reterr_fault)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    return fault_set(reterr_fault, -ERR_IO, "cannot make %s for the TLS certificate: %s", path,
                     strerrordesc_np(errno));
}

/* Every name this listener may be called by; names holds at least 8. */
static size_t own_names(const struct config *config, char host[HOST_NAME_MAX + 8],
                        const char *names[8])
{
    const char *bind = config_str(config, KNOB_gateway_bind);
    const char *custom = config_str(config, KNOB_gateway_custom_bind);
    struct in6_addr address;
    size_t count = 0;

    if (gethostname(host, HOST_NAME_MAX) == 0 && host[0])
        names[count++] = host;
    names[count++] = "localhost";
    names[count++] = "127.0.0.1";
    names[count++] = "::1";
    if (bind &&
        (inet_pton(AF_INET, bind, &address) == 1 || inet_pton(AF_INET6, bind, &address) == 1))
        names[count++] = bind;
    if (custom)
        names[count++] = custom;
    return count;
}

static int write_pair(const char *folder, const struct buf *certificate, const struct buf *key,
                      struct fault *reterr_fault)
{
    CLEAN(mem_free) char *certificate_path = mem_format("%s/" CERTIFICATE_FILE, folder);
    CLEAN(mem_free) char *key_path = mem_format("%s/" KEY_FILE, folder);
    int r = write_file(key_path, key->data, key->length, WRITE_REPLACE, reterr_fault);

    return r < 0 ? r
                 : write_file(certificate_path, certificate->data, certificate->length,
                              WRITE_REPLACE, reterr_fault);
}

static int put_in_place(const char *from, const char *to, struct fault *reterr_fault)
{
    if (rename(from, to) == 0)
        return 0;
    return fault_set(reterr_fault, -ERR_IO, "cannot put the TLS certificate into %s: %s", to,
                     strerrordesc_np(errno));
}

static int make_own(const struct config *config, const char *state_dir, int64_t wall_ms,
                    struct fault *reterr_fault)
{
    CLEAN(mem_free) char *parent = mem_format("%s/gateway", state_dir);
    CLEAN(mem_free) char *folder = own_folder(state_dir);
    CLEAN(mem_free) char *fresh = mem_format("%s.new", folder);
    char host[HOST_NAME_MAX + 8] = "";
    const char *names[8];
    size_t count = own_names(config, host, names);
    struct buf certificate, key;

    buf_init(&certificate, PEM_MAX);
    buf_init(&key, PEM_MAX);
    int r = tls_certificate_make(names, count, wall_ms, &certificate, &key, reterr_fault);
    if (r == 0 && (r = make_folder(parent, reterr_fault)) == 0 &&
        (r = make_folder(fresh, reterr_fault)) == 0 &&
        (r = write_pair(fresh, &certificate, &key, reterr_fault)) == 0)
        r = put_in_place(fresh, folder, reterr_fault);
    if (key.data)
        crypto_wipe(key.data, key.length);
    buf_done(&key);
    buf_done(&certificate);
    return r;
}

/* ---- finding ---- */

/* The pair that counts. Neither given: our own place. */
static int choose(const struct config *config, const char *state_dir, struct gateway_tls *tls,
                  struct fault *reterr_fault)
{
    const char *certificate = config_str(config, KNOB_tls_cert);
    const char *key = config_str(config, KNOB_tls_key);

    if (!certificate != !key)
        return fault_set(
            reterr_fault, -ERR_INVALID,
            "gateway.tls.%s is set but gateway.tls.%s is not; give both, or neither for "
            "a certificate of the gateway's own",
            key ? "keyPath" : "certPath", key ? "certPath" : "keyPath");
    tls->own = !certificate;
    tls->certificate = certificate ? expand(certificate)
                                   : mem_format("%s/gateway/tls/" CERTIFICATE_FILE, state_dir);
    tls->key = key ? expand(key) : mem_format("%s/gateway/tls/" KEY_FILE, state_dir);
    return 0;
}

/* Our own place with one file of the two: somebody's hand was there. */
static int check_half(const struct gateway_tls *tls, struct fault *reterr_fault)
{
    bool certificate = is_there(tls->certificate);

    if (!tls->own || certificate == is_there(tls->key))
        return 0;
    return fault_set(reterr_fault, -ERR_INVALID,
                     "%s is there but %s is not; put it back, or remove the other for a new pair "
                     "(clients that pinned the old certificate must then learn the new one)",
                     certificate ? tls->certificate : tls->key,
                     certificate ? tls->key : tls->certificate);
}

static int examine(struct gateway_tls *tls, int64_t wall_ms, struct fault *reterr_fault)
{
    int r = tls_certificate_check(tls->certificate, tls->key, wall_ms, &tls->leaf, reterr_fault);

    if (r < 0 && tls->own && tls->leaf.not_after)
        fault_set(reterr_fault, r,
                  "the gateway's own TLS certificate %s has ended; remove it and its key for a new "
                  "one (clients that pinned it must then learn the new one)",
                  tls->certificate);
    return r;
}

struct gateway_tls *gateway_tls_free(struct gateway_tls *tls)
{
    if (!tls)
        return NULL;
    mem_free(tls->certificate);
    mem_free(tls->key);
    return mem_free(tls);
}
DEFINE_CLEAN(struct gateway_tls *, gateway_tls_free)

int gateway_tls_look(const struct config *config, const char *state_dir, int64_t wall_ms,
                     struct gateway_tls **ret, struct fault *reterr_fault)
{
    CLEAN(gateway_tls_free) struct gateway_tls *tls = NEW(struct gateway_tls);
    int r;

    *ret = NULL;
    if (!config_bool(config, KNOB_tls_enabled))
        return 0;
    if ((r = choose(config, state_dir, tls, reterr_fault)) < 0 ||
        (r = check_half(tls, reterr_fault)) < 0)
        return r;
    if (tls->own && !is_there(tls->certificate) && config_bool(config, KNOB_tls_auto))
        return 0;
    if ((r = examine(tls, wall_ms, reterr_fault)) < 0)
        return r;
    *ret = TAKE(tls);
    return 0;
}

int gateway_tls_ends_soon(const struct gateway_tls *tls, int64_t wall_ms)
{
    int64_t left = tls->leaf.not_after - wall_ms;
    return left < TLS_SOON_DAYS * DAY_MS ? (int)(left / DAY_MS) : -1;
}

/* A key that everybody on this host can read is no secret; where it came from decides, so it is only said. */
static void warn(const struct gateway_tls *tls, int64_t wall_ms)
{
    struct stat st;
    int days = gateway_tls_ends_soon(tls, wall_ms);

    if (stat(tls->key, &st) == 0 && (st.st_mode & 007) != 0)
        log_warn("everybody on this host can read the TLS key %s; run: chmod o-rwx %s", tls->key,
                 tls->key);
    if (days >= 0)
        log_warn("the TLS certificate %s ends in %d day%s", tls->certificate, days,
                 days == 1 ? "" : "s");
    if (tls->leaf.not_before > wall_ms)
        log_warn("the TLS certificate %s is not valid yet by this host's clock", tls->certificate);
}

int gateway_tls_start(struct gateway *gw, struct fault *reterr_fault)
{
    int64_t now = loop_wall(gw->loop);
    int r = gateway_tls_look(gw->config, gw->state_dir, now, &gw->tls, reterr_fault);

    if (r == 0 && !gw->tls && config_bool(gw->config, KNOB_tls_enabled)) {
        r = make_own(gw->config, gw->state_dir, now, reterr_fault);
        if (r == 0)
            r = gateway_tls_look(gw->config, gw->state_dir, now, &gw->tls, reterr_fault);
        if (r == 0)
            log_info("made a TLS certificate: %s", gw->tls->certificate);
    }
    if (r == 0 && gw->tls)
        warn(gw->tls, now);
    return r;
}
