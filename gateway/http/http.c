/* Routes of the gateway port. A route is a row; what is not there is 404. */
#include "gateway/http/http.h"

#include "gateway/gateway.h"
#include "gateway/method/method.h"

#include <string.h>

#define NO_STORE "cache-control: no-store\r\nx-content-type-options: nosniff\r\n"

static void reply_text(struct http_exchange *x, int status, const char *headers, const char *text)
{
    CLEAN(bytes_unref) struct bytes *body = bytes_new(text, strlen(text));
    http_reply(x, status, "text/plain; charset=utf-8", headers, body);
}

/* Every method with its roles, scopes, parameters and reply as JSON Schema. No secrets, so no
 * authentication: a client reads it before it has any. */
static void get_schema(struct gateway *gw, struct http_exchange *x)
{
    struct buf b;
    struct json_writer w;

    buf_init(&b, 8 << 20);
    jw_init(&w, &b);
    methods_write_schema(gw->methods, &w);
    CLEAN(bytes_unref) struct bytes *body = bytes_from_buf(&b);
    buf_done(&b);
    http_reply(x, body ? 200 : 500, "application/json", NO_STORE, body);
}

static const struct {
    const char *path;
    void (*get)(struct gateway *gw, struct http_exchange *x);
} routes[] = {
    {"/schema.json", get_schema},
};

void http_route(void *arg, struct http_exchange *x)
{
    const struct ws_request *request = http_request(x);
    bool reading = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;

    for (size_t i = 0; i < COUNT(routes); i++) {
        if (strcmp(request->path, routes[i].path) != 0)
            continue;
        if (reading)
            routes[i].get(arg, x);
        else
            reply_text(x, 405, "allow: GET, HEAD\r\n", "Method Not Allowed\n");
        return;
    }
    reply_text(x, 404, NO_STORE, "Not Found\n");
}
