/* Any bytes as an agent's answers: what comes out lies within them. */
#include "base/mem.h"
#include "tests/fuzz/fuzz.h"
#include "tunnel/ssh/agent_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire answer = wire_of(data, size);
    struct agent_keys keys = {0};
    struct buf signature;

    if (agent_keys_read(&answer, &keys) == 0) {
        require(keys.count <= AGENT_KEYS_MAX);
        for (size_t i = 0; i < keys.count; i++)
            require(keys.items[i].length <= size && keys.items[i].type[0] && keys.items[i].comment);
    }
    agent_keys_done(&keys);

    answer = wire_of(data, size);
    buf_init(&signature, AGENT_MESSAGE_MAX);
    if (agent_signature_read(&answer, &signature) == 0)
        require(signature.length > 8 && signature.length + 4 == size);
    buf_done(&signature);
    return 0;
}
