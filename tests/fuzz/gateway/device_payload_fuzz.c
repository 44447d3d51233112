/* Connect parameters and the device's proof: whatever decodes has a payload, and nothing is proved by a
 * signature nobody made. */
#include "base/json.h"
#include "gateway/conn/device_proof.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct connect_params params;
    struct device_key key;
    struct fault fault = {0};
    CLEAN(json_free) struct json *tree = NULL;

    require(crypto_init() == 0);
    tree = json_parse((const char *)data, size, NULL);
    if (!tree)
        return 0;
    if (connect_params_decode(tree, &params, &fault) < 0) {
        require(fault.text[0]);
        return 0;
    }
    require(connect_client_id(&params)[0] && connect_client_mode(&params)[0]);
    for (int version = 3; version <= 4; version++)
        require((connect_scopes(&params, version) & ~(scope_set)SCOPE_ALL) == 0);
    if (!params.device.id)
        return 0;
    for (int payload = 1; payload <= 3; payload++) {
        CLEAN(buf_done) struct buf b;
        buf_init(&b, 1 << 20);
        device_payload(&params, payload, &b);
        require(b.bad || (b.length > 3 && b.data[0] == 'v' && b.data[1] == '0' + payload));
    }
    enum device_proof proof =
        device_prove(&params, 4, "the-real-nonce", false, 1700000000000, &key);
    require(proof != DEVICE_PROVED || strcmp(params.device.nonce, "the-real-nonce") == 0);
    return 0;
}
