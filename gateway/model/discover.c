/* The search for Ollama.
 *
 * Path: discovery_on_time (or a caller) begins a look; discovery_connect knocks with a plain socket and goes
 * on in discovery_on_socket; discovery_list asks /api/tags (discovery_on_list); discovery_show asks
 * /api/show for each model that is new (discovery_on_show): what it can do, how long its context is;
 * discovery_end keeps the list, tells who waited, and sets the next time.
 *
 * Owns: the list, one socket or one HTTP transfer at a time. */
#include "gateway/model/discover.h"

#include "base/mem.h"
#include "gateway/gateway.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_SUBSYSTEM "model"
#include "base/log.h"

#define CONNECT_MS 1000
#define ANSWER_MS  5000
#define BODY_MAX   (4u << 20)
#define USUAL_PORT 11434

struct found_list {
    struct found_model *models;
    size_t count;
};

struct discovery {
    struct gateway *gw;
    void (*changed)(void *arg);
    void *arg;
    char *url, *key; /* url NULL: nowhere */
    struct found_list found;
    bool answers;
    bool asked; /* looked at least once since the address is this one */
    int64_t asked_at;
    struct timer every;
    /* a look: */
    bool looking;
    struct watch *watch; /* on fd, while it connects */
    int fd;
    struct timer limit; /* of the connect */
    struct http_call call;
    struct found_list next; /* being learnt */
    size_t shown;           /* how many of next are known */
    struct models_refresh *waiting;
};

static void discovery_on_socket(void *arg, int events);
static void discovery_on_limit(void *arg);
static void discovery_list(struct discovery *d);
static void discovery_on_list(struct op *op, int result);
static void discovery_show(struct discovery *d);
static void discovery_on_show(struct op *op, int result);

/* ---- lists ---- */

static void found_done(struct found_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        mem_free(list->models[i].id);
        mem_free(list->models[i].digest);
    }
    mem_free(list->models);
    *list = (struct found_list){0};
}

static const struct found_model *found_same(const struct found_list *list,
                                            const struct found_model *model)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->models[i].id, model->id) == 0 &&
            strcmp(list->models[i].digest, model->digest) == 0)
            return &list->models[i];
    return NULL;
}

static bool found_equal(const struct found_list *a, const struct found_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (found_same(b, &a->models[i]) == NULL)
            return false;
    return true;
}

static void found_add(struct found_list *list, const struct json *row)
{
    const char *id = json_string(json_get(row, "name"), json_string(json_get(row, "model"), ""));

    if (*id == '\0' || strlen(id) >= MODEL_NAME_MAX || list->count >= DISCOVER_MODELS_MAX)
        return;
    list->models = mem_grow(list->models, list->count + 1, sizeof *list->models);
    list->models[list->count++] = (struct found_model){
        .id = mem_string(id), .digest = mem_string(json_string(json_get(row, "digest"), ""))};
}

/* ---- where ---- */

char *discovery_usual_url(void)
{
    const char *text = getenv("OLLAMA_HOST");
    const char *host, *colon;
    size_t length;

    if (text == NULL || *text == '\0')
        return mem_format("http://127.0.0.1:%d", USUAL_PORT);
    if (strstr(text, "://") != NULL)
        return mem_string(text);
    if (*text == '[') /* an IPv6 address may hold a port behind its bracket */
        return strstr(text, "]:") != NULL ? mem_format("http://%s", text)
                                          : mem_format("http://%s:%d", text, USUAL_PORT);
    colon = strchr(text, ':');
    length = colon != NULL ? (size_t)(colon - text) : strlen(text);
    host = length == 0 || (length == 7 && memcmp(text, "0.0.0.0", 7) == 0) ? "127.0.0.1" : NULL;
    if (host == NULL)
        host = text;
    else
        length = strlen(host);
    return colon != NULL ? mem_format("http://%.*s%s", (int)length, host, colon)
                         : mem_format("http://%.*s:%d", (int)length, host, USUAL_PORT);
}

/* Without what the chat API of other servers needs. */
static char *discovery_root(const char *url)
{
    size_t length = strlen(url);

    while (length > 0 && url[length - 1] == '/')
        length--;
    if (length > 3 && memcmp(url + length - 3, "/v1", 3) == 0)
        length -= 3;
    return mem_slice(url, length);
}

/* The numeric address of the URL; false: a name, for the HTTP door to resolve. */
static bool discovery_address(const char *url, struct sockaddr_storage *ret, socklen_t *ret_length)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    struct http_url at;

    *ret = (struct sockaddr_storage){0};
    if (http_url_parse(url, &at) < 0)
        return false;
    if (inet_pton(AF_INET, strcmp(at.host, "localhost") == 0 ? "127.0.0.1" : at.host,
                  &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)at.port);
        *ret_length = sizeof *v4;
        return true;
    }
    if (inet_pton(AF_INET6, at.host, &v6->sin6_addr) != 1)
        return false;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)at.port);
    *ret_length = sizeof *v6;
    return true;
}

/* ---- a look: its end ---- */

static void discovery_stop(struct discovery *d)
{
    d->watch = watch_free(d->watch);
    if (d->fd >= 0)
        (void)close(d->fd);
    d->fd = -1;
    timer_stop(d->gw->loop, &d->limit);
    op_drop(&d->call.op);
    buf_done(&d->call.body);
    found_done(&d->next);
    d->looking = false;
}

static void refresh_unlink(struct models_refresh *refresh)
{
    *refresh->link = refresh->next;
    if (refresh->next != NULL)
        refresh->next->link = refresh->link;
}

static void discovery_tell(struct discovery *d, int result)
{
    while (d->waiting != NULL) {
        struct models_refresh *refresh = d->waiting;

        refresh_unlink(refresh);
        op_end(&refresh->op, result);
    }
}

/* What was learnt stands; answers false: nobody is there. */
static void discovery_end(struct discovery *d, bool answers)
{
    bool changed = answers != d->answers || !found_equal(&d->next, &d->found);

    if (changed) {
        found_done(&d->found);
        d->found = d->next;
        d->next = (struct found_list){0};
    }
    if (answers != d->answers)
        log_info(answers ? "Ollama answers at %s with %zu models" : "Ollama at %s is gone", d->url,
                 d->found.count);
    d->answers = answers;
    d->asked = true;
    d->asked_at = loop_now(d->gw->loop);
    discovery_stop(d);
    if (changed)
        d->changed(d->arg);
    discovery_tell(d, 0);
}

/* ---- 1. is somebody there? ---- */

static void discovery_connect(struct discovery *d)
{
    struct sockaddr_storage at;
    socklen_t length;
    int r;

    if (!discovery_address(d->url, &at, &length)) {
        discovery_list(d);
        return;
    }
    d->fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    r = d->fd >= 0 ? connect(d->fd, (const struct sockaddr *)&at, length) : -1;
    if (r < 0 && errno != EINPROGRESS) {
        discovery_end(d, false);
        return;
    }
    d->watch = watch_new(d->gw->loop, d->fd, POLLOUT, discovery_on_socket, d);
    timer_start(d->gw->loop, &d->limit, CONNECT_MS, /* every_ms= */ 0, discovery_on_limit, d);
}

static void discovery_on_limit(void *arg)
{
    discovery_end(arg, false);
}

static void discovery_on_socket(void *arg, int events)
{
    struct discovery *d = arg;
    int error = 0;
    socklen_t length = sizeof error;

    (void)events;
    if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 || error != 0) {
        discovery_end(d, false);
        return;
    }
    d->watch = watch_free(d->watch);
    (void)close(d->fd);
    d->fd = -1;
    timer_stop(d->gw->loop, &d->limit);
    discovery_list(d);
}

/* ---- 2. which models has it? ---- */

static void discovery_ask(struct discovery *d, const char *path, const char *body,
                          op_done_fn *on_done)
{
    CLEAN(mem_free) char *url = mem_format("%s%s", d->url, path);
    CLEAN(mem_free)
    char *key = d->key != NULL ? mem_format("authorization: Bearer %s", d->key) : NULL;
    const char *const headers[] = {"accept: application/json", key, NULL};
    struct http_spec spec = {
        .method = body != NULL ? "POST" : "GET",
        .url = url,
        .headers = headers,
        .body = body,
        .body_length = body != NULL ? strlen(body) : 0,
        .body_max = BODY_MAX,
    };

    op_init(&d->call.op, d->gw->loop, on_done, ANSWER_MS);
    http_start(d->gw->http, &d->call, &spec);
}

static struct json *discovery_answer(struct discovery *d, int result)
{
    if (result < 0 || d->call.status != 200 || d->call.body.length == 0)
        return NULL;
    return json_parse(d->call.body.data, d->call.body.length, NULL);
}

static void discovery_list(struct discovery *d)
{
    discovery_ask(d, "/api/tags", NULL, discovery_on_list);
}

static void discovery_on_list(struct op *op, int result)
{
    struct discovery *d = CONTAINER(op, struct discovery, call.op);
    CLEAN(json_free) struct json *answer = discovery_answer(d, result);
    const struct json *rows = json_get(answer, "models");

    if (json_kind(rows) != JSON_ARRAY) {
        discovery_end(d, false);
        return;
    }
    json_each (row, rows)
        found_add(&d->next, row);
    d->shown = 0;
    discovery_show(d);
}

/* ---- 3. what can each do? ---- */

static void discovery_show(struct discovery *d)
{
    for (; d->shown < d->next.count; d->shown++) {
        struct found_model *model = &d->next.models[d->shown];
        const struct found_model *known = found_same(&d->found, model);
        struct json_writer w;
        struct buf body;

        if (known != NULL) {
            model->facts = known->facts;
            continue;
        }
        buf_init(&body, 4096);
        jw_init(&w, &body);
        jw_object(&w);
        jw_kstr(&w, "model", model->id);
        jw_object_end(&w);
        discovery_ask(d, "/api/show", body.data, discovery_on_show);
        buf_done(&body);
        return;
    }
    discovery_end(d, true);
}

static bool names(const struct json *capabilities, const char *name)
{
    json_each (item, capabilities)
        if (strcmp(json_string(item, ""), name) == 0)
            return true;
    return false;
}

/* model_info names its members by architecture: "llama.context_length". */
static int64_t context_length(const struct json *info)
{
    static const char suffix[] = ".context_length";

    json_each (member, info) {
        size_t length = strlen(json_key(member));

        if (length > sizeof suffix &&
            strcmp(json_key(member) + length - sizeof suffix + 1, suffix) == 0)
            return json_integer(member, 0);
    }
    return 0;
}

/* A server too old to tell, or an answer that failed: nothing is known, the model is listed all the same. */
static void discovery_on_show(struct op *op, int result)
{
    struct discovery *d = CONTAINER(op, struct discovery, call.op);
    CLEAN(json_free) struct json *answer = discovery_answer(d, result);
    const struct json *can = json_get(answer, "capabilities");

    d->next.models[d->shown++].facts = (struct model_facts){
        .context_window = context_length(json_get(answer, "model_info")),
        .reasoning = names(can, "thinking"),
        .images = names(can, "vision"),
    };
    discovery_show(d);
}

/* ---- when ---- */

static void discovery_begin(struct discovery *d)
{
    if (d->url == NULL || d->looking || d->gw->http == NULL)
        return;
    d->looking = true;
    discovery_connect(d);
}

static void discovery_on_time(void *arg)
{
    struct discovery *d = arg;

    timer_start(d->gw->loop, &d->every, DISCOVER_EVERY_MS, /* every_ms= */ 0, discovery_on_time, d);
    discovery_begin(d);
}

void discovery_look(struct discovery *d)
{
    if (!d->asked || loop_now(d->gw->loop) - d->asked_at > DISCOVER_STALE_MS)
        timer_start(d->gw->loop, &d->every, 0, /* every_ms= */ 0, discovery_on_time, d);
}

static void refresh_on_cancel(struct op *op, void *worker)
{
    (void)op;
    refresh_unlink(worker);
}

void discovery_refresh(struct discovery *d, struct models_refresh *refresh)
{
    op_start(&refresh->op, refresh_on_cancel, refresh);
    refresh->next = d->waiting;
    refresh->link = &d->waiting;
    if (refresh->next != NULL)
        refresh->next->link = &refresh->next;
    d->waiting = refresh;
    if (d->url == NULL)
        discovery_tell(d, 0);
    else if (!d->looking)
        timer_start(d->gw->loop, &d->every, 0, /* every_ms= */ 0, discovery_on_time, d);
}

void discovery_point(struct discovery *d, const char *url, const char *key)
{
    CLEAN(mem_free) char *root = url != NULL ? discovery_root(url) : NULL;

    if (root != NULL && d->url != NULL && strcmp(root, d->url) == 0 &&
        strcmp(key != NULL ? key : "", d->key != NULL ? d->key : "") == 0)
        return;
    discovery_stop(d);
    found_done(&d->found);
    d->answers = d->asked = false;
    mem_free(d->url);
    d->url = TAKE(root);
    if (d->key != NULL)
        mem_wipe_free(d->key, strlen(d->key));
    d->key = mem_string(key);
    discovery_tell(d, 0);
    if (url == NULL)
        timer_stop(d->gw->loop, &d->every);
    else
        timer_start(d->gw->loop, &d->every, DISCOVER_FIRST_MS, /* every_ms= */ 0, discovery_on_time,
                    d);
}

/* ---- life ---- */

struct discovery *discovery_new(struct gateway *gw, void (*changed)(void *arg), void *arg)
{
    struct discovery *d = NEW(struct discovery);

    d->gw = gw;
    d->changed = changed;
    d->arg = arg;
    d->fd = -1;
    return d;
}

struct discovery *discovery_free(struct discovery *d)
{
    if (d == NULL)
        return NULL;
    discovery_tell(d, -ERR_CANCELLED);
    discovery_point(d, NULL, NULL);
    mem_free(d);
    return NULL;
}

const struct found_model *discovery_models(const struct discovery *d, size_t *ret_count)
{
    *ret_count = d->found.count;
    return d->found.models;
}

bool discovery_answers(const struct discovery *d)
{
    return d->answers;
}
