/* GET /v1/models, /v1/models/<id>: the agents as "models" of OpenAI's API, and which of its endpoints are on.
 * protocol.md 8.7. */
#include "gateway/agent/agent.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"
#include "gateway/http/route.h"

#include <string.h>

#define OWNER      "openclaw"
#define MODELS_MAX (1u << 20)

bool route_chat_on(struct gateway *gw)
{
    return config_bool(gw->config, KNOB_http_chat_enabled);
}

bool route_responses_on(struct gateway *gw)
{
    return config_bool(gw->config, KNOB_http_responses_enabled);
}

bool route_models_on(struct gateway *gw)
{
    return route_chat_on(gw) || route_responses_on(gw);
}

static void write_model(struct json_writer *w, const char *agent_id)
{
    jw_object(w);
    jw_key(w, "id");
    if (agent_id) {
        char id[sizeof(OWNER) + AGENT_ID_MAX + 2] = OWNER "/";
        strncat(id, agent_id, AGENT_ID_MAX);
        jw_str(w, id);
    } else
        jw_str(w, OWNER);
    jw_kstr(w, "object", "model");
    jw_kint(w, "created", 0);
    jw_kstr(w, "owned_by", OWNER);
    jw_karray(w, "permission");
    jw_array_end(w);
    jw_object_end(w);
}

static void list_models(struct web_call *call)
{
    struct json_writer w;
    struct buf b;
    const char *agent_id;

    buf_init(&b, MODELS_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "object", "list");
    jw_karray(&w, "data");
    write_model(&w, NULL);
    write_model(&w, "default");
    for (size_t i = 0; (agent_id = agent_at(call->gw, i)); i++)
        if (strcmp(agent_id, "default") != 0)
            write_model(&w, agent_id);
    jw_array_end(&w);
    jw_object_end(&w);
    web_json(call, 200, &b);
    buf_done(&b);
}

static void show_model(struct web_call *call, const char *id)
{
    const char *agent_id = strncmp(id, OWNER "/", sizeof(OWNER)) == 0 ? id + sizeof(OWNER) : NULL;
    struct json_writer w;
    struct buf b;

    if (strcmp(id, OWNER) != 0 &&
        !(agent_id && (strcmp(agent_id, "default") == 0 || agent_exists(call->gw, agent_id)))) {
        web_error(call, 404, "invalid_request_error", "Model '%.200s' not found.", id);
        return;
    }
    buf_init(&b, 4096);
    jw_init(&w, &b);
    write_model(&w, agent_id);
    web_json(call, 200, &b);
    buf_done(&b);
}

void route_models(struct web_call *call)
{
    if (strcmp(call->rest, "") == 0)
        list_models(call);
    else
        show_model(call, call->rest + 1);
}

void route_unknown(struct web_call *call)
{
    web_error(call, 404, "invalid_request_error",
              "there is no %.200s here; /v1/chat/completions and /v1/responses are switched on by "
              "gateway.http.endpoints.chatCompletions.enabled and .responses.enabled",
              call->request->path);
}
