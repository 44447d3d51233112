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
    trouble_read("p", 0, body, (const char *const[]){"k", NULL}, &out);
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

/* Whatever a server repeats of ours is not passed on. */
T(secrets_stay_out)
{
    static const char text[] = "{\"error\":{\"message\":\"bad token tok-12345678\"}}";
    struct model_outcome out = {0};
    struct json *body = json_parse(text, strlen(text), NULL);

    trouble_read("p", 401, body, (const char *const[]){"sk-1", "tok-12345678", NULL}, &out);
    t_str(out.fault.text, "p: the key was refused; check models.providers.p.apiKey (HTTP 401)");
    trouble_read("p", 401, body, (const char *const[]){"sk-1", NULL}, &out);
    t_has(out.fault.text, "bad token");
    json_free(body);
}
