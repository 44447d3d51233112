/* Request heads, of plain requests and of upgrades: method, path, query and headers as lws tells them, and
 * the decision on an upgrade. */
#include "base/io/ws_http_internal.h"

#include "base/mem.h"

#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>

#define HEADER_NAME_MAX  64
#define HEADER_VALUE_MAX 8192

struct ws_header_copy {
    struct ws_header_copy *next;
    char *name, *value;
};

/* ---- request heads ---- */

static const char *const method_names[] = {"GET",   "POST",   "OPTIONS", "PUT",
                                           "PATCH", "DELETE", "CONNECT", "HEAD"};

static const char *head_method(struct lws *wsi, int *ret_path_length, char **ret_path)
{
    int method = lws_http_get_uri_and_method(wsi, ret_path, ret_path_length);
    return method >= 0 && method < (int)COUNT(method_names) ? method_names[method] : "";
}

/* lws has split the query at & and decoded it; this puts it together again. */
static char *head_query(struct lws *wsi)
{
    static const char plain[] = "-_.~=/:,;@!$'()*?";
    struct buf out;
    char part[1024];

    buf_init(&out, HEADER_VALUE_MAX);
    for (int i = 0;; i++) {
        int n = lws_hdr_copy_fragment(wsi, part, sizeof(part), WSI_TOKEN_HTTP_URI_ARGS, i);
        if (n < 0)
            break;
        if (i > 0)
            buf_add_char(&out, '&');
        for (int k = 0; k < n; k++) {
            uint8_t c = (uint8_t)part[k];
            bool keep = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                        (c >= 'A' && c <= 'Z') || (c && strchr(plain, c));
            if (keep)
                buf_add_char(&out, (char)c);
            else
                buf_addf(&out, "%%%02X", c);
        }
    }
    char *text = buf_take(&out);
    return text ? text : mem_string("");
}

void ws_head_init(struct ws_head *head, struct lws *wsi, const struct ws_peer *peer)
{
    char *path = NULL;
    int length = 0;

    memset(head, 0, sizeof(*head));
    head->wsi = wsi;
    head->request.method = head_method(wsi, &length, &path);
    head->path = mem_slice(path ? path : "", path ? (size_t)length : 0);
    head->query = head_query(wsi);
    head->request.peer = peer;
    head->request.path = head->path;
    head->request.query = head->query;
    head->request.head = head;
}

void ws_head_done(struct ws_head *head)
{
    while (head->copies) {
        struct ws_header_copy *copy = head->copies;
        head->copies = copy->next;
        mem_free(copy->name);
        mem_free(copy->value);
        mem_free(copy);
    }
    head->path = mem_free(head->path);
    head->query = mem_free(head->query);
    head->wsi = NULL;
}

static int known_token(const char *name_colon)
{
    const unsigned char *known;

    for (int token = 0; (known = lws_token_to_string((enum lws_token_indexes)token)); token++)
        if (strcmp((const char *)known, name_colon) == 0)
            return token;
    return -1;
}

/* A header lws has a place for: its lines trimmed and joined. */
static char *known_value(struct lws *wsi, enum lws_token_indexes token)
{
    struct buf out;
    CLEAN(mem_free) char *line = mem_array(HEADER_VALUE_MAX + 1, 1);
    int i = 0;

    buf_init(&out, HEADER_VALUE_MAX);
    for (; lws_hdr_copy_fragment(wsi, line, HEADER_VALUE_MAX, token, i) >= 0; i++) {
        const char *text = line + strspn(line, " \t");
        if (i > 0)
            buf_add_str(&out, ", ");
        buf_add_str(&out, text);
    }
    return i > 0 ? buf_take(&out) : NULL;
}

/* Any other header. lws 4.1 can only tell its first line. */
static char *custom_value(struct lws *wsi, const char *colon, int name_length)
{
    int length = lws_hdr_custom_length(wsi, colon, name_length);
    if (length < 0 || length > HEADER_VALUE_MAX)
        return NULL;
    char *value = mem_array((size_t)length + 1, 1);
    if (lws_hdr_custom_copy(wsi, value, length + 1, colon, name_length) < 0)
        return mem_free(value);
    return value;
}

/* The header's value, owned by the caller; NULL when absent. */
static char *head_value(struct lws *wsi, const char *name)
{
    char colon[HEADER_NAME_MAX + 2];
    int name_length = snprintf(colon, sizeof(colon), "%s:", name);
    if (name_length <= 1 || name_length >= (int)sizeof(colon))
        return NULL;

    int token = known_token(colon);
    return token >= 0 ? known_value(wsi, (enum lws_token_indexes)token)
                      : custom_value(wsi, colon, name_length);
}

const char *ws_header(const struct ws_request *request, const char *name)
{
    struct ws_head *head = (struct ws_head *)(uintptr_t)request->head;

    for (struct ws_header_copy *c = head->copies; c; c = c->next)
        if (strcmp(c->name, name) == 0)
            return c->value;
    char *value = head->wsi ? head_value(head->wsi, name) : NULL;
    if (!value)
        return NULL;
    struct ws_header_copy *copy = NEW(struct ws_header_copy);
    copy->name = mem_string(name);
    copy->value = value;
    copy->next = head->copies;
    head->copies = copy;
    return value;
}

/* ---- upgrades ---- */

/* Refuses an upgrade in one write; the connection is closed after it. */
static int refuse(struct lws *wsi, int status, const char *headers, const char *why)
{
    char text[LWS_PRE + 512];
    int n = snprintf(text + LWS_PRE, sizeof(text) - LWS_PRE,
                     "HTTP/1.1 %d %s\r\ncontent-type: text/plain; charset=utf-8\r\n"
                     "content-length: %zu\r\nconnection: close\r\n%s\r\n%s\n",
                     status, ws_http_status_text(status), strlen(why) + 1, headers, why);
    lws_write(wsi, (unsigned char *)text + LWS_PRE, (size_t)n, LWS_WRITE_HTTP_FINAL);
    return -1;
}

int ws_http_confirm_upgrade(struct ws_half *half, const char *protocol)
{
    struct lws *wsi = half->wsi;
    const struct ws_server_config *config = &half->server->config;
    struct ws_head head;

    ws_half_has_head(half);
    if (strcasecmp(protocol, "websocket") != 0)
        return refuse(wsi, 400, "", "only upgrades to websocket are done here");
    ws_head_init(&head, wsi, &half->peer);
    const char *version = ws_header(&head.request, "sec-websocket-version");
    const char *key = ws_header(&head.request, "sec-websocket-key");
    int r;
    if (strcmp(head.request.method, "GET") != 0 || !key || strlen(key) > 64 ||
        !ws_header(&head.request, "host"))
        r = refuse(wsi, 400, "", "this is not a WebSocket handshake");
    else if (!version || strcmp(version, "13") != 0)
        r = refuse(wsi, 426, "sec-websocket-version: 13\r\n",
                   "WebSocket version 13 is spoken here");
    else if (ws_header(&head.request, "sec-websocket-protocol"))
        r = refuse(wsi, 400, "", "no subprotocol is spoken here");
    else {
        int status = config->upgrade ? config->upgrade(config->arg, &head.request) : 0;
        r = status ? refuse(wsi, status, "", ws_http_status_text(status)) : 0;
    }
    ws_head_done(&head);
    return r;
}
