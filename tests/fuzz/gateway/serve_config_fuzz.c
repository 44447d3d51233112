/* Any JSON as tailscaled's serve configuration: our handler is refused and nothing changed, or it is in, and out again
 * for good; in a session and in the background. */
#include "base/mem.h"
#include "gateway/tailnet/serve_config.h"
#include "tests/fuzz/fuzz.h"

static void round_trip(const struct json *before, const struct serve_claim *claim)
{
    struct json *config = json_copy(before);
    struct fault fault = {0};

    if (serve_config_add(&config, claim, &fault) < 0) {
        require(json_equal(config, before) && fault.text[0]);
    } else {
        require(serve_config_has(config, claim));
        require(serve_config_remove(config, claim));
        require(!serve_config_has(config, claim));
        require(!serve_config_remove(config, claim));
        serve_config_remove_port(config, 18789);
    }
    json_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const sessions[] = {NULL, "s1"};
    CLEAN(json_free) struct json *config = json_parse((const char *)data, size, NULL);

    if (!config || json_kind(config) == JSON_NULL)
        return 0;
    for (unsigned i = 0; i < 4; i++)
        round_trip(config, &(struct serve_claim){.host = "gw.tail1.ts.net",
                                                 .target = "http://127.0.0.1:4000",
                                                 .session = sessions[i % 2],
                                                 .funnel = i > 1});
    return 0;
}
