/* webchat.link: a single-use link that signs a browser in with what the caller holds. Ours, not the
 * protocol's: device.pair.setupCode of v4 makes QR codes for phones, which also become nodes.
 * design.md section 5 "Browsers". */
#include "base/mem.h"
#include "gateway/http/pages.h"
#include "gateway/method/call.h"
#include "gateway/method/method.h"
#include "gateway/pairing/signin.h"

#include <string.h>

static int webchat_link_run(struct call *call, const void *params)
{
    struct gateway *gw = call_gateway(call);
    const struct conn *conn = call_conn(call);
    char code[TOKEN_TEXT];

    (void)params;
    if (!pages_enabled(gw))
        return call_fail(call, WIRE_UNAVAILABLE,
                         "this gateway serves no pages: gateway.controlUi.enabled is false");
    int64_t expires_at = signin_make(gw, conn ? conn->device_id : NULL, call_scopes(call), code);
    char *link = signin_link(gw, code);
    struct json_writer *w = call_reply(call);

    jw_object(w);
    jw_kstr(w, "url", link);
    jw_kstr(w, "code", code);
    jw_kint(w, "expiresAtMs", expires_at);
    jw_object_end(w);
    mem_wipe_free(link, strlen(link));
    crypto_wipe(code, sizeof(code));
    return call_send(call);
}

static const struct field link_reply[] = {
    R_STR("url", REQUIRED),
    R_STR("code", REQUIRED),
    R_INT("expiresAtMs", REQUIRED),
    F_END,
};

const struct method methods_webchat[] = {
    M_F("webchat.link", OPERATOR, PAIRING, PAIRING, no_params, link_reply, webchat_link_run,
        METHOD_CONTROL),
    {0},
};
