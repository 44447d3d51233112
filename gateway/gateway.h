/* The daemon: everything hangs from here. Each member is owned by the module of its name; modules meet
 * through their headers, ids across time, pointers within a frame. */
#pragma once

#include "base/io/http.h"
#include "base/io/loop.h"
#include "base/io/ws.h"
#include "store/store.h"

#define CULVERT_VERSION "0.1.0"

#define GATEWAY_MAGIC 0x67617465u

struct gateway {
    uint32_t magic;
    struct loop *loop;
    struct store *store;
    struct http_client *http;
    struct config *config;       /* gateway/config/config.h */
    struct identity *identity;   /* gateway/identity.h: our Ed25519 key */
    struct methods *methods;     /* gateway/method/method.h: name to row */
    struct calls *calls;         /* gateway/method/call.h */
    struct conns *conns;         /* gateway/conn/conn.h */
    struct tunnels *tunnels;     /* gateway/tunnel/tunnels.h: tunnel.sock, tickets */
    struct publishes *publishes; /* gateway/tunnel/publish.h */
    struct limits *limits;       /* gateway/conn/limit.h: failed auth, control-plane writes */
    struct pairing *pairing;     /* gateway/pairing/pairing.h: devices, tokens, requests */
    struct acp *acp;             /* gateway/agent/acp.h: programs of acp agents */
    struct approvals *approvals; /* gateway/pairing/approval.h: what somebody is asked to allow */
    struct presence *presence;   /* gateway/event/presence.h */
    struct events *events;       /* gateway/event/event.h: broadcast, log, timers */
    struct system_queue *system_queue; /* gateway/event/system_queue.h */
    struct health *health;             /* gateway/event/health.h */
    struct sessions *sessions;         /* gateway/session/session.h */
    struct turns *turns;               /* gateway/session/turn.h */
    struct models *models;             /* gateway/model/model.h */
    struct egress *egress;         /* gateway/egress/egress.h: requests that somebody else named */
    struct tools *tools;           /* gateway/tools/tool.h: calls that run */
    struct control_ui *control_ui; /* gateway/http/control_ui.h */
    struct web_calls *web_calls;   /* gateway/http/http.h: open requests of plain HTTP */
    struct listeners *listeners;   /* gateway/listen.h */
    struct tailscale *tailscale;   /* gateway/tailnet/tailscale.h */
    struct gateway_tls *tls;       /* gateway/tls.h; NULL: plain */
    char *state_dir;
    char boot_id[37];
    int port;             /* as bound */
    int64_t started_at;   /* wall ms */
    int64_t started_mono; /* loop_now() */
    int lock;             /* gateway.lock, held while open; -1: none */
    bool token_made;      /* at this start: to be printed once */
    bool stopping;
    struct timer drain;
    int64_t drain_until;
};

struct gateway_options {
    const char *config_path, *state_dir;
    int port;                /* -1: from the configuration */
    const char *bind, *auth; /* NULL: from the configuration */
    const char *token;       /* NULL: from the configuration or environment; wiped by the caller */
    const char *password;
    bool virtual_clock;        /* tests */
    bool no_listen;            /* tests: peers come by gateway_attach */
    bool memory_store;         /* tests */
    struct store_config store; /* tests: vfs, synchronous */
};

/* Lock, config, store, modules, listeners: in this order, each step says what it failed at. Nothing is
 * left half-started on failure. */
int gateway_start(const struct gateway_options *options, struct gateway **ret,
                  struct fault *reterr_fault);
/* The `shutdown` event, 1012 to everyone, at most 5 s for queues to drain, then loop_stop. */
void gateway_shutdown(struct gateway *gw, const char *reason, int64_t restart_expected_ms);
struct gateway *gateway_free(struct gateway *gw);

/* A connection of this process itself (tests, our own parts), so it counts as local: one end of a pair. What
 * a tunnel brings comes by conns_open_as. */
struct ws *gateway_attach(struct gateway *gw);
