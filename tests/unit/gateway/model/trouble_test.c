/* What servers say went wrong, in every shape they have. */
#include "gateway/model/trouble.h"

#include "tests/t.h"

T(errors_without_a_status_or_a_body)
{
    struct model_outcome out = {0};
    struct json *body;

    trouble_read("p", 500, NULL, NULL, &out);
    t_str(out.fault.text, "p: the server failed (HTTP 500)");
    t_eq(out.retry, MODEL_RETRY_TRANSIENT);

    body = json_parse("[{\"error\":{\"code\":429,\"message\":\"slow\"}}]", 41, NULL);
    t_ok(body != NULL);
    trouble_read("p", 0, body, "k", &out);
    t_eq(out.retry, MODEL_RETRY_RATE);
    t_eq(out.error_kind, MODEL_ERROR_RATE_LIMIT);
    t_has(out.fault.text, "slow");
    json_free(body);

    body = json_parse("{\"error\":{\"type\":\"overloaded_error\"}}", 37, NULL);
    t_ok(body != NULL);
    trouble_read("p", 0, body, NULL, &out);
    t_eq(out.error_kind, MODEL_ERROR_OVERLOADED);
    json_free(body);
}
