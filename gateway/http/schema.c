/* GET /schema.json: every method with its roles, scopes, parameters and reply as JSON Schema. No secrets, so
 * no authentication: a client reads it before it has any. */
#include "gateway/gateway.h"
#include "gateway/http/route.h"
#include "gateway/method/method.h"

#define SCHEMA_MAX (8u << 20)

void route_schema(struct web_call *call)
{
    struct buf b;
    struct json_writer w;

    buf_init(&b, SCHEMA_MAX);
    jw_init(&w, &b);
    methods_write_schema(call->gw->methods, &w);
    web_json(call, 200, &b);
    buf_done(&b);
}
