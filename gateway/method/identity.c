/* gateway.identity.get: who this gateway is. protocol.md 4.3. */
#include "gateway/identity.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/method.h"

static int gateway_identity_get_run(struct call *call, const void *params)
{
    const struct identity *identity = call_gateway(call)->identity;
    struct json_writer *w = call_reply(call);

    (void)params;
    jw_object(w);
    jw_kstr(w, "deviceId", identity->device_id);
    jw_kstr(w, "publicKey", identity->public_key);
    jw_object_end(w);
    return call_send(call);
}

static const struct field identity_reply[] = {
    R_STR("deviceId", REQUIRED),
    R_STR("publicKey", REQUIRED),
    F_END,
};

const struct method methods_identity[] = {
    M("gateway.identity.get", OPERATOR, READ, READ, no_params, identity_reply,
      gateway_identity_get_run),
    {0},
};
