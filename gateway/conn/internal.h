/* What the files of conn share: the table of connections and a handshake on its way. */
#pragma once

#include "base/frame.h"
#include "gateway/conn/auth.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/conns.h"
#include "gateway/conn/device_proof.h"
#include "gateway/conn/local.h"
#include "gateway/gateway.h"
#include "gateway/pairing/pairing.h"
#include "gateway/tailnet/identify.h"

#define CONN_PENDING_FRAMES_MAX 15               /* while CHECKING; one more: 1008 */
#define CONN_PENDING_BYTES_MAX  CONN_PREAUTH_MAX /* of them together */

struct held_frame {
    struct held_frame *next;
    size_t length;
    char text[];
};

/* From the upgrade to hello-ok. Freed when the connection opens or goes. */
struct conn_handshake {
    struct conn *conn;
    char nonce[UUID_TEXT];
    struct timer deadline;
    struct ingress ingress;
    char *proxy_user;         /* what the trusted proxy's user header said; NULL: nothing */
    struct identify *tailnet; /* who it is there is to be asked; NULL: nothing to ask */
    struct identified found;  /* and what came of it */

    /* the connect request: everything params points to is in tree */
    char *request_id; /* raw JSON */
    struct json *tree;
    struct connect_params params;
    int version;
    enum role role;
    scope_set asked;

    /* what the steps found out */
    bool has_device;
    struct device_key key;
    const char *auth_method;
    bool by_device_token, by_code;
    bool trusted; /* tunnel.trust speaks for it */
    enum refusal_kind
        unless_local; /* by the kernel's word alone: what is said if the scan does not bear it out */
    scope_set giver;  /* what the credential may hand out */
    enum pairing_need need;
    struct pairing_asker asker;
    char *from;                    /* of the asker, for a person */
    struct local_answer who;       /* whose process, where it was asked */
    char device_token[TOKEN_TEXT]; /* minted: the only copy, wiped with this */
    int64_t issued_at;
    char pairing_id[UUID_TEXT];

    struct op op;       /* the local test, then the commit */
    struct timer delay; /* a wrong credential on this host waits for its answer */
    char reason[FAULT_TEXT_MAX];
    struct buf answer; /* of a refusal, ready to be said */
    uint16_t close_code;
    char close_reason[512];

    struct held_frame *held, **held_tail;
    unsigned held_count;
    size_t held_bytes;
};

/* handshake.c */
struct conn_handshake *handshake_new(struct conn *conn, const struct ws_request *request,
                                     const struct ingress *ingress);
struct conn_handshake *handshake_free(struct conn_handshake *handshake);
/* Lets go of everything the peer said, and of the frames held back: it lingers, its megabytes do not. */
void handshake_forget(struct conn_handshake *handshake);
/* The first message. Ends in conn_opened or a refusal, now or later. */
void handshake_start(struct conn *conn, const char *text, size_t length);

/* handshake_steps.c: why not, or REFUSAL_NONE and everything the steps find out. */
enum refusal_kind handshake_steps(struct conn *conn, struct conn_handshake *h);
/* What the client showed as its device token; NULL: nothing. */
const char *handshake_shown_token(const struct conn_handshake *h);

/* handshake_refuse.c: answer and close, perhaps after a delay. */
void handshake_refuse(struct conn *conn, enum refusal_kind kind);

/* hello.c: the answer of a connection that has just become OPEN. */
void hello_send(struct conn *conn, const struct conn_handshake *handshake);

/* conn.c */
enum conn_event { EV_MESSAGE, EV_TIMEOUT, EV_BEAT, EV_DRAINED, EV_EVENTS };
void conn_enter(struct conn *conn, enum conn_state state);
/* The handshake succeeded: everything the connection is has been filled in. */
void conn_opened(struct conn *conn);
/* The one who answers a request that failed before it became a call. id is raw JSON. */
void conn_send_error(struct conn *conn, struct json_slice id, const char *code,
                     const char *message);
