/* A gateway whose model is a server that plays scripts (tests/rig/script_server.h). */
#pragma once

#include "gateway/config/config.h"
#include "gateway/session/turn.h"
#include "tests/rig/script_server.h"
#include "tests/wire/gateway/http/kit.h"

#define SSE_HEAD "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
#define SSE_TEXT(text)                                                                             \
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define SSE_END(reason)                                                                            \
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" reason "\"}]}\n\n"
#define SSE_USAGE                                                                                  \
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,"               \
    "\"total_tokens\":18,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n"
#define SSE_DONE "data: [DONE]\n\n"
#define SSE_CALL(id, name, arguments)                                                              \
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"" id        \
    "\",\"type\":\"function\",\"function\":{\"name\":\"" name "\",\"arguments\":\"" arguments      \
    "\"}}]}}]}\n\n"

#define APIS_ON "http:{endpoints:{chatCompletions:{enabled:true},responses:{enabled:true}}}"

struct model_kit {
    struct gateway *gw;
    struct script_server *server;
};

static inline struct model_kit model_kit(const char *const *scripts)
{
    struct model_kit kit = {.gw = kit_gateway("{gateway:{" APIS_ON "}}")};
    struct fault fault = {0};
    bool restart;

    kit.server = script_server_new(kit.gw->loop, scripts);
    FILE *file = fopen(config_path(kit.gw->config), "w");
    require(
        file &&
        fprintf(
            file,
            "{gateway:{" APIS_ON "},agents:{defaults:{model:{primary:'x/m'},"
            "maxConcurrent:64},list:[{id:'main',default:true},{id:'research'}]},"
            "models:{providers:{x:{baseUrl:'http://127.0.0.1:%d/v1',apiKey:'k',"
            "api:'openai-completions',models:[{id:'m',input:['text','image']},{id:'other'}]}}}}",
            kit.server->port) > 0 &&
        fclose(file) == 0);
    if (config_reload(kit.gw->config, &restart, &fault) < 0)
        t_fail(__FILE__, __LINE__, "configuration: %s", fault.text);
    return kit;
}

static inline void model_kit_free(struct model_kit *kit)
{
    script_server_free(kit->server);
    gateway_free(kit->gw);
}

/* Reads until `part` has come. */
static inline void kit_await(struct gateway *gw, int fd, struct buf *in, const char *part)
{
    kit_until(gw, (kit_read(fd, in), in->data && strstr(in->data, part)));
}
