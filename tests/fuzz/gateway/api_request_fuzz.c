/* Bodies of OpenAI's APIs: whatever they say, they become a request or a sentence, and nothing breaks. */
#include "tests/fuzz/fuzz.h"

#include "gateway/http/chat.h"
#include "gateway/http/responses.h"

#include <string.h>

static void read_as(int (*parse)(const struct json *, struct api_request *, struct fault *),
                    const struct json *body)
{
    struct api_request request = {0};
    struct fault fault = {0};

    if (parse(body, &request, &fault) < 0)
        require(fault.text[0] != '\0');
    else
        require(request.message != NULL && json_is_utf8(request.message, strlen(request.message)));
    api_request_done(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN(json_free) struct json *body = json_parse((const char *)data, size, NULL);

    if (json_kind(body) != JSON_OBJECT)
        return 0;
    read_as(chat_request, body);
    read_as(responses_request, body);
    return 0;
}
