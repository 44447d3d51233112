/* Following the tailnet's addresses. Path: something changed (tailscaled, an interface, a second has passed after a
 * failure) -> wanted_addresses -> close what is not wanted, open what is missing -> say so once. Owns its list of
 * doors; the servers are the gateway's. */
#include "gateway/tailnet/bind.h"

#define LOG_SUBSYSTEM "tailnet"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/listen.h"
#include "gateway/tailnet/interface.h"

#include <stdio.h>
#include <string.h>

#define DOORS_MAX 8
#define RETRY_MS  1000 /* the daemon tells of an address before the kernel has it */
#define LOOK_MS   5000 /* where the kernel does not tell of changes */

enum bind_state { BIND_WAITING, BIND_LISTENING, BIND_USERSPACE, BIND_FAILED };
static const char *const state_names[] = {
    [BIND_WAITING] = "waiting",
    [BIND_LISTENING] = "listening",
    [BIND_USERSPACE] = "userspace",
    [BIND_FAILED] = "failed",
};

struct tailnet_door {
    char address[ADDRESS_TEXT];
    struct ws_server *server;
};

struct bind {
    struct gateway *gw;
    struct daemon *daemon;
    struct interface_watch *interfaces;
    struct timer retry;
    struct tailnet_door doors[DOORS_MAX];
    size_t count;
    enum bind_state state;
    char detail[FAULT_TEXT_MAX];
};

struct wanted {
    char addresses[DOORS_MAX][ADDRESS_TEXT];
    size_t count;
    enum bind_state state; /* with no address: why */
    char why[FAULT_TEXT_MAX];
};

/* ---- which ---- */

static void want_none(struct wanted *wanted, enum bind_state state, const char *why)
{
    wanted->state = state;
    snprintf(wanted->why, sizeof(wanted->why), "%s", why);
}

static void wanted_by_status(const struct bind *bind, const struct tailnet_status *status,
                             struct wanted *wanted)
{
    char text[FAULT_TEXT_MAX];

    if (!daemon_running(bind->daemon)) {
        snprintf(text, sizeof(text),
                 "waiting for the tailnet: tailscaled is there, its state is %.60s%s",
                 status->state,
                 strcmp(status->state, "NeedsLogin") == 0 ? " (sign in: tailscale up)" : "");
        want_none(wanted, BIND_WAITING, text);
        return;
    }
    if (!status->tun) {
        snprintf(
            text, sizeof(text),
            "tailscaled runs without an interface (userspace networking) and brings what comes "
            "to port %d to 127.0.0.1 itself: no further listener is needed",
            bind->gw->port);
        want_none(wanted, BIND_USERSPACE, text);
        return;
    }
    for (size_t i = 0; i < status->self.address_count && wanted->count < DOORS_MAX; i++)
        snprintf(wanted->addresses[wanted->count++], ADDRESS_TEXT, "%s", status->self.addresses[i]);
    if (!wanted->count)
        want_none(wanted, BIND_WAITING,
                  "waiting for the tailnet: tailscaled has no address for this host yet");
}

/* Nobody can be asked: what the interfaces have. Its peers have no identity then. */
static void wanted_by_interface(const struct bind *bind, struct wanted *wanted)
{
    char text[FAULT_TEXT_MAX];

    wanted->count = interface_addresses(wanted->addresses, DOORS_MAX);
    if (wanted->count)
        return;
    snprintf(text, sizeof(text), "waiting for the tailnet: %s", daemon_trouble(bind->daemon));
    want_none(wanted, BIND_WAITING, text);
}

/* ---- open and close ---- */

static bool is_wanted(const struct wanted *wanted, const char *address)
{
    for (size_t i = 0; i < wanted->count; i++)
        if (strcmp(wanted->addresses[i], address) == 0)
            return true;
    return false;
}

static bool is_open(const struct bind *bind, const char *address)
{
    for (size_t i = 0; i < bind->count; i++)
        if (strcmp(bind->doors[i].address, address) == 0)
            return true;
    return false;
}

static void close_unwanted(struct bind *bind, const struct wanted *wanted)
{
    for (size_t i = bind->count; i-- > 0;) {
        if (is_wanted(wanted, bind->doors[i].address))
            continue;
        log_info("no longer listening on %s: it is not this host's tailnet address any more",
                 bind->doors[i].address);
        listen_remove(bind->gw, bind->doors[i].server);
        bind->doors[i] = bind->doors[--bind->count];
    }
}

static int open_missing(struct bind *bind, const struct wanted *wanted, struct fault *fault)
{
    int result = 0;

    for (size_t i = 0; i < wanted->count && bind->count < DOORS_MAX; i++) {
        if (is_open(bind, wanted->addresses[i]))
            continue;
        struct tailnet_door *door = &bind->doors[bind->count];
        struct listen_at at = {
            .door = DOOR_TAILNET, .host = wanted->addresses[i], .port = bind->gw->port};
        if (listen_add(bind->gw, &at, &door->server, fault) < 0) {
            result = fault->code;
            continue;
        }
        snprintf(door->address, sizeof(door->address), "%s", wanted->addresses[i]);
        bind->count++;
    }
    return result;
}

static void describe_open(const struct bind *bind, char *out, size_t size)
{
    struct buf text;

    buf_init(&text, size - 1);
    buf_add_str(&text, "listening on ");
    for (size_t i = 0; i < bind->count; i++) {
        const char *address = bind->doors[i].address;
        buf_addf(&text, strchr(address, ':') ? "%s[%s]:%d" : "%s%s:%d", i ? ", " : "", address,
                 bind->gw->port);
    }
    snprintf(out, size, "%s", text.bad ? "listening on the tailnet" : text.data);
    buf_done(&text);
}

/* One line per change. */
static void enter_state(struct bind *bind, enum bind_state state, const char *detail)
{
    bool same = bind->state == state && strcmp(bind->detail, detail) == 0;

    bind->state = state;
    if (same)
        return;
    snprintf(bind->detail, sizeof(bind->detail), "%s", detail);
    if (state == BIND_FAILED)
        log_warn("bind tailnet: %s", detail);
    else
        log_info("bind tailnet: %s", detail);
}

static void bind_update(void *arg)
{
    struct bind *bind = arg;
    struct wanted wanted = {0};
    struct fault fault = {0};
    char text[FAULT_TEXT_MAX];
    const struct tailnet_status *status = daemon_status(bind->daemon);

    if (bind->gw->stopping)
        return;
    if (status)
        wanted_by_status(bind, status, &wanted);
    else
        wanted_by_interface(bind, &wanted);
    close_unwanted(bind, &wanted);
    int r = open_missing(bind, &wanted, &fault);

    if (!wanted.count) {
        enter_state(bind, wanted.state, wanted.why);
    } else if (bind->count == 0) {
        snprintf(text, sizeof(text), "cannot listen on the tailnet: %.400s", fault.text);
        enter_state(bind, BIND_FAILED, text);
    } else {
        describe_open(bind, text, sizeof(text));
        enter_state(bind, BIND_LISTENING, text);
    }
    int64_t next = r < 0 ? RETRY_MS : bind->interfaces ? 0 : LOOK_MS;
    if (next)
        timer_start(bind->gw->loop, &bind->retry, next, 0, bind_update, bind);
}

static void on_interfaces(void *arg)
{
    struct bind *bind = arg;

    daemon_nudge(bind->daemon);
    bind_update(bind);
}

/* ---- life ---- */

struct bind *bind_new(struct gateway *gw, struct daemon *daemon)
{
    struct bind *bind = NEW(struct bind);

    bind->gw = gw;
    bind->daemon = daemon;
    bind->state = BIND_WAITING;
    bind->interfaces = interface_watch_new(gw->loop, on_interfaces, bind);
    daemon_want(daemon);
    bind_update(bind);
    return bind;
}

struct bind *bind_free(struct bind *bind)
{
    if (!bind)
        return NULL;
    timer_stop(bind->gw->loop, &bind->retry);
    interface_watch_free(bind->interfaces);
    return mem_free(bind);
}

void bind_daemon_changed(struct bind *bind)
{
    bind_update(bind);
}

const char *bind_detail(const struct bind *bind)
{
    return bind->detail;
}

void bind_write(const struct bind *bind, struct json_writer *w)
{
    jw_kobject(w, "bind");
    jw_kstr(w, "state", state_names[bind->state]);
    jw_kstr(w, "detail", bind->detail);
    jw_karray(w, "addresses");
    for (size_t i = 0; i < bind->count; i++)
        jw_str(w, bind->doors[i].address);
    jw_array_end(w);
    jw_object_end(w);
}
