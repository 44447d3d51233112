/* The end of a connect that failed: the answer, the close, and the wait before both when it was a guess
 * made on this host. protocol.md 2.5, 2.8. */
#define LOG_SUBSYSTEM "conn"
#include "base/log.h"
#include "gateway/conn/internal.h"
#include "gateway/conn/limit.h"
#include "gateway/http/control_ui.h"

#include <stdio.h>
#include <string.h>

/* The device has a token that would do: the client may try it. */
static bool has_other_way(struct conn *conn, const struct conn_handshake *h)
{
    const struct device *device = h->has_device ? device_find(conn->gw, h->params.device.id) : NULL;
    const struct device_token *token = device ? device_token_of(device, h->role) : NULL;

    return token && !token->revoked_at &&
           !(h->params.auth.device_token && h->params.auth.device_token[0]);
}

/* The whole answer, made at once: while it waits nothing of what the peer said is kept. */
static void compose(struct conn *conn, enum refusal_kind kind)
{
    struct conn_handshake *h = conn->handshake;
    const struct device *device = h->has_device ? device_find(conn->gw, h->params.device.id) : NULL;
    struct refusal_context context = {
        .version = h->version,
        .params = kind > REFUSAL_BAD_PARAMS && h->tree ? &h->params : NULL,
        .local_host = ingress_is_here(&h->ingress),
        .text = h->reason,
        .served_build = control_ui_build(conn->gw),
        .can_retry_with_device_token = has_other_way(conn, h),
        .need = h->need,
        .request_id = h->pairing_id[0] ? h->pairing_id : NULL,
        .approved_roles = device ? device->roles : 0,
        .approved_scopes = device ? device->scopes : SCOPE_NONE,
        .asked_scopes = h->asked,
    };
    struct json_writer w;

    buf_init(&h->answer, CONN_PREAUTH_MAX * 2);
    jw_init(&w, &h->answer);
    jw_object(&w);
    jw_kstr(&w, "type", "res");
    jw_key(&w, "id");
    jw_raw(&w, h->request_id, strlen(h->request_id));
    jw_kbool(&w, "ok", false);
    jw_key(&w, "error");
    refusal_write(kind, &context, &w);
    jw_object_end(&w);
    refusal_close(kind, &context, &h->close_code, h->close_reason, sizeof(h->close_reason));
    handshake_forget(h);
}

static void say(void *arg)
{
    struct conn *conn = arg;
    struct conn_handshake *h = conn->handshake;

    if (!h->answer.bad)
        conn_send(conn, h->answer.data, h->answer.length, NULL);
    log_info("%s refused: %s", conn->uuid, h->close_reason);
    conn_close(conn, h->close_code, h->close_reason);
}

/* Guesses are counted; on this host their answer waits, because nobody here can be locked out. */
void handshake_refuse(struct conn *conn, enum refusal_kind kind)
{
    struct conn_handshake *h = conn->handshake;
    int64_t delay_ms = 0;

    if (auth_was_guess(kind))
        delay_ms = limit_auth_failed(conn->gw, h->ingress.rate_key, h->ingress.exempt);
    compose(conn, kind);
    if (delay_ms > 0)
        timer_start(conn->gw->loop, &h->delay, delay_ms, 0, say, conn);
    else
        say(conn);
}
