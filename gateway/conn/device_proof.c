/* The device's proof: decode the key, compare its hash with the id, then clock, nonce and signature, in
 * the order the refusals are told apart. Pure; owns nothing. protocol.md 2.9. */
#include "gateway/conn/device_proof.h"

#include <inttypes.h>
#include <string.h>

/* v1 and v2 payloads end at the token and the nonce; the longest members are 4096 characters. */
#define PAYLOAD_MAX (256 * 1024)

/* SubjectPublicKeyInfo of Ed25519 (RFC 8410): a fixed head and the raw key. */
static const uint8_t spki_head[12] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                      0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

/* Base64 lines between BEGIN and END, joined. Returns the length, or negative. */
static int pem_body(const char *text, char *out, size_t room)
{
    const char *at = strstr(text, "-----BEGIN PUBLIC KEY-----");
    const char *end = at ? strstr(at, "-----END PUBLIC KEY-----") : NULL;
    size_t length = 0;

    if (!end)
        return -ERR_INVALID;
    for (at += strlen("-----BEGIN PUBLIC KEY-----"); at < end; at++) {
        if (*at == '\n' || *at == '\r' || *at == ' ' || *at == '\t')
            continue;
        if (length == room)
            return -ERR_INVALID;
        out[length++] = *at;
    }
    return (int)length;
}

static int decode_pem(const char *text, uint8_t raw[ED25519_PUBLIC_BYTES])
{
    uint8_t der[64];
    char body[96];
    int length = pem_body(text, body, sizeof(body));

    if (length < 0)
        return length;
    length = crypto_base64_decode(body, (size_t)length, der, sizeof(der));
    if (length != (int)sizeof(spki_head) + ED25519_PUBLIC_BYTES ||
        memcmp(der, spki_head, sizeof(spki_head)) != 0)
        return -ERR_INVALID;
    memcpy(raw, der + sizeof(spki_head), ED25519_PUBLIC_BYTES);
    return 0;
}

int device_key_decode(const char *text, struct device_key *ret)
{
    struct device_key key;

    if (strstr(text, "BEGIN")) {
        if (decode_pem(text, key.raw) < 0)
            return -ERR_INVALID;
    } else if (crypto_base64_decode(text, strlen(text), key.raw, sizeof(key.raw)) !=
               ED25519_PUBLIC_BYTES) {
        return -ERR_INVALID;
    }
    crypto_sha256_hex(key.raw, sizeof(key.raw), key.id);
    require(crypto_base64url_size(sizeof(key.raw)) <= sizeof(key.text));
    crypto_base64url(key.raw, sizeof(key.raw), key.text);
    *ret = key;
    return 0;
}

/* `|` and the text, trimmed and lower-cased in ASCII. */
static void add_folded(struct buf *out, const char *text)
{
    size_t length = text ? strlen(text) : 0;

    buf_add_char(out, '|');
    while (length > 0 && strchr(" \t\r\n\v\f", text[length - 1]))
        length--;
    while (length > 0 && strchr(" \t\r\n\v\f", *text)) {
        text++;
        length--;
    }
    for (size_t i = 0; i < length; i++)
        buf_add_char(out,
                     text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + ('a' - 'A')) : text[i]);
}

static void add_part(struct buf *out, const char *text)
{
    buf_add_char(out, '|');
    buf_add_str(out, text);
}

static void add_scopes(struct buf *out, const struct json *scopes)
{
    const char *between = "|";

    if (json_count(scopes) == 0)
        buf_add_char(out, '|');
    json_each (item, scopes) {
        buf_add_str(out, between);
        buf_add_str(out, json_string(item, ""));
        between = ",";
    }
}

/* What the client put under its signature as the token; a password never is. */
static const char *signed_token(const struct connect_auth *auth)
{
    if (auth->token)
        return auth->token;
    if (auth->device_token)
        return auth->device_token;
    return auth->bootstrap_token ? auth->bootstrap_token : "";
}

void device_payload(const struct connect_params *params, int payload_version, struct buf *out)
{
    buf_addf(out, "v%d", payload_version);
    add_part(out, params->device.id);
    add_part(out, connect_client_id(params));
    add_part(out, connect_client_mode(params));
    add_part(out, params->role ? params->role : "operator");
    add_scopes(out, params->scopes);
    buf_addf(out, "|%" PRId64, params->device.signed_at);
    add_part(out, signed_token(&params->auth));
    if (payload_version >= 2)
        add_part(out, params->device.nonce ? params->device.nonce : "");
    if (payload_version >= 3) {
        add_folded(out, params->client.platform);
        add_folded(out, params->client.device_family);
    }
}

static bool signed_as(const struct connect_params *params, int payload_version,
                      const struct device_key *key,
                      const uint8_t signature[ED25519_SIGNATURE_BYTES])
{
    CLEAN(buf_done) struct buf payload;

    buf_init(&payload, PAYLOAD_MAX);
    device_payload(params, payload_version, &payload);
    return !payload.bad && ed25519_verify(key->raw, payload.data, payload.length, signature);
}

/* Which payloads a connection may be signed with: v1 only where no nonce is asked for. A client that
 * speaks 3 and 4 may have signed either way, so every payload with the nonce is tried. */
static bool signature_holds(const struct connect_params *params, const struct device_key *key)
{
    uint8_t signature[ED25519_SIGNATURE_BYTES];
    const char *text = params->device.signature;

    if (crypto_base64_decode(text, strlen(text), signature, sizeof(signature)) !=
        ED25519_SIGNATURE_BYTES)
        return false;
    if (!params->device.nonce)
        return signed_as(params, 1, key, signature);
    return signed_as(params, 3, key, signature) || signed_as(params, 2, key, signature);
}

static bool is_blank(const char *text)
{
    return !text || strspn(text, " \t\r\n") == strlen(text);
}

static bool is_stale(int64_t signed_at, int64_t now, int version)
{
    int64_t skew = version < 4 ? DEVICE_SKEW_V3_MS : DEVICE_SKEW_V4_MS;
    int64_t apart = now > signed_at ? now - signed_at : signed_at - now;

    return apart > skew;
}

enum device_proof device_prove(const struct connect_params *params, int version, const char *nonce,
                               bool nonce_free, int64_t now, struct device_key *ret_key)
{
    const struct connect_device *device = &params->device;
    struct device_key key;

    if (device_key_decode(device->public_key, &key) < 0)
        return DEVICE_KEY_INVALID;
    if (strcmp(key.id, device->id) != 0)
        return DEVICE_ID_MISMATCH;
    if (is_stale(device->signed_at, now, version))
        return DEVICE_SIGNATURE_STALE;
    if (is_blank(device->nonce) && !(nonce_free && !device->nonce))
        return DEVICE_NONCE_MISSING;
    if (device->nonce && !crypto_equal(device->nonce, nonce))
        return DEVICE_NONCE_MISMATCH;
    if (!signature_holds(params, &key))
        return DEVICE_SIGNATURE_WRONG;
    *ret_key = key;
    return DEVICE_PROVED;
}
