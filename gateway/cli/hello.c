/* The connect request: its parameters are written once without the device, decoded as the gateway will decode them, signed
 * over, and written again with it. protocol.md 2.2, 2.9. */
#include "gateway/cli/hello.h"

#include "base/crypto.h"
#include "base/json.h"
#include "base/mem.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/device_proof.h"
#include "gateway/gateway.h"
#include "gateway/identity.h"

#include <string.h>

#define CLIENT_ID       "cli"
#define CLIENT_MODE     "cli"
#define CLIENT_PLATFORM "linux"

static const char *const asked_scopes[] = {"operator.admin", "operator.read", "operator.write",
                                           "operator.approvals", "operator.pairing"};

struct challenge {
    const struct identity *identity;
    const char *nonce;
    int64_t ts;
};

static void write_client(struct json_writer *w)
{
    jw_kobject(w, "client");
    jw_kstr(w, "id", CLIENT_ID);
    jw_kstr(w, "displayName", "culvert");
    jw_kstr(w, "version", CULVERT_VERSION);
    jw_kstr(w, "platform", CLIENT_PLATFORM);
    jw_kstr(w, "mode", CLIENT_MODE);
    jw_object_end(w);
}

/* signature NULL: the params as they are signed, without the device. */
static char *write_params(const struct challenge *c, const struct credentials *credentials,
                          const char *signature)
{
    struct buf b;
    struct json_writer w;

    buf_init(&b, CONN_PREAUTH_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kint(&w, "minProtocol", 4);
    jw_kint(&w, "maxProtocol", 4);
    write_client(&w);
    jw_kstr(&w, "role", "operator");
    jw_karray(&w, "scopes");
    for (size_t i = 0; i < COUNT(asked_scopes); i++)
        jw_str(&w, asked_scopes[i]);
    jw_array_end(&w);
    jw_karray(&w, "caps");
    jw_str(&w, "tool-events");
    jw_array_end(&w);
    jw_kobject(&w, "auth");
    jw_kstr(&w, "token", credentials->token);
    jw_kstr(&w, "password", credentials->password);
    jw_kstr(&w, "deviceToken", credentials->token ? NULL : credentials->device_token);
    jw_object_end(&w);
    if (signature) {
        jw_kobject(&w, "device");
        jw_kstr(&w, "id", c->identity->device_id);
        jw_kstr(&w, "publicKey", c->identity->public_key);
        jw_kstr(&w, "signature", signature);
        jw_kint(&w, "signedAt", c->ts);
        jw_kstr(&w, "nonce", c->nonce);
        jw_object_end(&w);
    }
    jw_object_end(&w);
    char *text = buf_take(&b);
    buf_done(&b);
    return text;
}

/* Signs what is sent: the params are decoded as the gateway will decode them. protocol.md 2.9. */
static int sign(const struct challenge *c, const char *unsigned_params, char *signature)
{
    CLEAN(json_free) struct json *tree = json_parse(unsigned_params, strlen(unsigned_params), NULL);
    struct connect_params params;
    struct buf payload;
    uint8_t raw[ED25519_SIGNATURE_BYTES];

    if (connect_params_decode(tree, &params, NULL) < 0)
        return -ERR_BUG;
    params.device.id = c->identity->device_id;
    params.device.nonce = c->nonce;
    params.device.signed_at = c->ts;
    buf_init(&payload, CONN_PREAUTH_MAX);
    device_payload(&params, 3, &payload);
    ed25519_sign(&c->identity->key, payload.data, payload.length, raw);
    crypto_wipe(payload.data, payload.length);
    buf_done(&payload);
    crypto_base64url(raw, sizeof(raw), signature);
    return 0;
}

char *hello_params(const struct identity *identity, const char *nonce, int64_t ts,
                   const struct credentials *credentials)
{
    const struct challenge challenge = {identity, nonce, ts};
    char signature[96];
    char *bare = write_params(&challenge, credentials, NULL);
    int r = bare ? sign(&challenge, bare, signature) : -ERR_TOO_LARGE;
    char *params = r == 0 ? write_params(&challenge, credentials, signature) : NULL;

    mem_wipe_free(bare, bare ? strlen(bare) : 0);
    return params;
}
