/* Requests find their route: methods, probes, pages of other origins, and who may pass. */
#include "tests/wire/gateway/http/kit.h"

#define CHAT_ON "{gateway:{http:{endpoints:{chatCompletions:{enabled:true}}}}}"

T(paths_and_methods)
{
    struct gateway *gw = kit_gateway(NULL);

    kit_expect(gw, "GET /nowhere", NULL, NULL, 404, "content-type: text/plain", "Not Found");
    kit_expect(gw, "GET /schema.json", NULL, NULL, 200, "application/json", "\"sessions.list\"");
    kit_expect(gw, "HEAD /schema.json", NULL, NULL, 200, "content-length: ", "");
    kit_expect(gw, "POST /schema.json", NULL, "{}", 405, "allow: GET, HEAD\r\n", NULL);
    kit_expect(gw, "DELETE /healthz", NULL, NULL, 405, "allow: GET, HEAD\r\n", NULL);
    kit_expect(gw, "OPTIONS /healthz", NULL, NULL, 405, "allow: GET, HEAD\r\n", NULL);
    kit_expect(gw, "GET /healthz/", NULL, NULL, 404, NULL, NULL);
    kit_expect(gw, "GET /healthz?x=1", NULL, NULL, 200, NULL, NULL);
    kit_expect(gw, "GET /v1/nothing", NULL, NULL, 404, "application/json",
               "\"type\":\"invalid_request_error\"");
    kit_expect(gw, "GET /v1", NULL, NULL, 404, "application/json", "\"message\"");
    kit_expect(gw, "GET /v12", NULL, NULL, 404, "text/plain", NULL);
    gateway_free(gw);
}

T(probes)
{
    struct gateway *gw = kit_gateway(NULL);

    kit_expect(gw, "GET /healthz", NULL, NULL, 200, "cache-control: no-store",
               "{\"ok\":true,\"status\":\"live\"}");
    kit_expect(gw, "GET /health", NULL, NULL, 200, NULL, "\"live\"");
    kit_expect(gw, "GET /readyz", NULL, NULL, 200, "cache-control: no-store",
               "{\"ready\":true,\"failing\":[],\"uptimeMs\":");
    kit_expect(gw, "GET /ready", NULL, NULL, 200, NULL, "\"eventLoop\":{");
    kit_expect(gw, "HEAD /readyz", NULL, NULL, 200, NULL, "");
    kit_expect(gw, "GET /startupz", NULL, NULL, 200, NULL,
               "\"status\":\"started\",\"version\":\"" CULVERT_VERSION "\"");
    kit_expect(gw, "GET /startup", NULL, NULL, 200, NULL, "\"ok\":true");
    kit_expect(gw, "POST /readyz", NULL, "", 405, "allow: GET, HEAD", NULL);
    /* behind a proxy we are told nothing but the verdict */
    struct kit_answer a = kit_call(gw, "GET /readyz", "X-Forwarded-For: 203.0.113.9\r\n", NULL);
    t_str(a.body, "{\"ready\":true}");
    kit_done(&a);
    a = kit_call(gw, "GET /startupz", "X-Forwarded-For: 203.0.113.9\r\n", NULL);
    t_str(a.body, "{\"ok\":true,\"status\":\"started\"}");
    kit_done(&a);
    /* but with the secret all of it; with a wrong one the verdict */
    kit_expect(gw, "GET /readyz", "X-Forwarded-For: 203.0.113.9\r\n" BEARER, NULL, 200, NULL,
               "uptimeMs");
    a = kit_call(gw, "GET /readyz", "X-Forwarded-For: 203.0.113.9\r\nAuthorization: Bearer no\r\n",
                 NULL);
    t_str(a.body, "{\"ready\":true}");
    kit_done(&a);
    gateway_free(gw);
}

T(ready_without_a_secret_and_with_a_password)
{
    struct gateway *gw = kit_gateway_with(NULL, "none");
    kit_expect(gw, "GET /readyz", NULL, NULL, 200, NULL, "\"ready\":true");
    gateway_free(gw);

    gw = kit_gateway("{gateway:{auth:{mode:'password',password:'pw'}}}");
    kit_expect(gw, "GET /readyz", NULL, NULL, 200, NULL, "\"ready\":true");
    gateway_free(gw);

    gw = kit_gateway("{gateway:{auth:{mode:'trusted-proxy',trustedProxy:{userHeader:'x-user'}},"
                     "trustedProxies:['127.0.0.1']}}");
    kit_expect(gw, "GET /readyz", NULL, NULL, 200, NULL, "\"ready\":true");
    gateway_free(gw);
}

/* The handshake goes through our own listener: when that is dead, so are we. */
T(not_ready_when_nobody_can_sign_in)
{
    struct gateway *gw = kit_gateway(NULL);
    CLEAN(mem_free) char *path = mem_format("%s/gateway.sock", gw->state_dir);

    t_eq(unlink(path), 0);
    kit_expect(gw, "GET /readyz", NULL, NULL, 503, NULL,
               "{\"ready\":false,\"failing\":[\"websocket\"]");
    kit_expect(gw, "GET /readyz", NULL, NULL, 503, NULL, "websocket");
    kit_expect(gw, "GET /healthz", NULL, NULL, 200, NULL, NULL);
    gateway_free(gw);
}

/* A crowd of probes is one handshake. */
T(probes_at_once_share_a_handshake)
{
    struct gateway *gw = kit_gateway(NULL);
    int fds[50];

    for (size_t i = 0; i < COUNT(fds); i++)
        fds[i] = kit_ask(gw, "GET /readyz", NULL, NULL);
    close(fds[3]); /* and one of them leaves */
    for (size_t i = 0; i < COUNT(fds); i++) {
        if (i == 3)
            continue;
        struct kit_answer a = kit_answer(gw, fds[i], false);
        t_eq(a.status, 200);
        kit_done(&a);
    }
    gateway_free(gw);
}

T(the_bearer_is_the_secret_of_connect)
{
    struct gateway *gw = kit_gateway(CHAT_ON);

    kit_expect(
        gw, "GET /v1/models", BEARER, NULL, 200, "application/json",
        "{\"object\":\"list\",\"data\":[{\"id\":\"openclaw\",\"object\":\"model\",\"created\":0,"
        "\"owned_by\":\"openclaw\",\"permission\":[]},{\"id\":\"openclaw/default\"");
    kit_expect(gw, "GET /v1/models/openclaw%2Fmain", BEARER, NULL, 200, NULL,
               "{\"id\":\"openclaw/main\",");
    kit_expect(gw, "GET /v1/models/openclaw", BEARER, NULL, 200, NULL, "{\"id\":\"openclaw\",");
    kit_expect(gw, "GET /v1/models/openclaw/nobody", BEARER, NULL, 404, NULL,
               "\"message\":\"Model 'openclaw/nobody' not found.\"");
    kit_expect(gw, "GET /v1/models/gpt-4", BEARER, NULL, 404, NULL, "invalid_request_error");
    kit_expect(gw, "GET /v1/models", "authorization: bearer   " KIT_TOKEN "\r\n", NULL, 200, NULL,
               NULL);
    static const char unauthorized[] =
        "{\"error\":{\"message\":\"Unauthorized\",\"type\":\"unauthorized\"}}";
    kit_expect(gw, "GET /v1/models", NULL, NULL, 401, "www-authenticate: Bearer", unauthorized);
    kit_expect(gw, "GET /v1/models", "Authorization: Basic " KIT_TOKEN "\r\n", NULL, 401, NULL,
               unauthorized);
    kit_expect(gw, "GET /v1/models", "Authorization: Bearer \r\n", NULL, 401, NULL, unauthorized);
    kit_expect(gw, "GET /v1/models?token=" KIT_TOKEN, NULL, NULL, 401, NULL, unauthorized);
    kit_expect(gw, "POST /v1/models", NULL, "{}", 405, "allow: GET, HEAD", NULL);
    gateway_free(gw);

    gw = kit_gateway(NULL); /* off until somebody switches it on */
    kit_expect(gw, "GET /v1/models", BEARER, NULL, 404, NULL, "gateway.http.endpoints");
    gateway_free(gw);

    gw = kit_gateway("{gateway:{http:{endpoints:{responses:{enabled:true}}},auth:{mode:'password',"
                     "password:'pw'}}}");
    kit_expect(gw, "GET /v1/models", "Authorization: Bearer pw\r\n", NULL, 200, NULL, NULL);
    kit_expect(gw, "GET /v1/models", BEARER, NULL, 401, NULL, NULL);
    gateway_free(gw);
}

/* ClawJacked's brute force, over HTTP: on loopback each wrong guess waits longer and nobody is locked out;
 * from elsewhere ten are enough, and they count together with those of connect. */
T(guesses_are_slowed_on_loopback)
{
    struct gateway *gw = kit_gateway(CHAT_ON);
    int64_t began = kit_ms();

    for (int i = 0; i < 3; i++)
        kit_expect(gw, "GET /v1/models", "Authorization: Bearer guess\r\n", NULL, 401, NULL, NULL);
    t_ok(kit_ms() - began >= 250 + 500 + 1000);
    kit_expect(gw, "GET /v1/models", BEARER, NULL, 200, NULL, NULL);
    began = kit_ms();
    kit_expect(gw, "GET /v1/models", NULL, NULL, 401, NULL, NULL); /* nothing shown is no guess */
    t_ok(kit_ms() - began < 200);

    /* a crowd of guesses holds a bounded number of places and the gateway goes on answering */
    int fds[200];
    for (size_t i = 0; i < COUNT(fds); i++)
        fds[i] = kit_ask(gw, "GET /v1/models", "Authorization: Bearer guess\r\n", NULL);
    kit_expect(gw, "GET /v1/models", BEARER, NULL, 200, NULL, NULL);
    for (size_t i = 0; i < COUNT(fds); i++)
        close(fds[i]);
    gateway_free(gw);
}

#define FROM(address) "X-Forwarded-For: " address "\r\n"

T(guesses_from_elsewhere_are_locked_out)
{
    struct gateway *gw = kit_gateway(
        "{gateway:{trustedProxies:['127.0.0.1'],http:{endpoints:{chatCompletions:{enabled:true}}},"
        "auth:{secretScopes:['operator.read']}}}");

    for (int i = 0; i < 10; i++)
        kit_expect(gw, "GET /v1/models", FROM("203.0.113.9") "Authorization: Bearer guess\r\n",
                   NULL, 401, NULL, NULL);
    kit_expect(gw, "GET /v1/models", FROM("203.0.113.9") "Authorization: Bearer guess\r\n", NULL,
               429, "retry-after: 300\r\n", "\"type\":\"rate_limited\"");
    kit_expect(gw, "GET /v1/models", FROM("::ffff:203.0.113.9") BEARER, NULL, 429, NULL, NULL);
    kit_expect(gw, "GET /v1/models", FROM("203.0.113.10") BEARER, NULL, 200, NULL, NULL);
    /* probes are no way around it: ten guesses there lock out as well */
    for (int i = 0; i < 10; i++)
        kit_expect(gw, "GET /readyz", FROM("203.0.113.11") "Authorization: Bearer guess\r\n", NULL,
                   200, NULL, NULL);
    kit_expect(gw, "GET /v1/models", FROM("203.0.113.11") BEARER, NULL, 429, NULL, NULL);
    gateway_free(gw);
}

/* GHSA-cf2p-f286-mphf: what a header says of somebody gives no scope. */
T(scopes_come_from_the_credential_alone)
{
    struct gateway *gw = kit_gateway("{gateway:{trustedProxies:['127.0.0.1'],http:{endpoints:{"
                                     "chatCompletions:{enabled:true}}}}}");
    kit_expect(gw, "GET /v1/models", FROM("203.0.113.9") BEARER, NULL, 403, NULL,
               "\"message\":\"missing scope: "
               "operator.read\",\"details\":{\"code\":\"MISSING_SCOPE\",\"missingScope\":"
               "\"operator.read\",\"requiredScopes\":[\"operator.read\"],\"hint\":");
    kit_expect(gw, "GET /v1/models",
               FROM("203.0.113.9") BEARER "X-OpenClaw-Scopes: operator.admin\r\n", NULL, 403, NULL,
               NULL);
    gateway_free(gw);

    gw = kit_gateway(
        "{gateway:{auth:{mode:'trusted-proxy',trustedProxy:{userHeader:'x-user',requiredHeaders:['"
        "x-proxy']}},"
        "trustedProxies:['127.0.0.1'],http:{endpoints:{chatCompletions:{enabled:true}}}}}");
    kit_expect(
        gw, "GET /v1/models",
        FROM("203.0.113.9") "X-User: ann\r\nX-Proxy: 1\r\nX-OpenClaw-Scopes: operator.admin\r\n",
        NULL, 403, NULL, "MISSING_SCOPE");
    kit_expect(gw, "GET /v1/models", FROM("203.0.113.9") "X-User: ann\r\n", NULL, 401, NULL, NULL);
    kit_expect(gw, "GET /v1/models", "X-User: ann\r\nX-Proxy: 1\r\n", NULL, 401, NULL, NULL);
    gateway_free(gw);
}

/* A process with listening sockets (this one) could be anybody's road: without a secret it is not served. */
T(without_a_secret_only_local_peers_pass)
{
    struct gateway *gw = kit_gateway_with(CHAT_ON, "none");

    kit_expect(gw, "GET /v1/models", NULL, NULL, 401, NULL, NULL);
    kit_expect(gw, "GET /v1/models", "Host: evil.example\r\n", NULL, 401, NULL, NULL);
    kit_expect(gw, "GET /v1/models", FROM("127.0.0.1"), NULL, 401, NULL, NULL);
    gateway_free(gw);
}

T(pages_of_other_origins_get_nothing)
{
    static const char *const bad[] = {
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://127.0.0.1:1\r\n",
        "Origin: http://localhost:P\r\n",
        "Host: evil.example:P\r\nOrigin: http://evil.example:P\r\n",
    };
    struct gateway *gw = kit_gateway(CHAT_ON);

    for (size_t i = 0; i < COUNT(bad); i++) {
        CLEAN(mem_free) char *headers = mem_format("%s" BEARER, bad[i]);
        kit_expect(gw, "GET /v1/models", headers, NULL, 403, NULL, NULL);
        kit_expect(gw, "GET /healthz", bad[i], NULL, 403, NULL, NULL);
        kit_expect(gw, "GET /nowhere", bad[i], NULL, 403, NULL, NULL);
    }
    kit_expect(gw, "GET /v1/models", "Origin: http://127.0.0.1:P\r\n" BEARER, NULL, 200, NULL,
               NULL);
    struct kit_answer a =
        kit_call(gw, "GET /v1/models", "Origin: http://127.0.0.1:P\r\n" BEARER, NULL);
    t_ok(!strcasestr(a.head, "access-control"));
    kit_done(&a);
    gateway_free(gw);
}
