/* The rig: a gateway without listeners and peers that hold the other ends of pairs. */
#include "tests/rig/rig.h"

#include "base/json.h"
#include "base/mem.h"
#include "gateway/conn/conn.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WAIT_REAL_MS 10000
/* Turns of 2 ms without anything new after which silence counts as silence. */
#define IDLE_TURNS   400

struct message {
    struct message *next;
    size_t length;
    char text[];
};

struct peer {
    struct peer *next;
    struct rig *rig;
    struct ws *ws; /* NULL: closed */
    struct message *messages, **tail, *current;
    size_t pending;
    uint16_t close_code;
    char close_reason[128];
    uint64_t last_id;
};

/* ---- the gateway ---- */

static int64_t real_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void write_config(const char *dir, const char *text)
{
    CLEAN(mem_free) char *path = mem_format("%s/culvert.json", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    require(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static struct rig *rig_start(const char *dir, const char *config, bool memory)
{
    struct rig *rig = NEW(struct rig);
    struct fault fault = {0};
    struct gateway_options options = {.state_dir = dir,
                                      .port = 0,
                                      .token = RIG_TOKEN,
                                      .virtual_clock = true,
                                      .no_listen = true,
                                      .memory_store = memory};

    rig->dir = mem_string(dir);
    if (config)
        write_config(dir, config);
    if (gateway_start(&options, &rig->gw, &fault) < 0)
        t_fail(__FILE__, __LINE__, "the gateway does not start: %s", fault.text);
    return rig;
}

struct rig *rig_new(const char *config)
{
    static int count;
    CLEAN(mem_free) char *dir = mem_format("%s/rig%d", t_tmpdir(), count++);

    require(mkdir(dir, 0700) == 0);
    return rig_start(dir, config, true);
}

struct rig *rig_new_at(const char *dir, const char *config)
{
    return rig_start(dir, config, false);
}

void rig_advance(struct rig *rig, int64_t ms)
{
    loop_advance(rig->gw->loop, ms);
}

bool rig_until(struct rig *rig, bool (*done)(void *arg), void *arg)
{
    int64_t until = real_ms() + WAIT_REAL_MS;

    while (!done(arg)) {
        if (real_ms() > until)
            return false;
        if (!loop_turn(rig->gw->loop, false)) {
            struct timespec moment = {.tv_nsec = 200000}; /* the store's threads work meanwhile */
            nanosleep(&moment, NULL);
        }
    }
    return true;
}

/* ---- peers ---- */

static void on_message(struct ws *ws, void *arg, const char *text, size_t length)
{
    struct peer *peer = arg;
    struct message *message = mem_new(sizeof(*message) + length + 1);

    (void)ws;
    message->length = length;
    memcpy(message->text, text, length);
    *peer->tail = message;
    peer->tail = &message->next;
    peer->pending++;
}

static void on_closed(struct ws *ws, void *arg, uint16_t code, const char *reason)
{
    struct peer *peer = arg;

    (void)ws;
    peer->ws = NULL;
    peer->close_code = code;
    snprintf(peer->close_reason, sizeof(peer->close_reason), "%s", reason ? reason : "");
}

static const struct ws_events peer_events = {.message = on_message, .closed = on_closed};

struct peer *peer_new(struct rig *rig)
{
    struct peer *peer = NEW(struct peer);

    peer->rig = rig;
    peer->tail = &peer->messages;
    peer->next = rig->peers;
    rig->peers = peer;
    peer->ws = gateway_attach(rig->gw);
    ws_set_events(peer->ws, &peer_events, peer);
    return peer;
}

static bool has_message(void *arg)
{
    const struct peer *peer = arg;
    return peer->messages || !peer->ws;
}

/* Waits only as long as something is going on: turns without effect, and the store's threads, end it. */
static bool wait_message(struct peer *peer)
{
    for (int idle = 0; idle < IDLE_TURNS && !has_message(peer); idle++) {
        while (loop_turn(peer->rig->gw->loop, false))
            if (has_message(peer))
                return peer->messages != NULL;
        struct timespec moment = {.tv_nsec = 2000000};
        nanosleep(&moment, NULL);
    }
    return peer->messages != NULL;
}

const char *peer_next(struct peer *peer)
{
    mem_free(peer->current);
    peer->current = NULL;
    if (!wait_message(peer))
        return "";
    peer->current = peer->messages;
    peer->messages = peer->current->next;
    if (!peer->messages)
        peer->tail = &peer->messages;
    peer->pending--;
    return peer->current->text;
}

static bool is_of(const char *text, const char *member, const char *value)
{
    CLEAN(json_free) struct json *tree = json_parse(text, strlen(text), NULL);
    return strcmp(json_string(json_get(tree, member), ""), value) == 0;
}

static const char *skip_to(struct peer *peer, const char *member, const char *value)
{
    const char *text;

    do
        text = peer_next(peer);
    while (text[0] && !is_of(text, member, value));
    return text;
}

const char *peer_event(struct peer *peer, const char *name)
{
    return skip_to(peer, "event", name);
}

const char *peer_response(struct peer *peer, const char *id)
{
    return skip_to(peer, "id", id);
}

void peer_send_raw(struct peer *peer, const void *data, size_t length)
{
    if (peer->ws)
        ws_send(peer->ws, data, length, NULL);
}

void peer_send(struct peer *peer, const char *format, ...)
{
    struct buf b;
    va_list args;

    buf_init(&b, 64 << 20);
    va_start(args, format);
    buf_vaddf(&b, format, args);
    va_end(args);
    for (size_t i = 0; i < b.length; i++)
        if (b.data[i] == '\'')
            b.data[i] = '"';
    peer_send_raw(peer, b.data, b.length);
    buf_done(&b);
}

const char *peer_call(struct peer *peer, const char *method, const char *params)
{
    char id[24];

    snprintf(id, sizeof(id), "c%llu", (unsigned long long)++peer->last_id);
    peer_send(peer, "{'type':'req','id':'%s','method':'%s','params':%s}", id, method,
              params ? params : "{}");
    return peer_response(peer, id);
}

static void add_scopes(struct buf *b, const char *scopes)
{
    CLEAN(mem_free) char *copy = mem_string(scopes);
    char *rest = copy, *word;
    bool first = true;

    while ((word = strsep(&rest, " ")) != NULL) {
        if (!*word)
            continue;
        buf_addf(b, "%s'%s'", first ? "" : ",", word);
        first = false;
    }
}

struct peer *peer_connect(struct rig *rig, int version, const char *scopes)
{
    struct peer *peer = peer_new(rig);
    struct buf b;

    buf_init(&b, 4096);
    add_scopes(&b, scopes);
    t_has(peer_event(peer, "connect.challenge"), "nonce");
    peer_send(
        peer,
        "{'type':'req','id':'hello','method':'connect','params':{'minProtocol':%d,'maxProtocol':%d,"
        "'client':{'id':'cli','version':'1','platform':'linux','mode':'cli'},'role':'operator',"
        "'scopes':[%s],'auth':{'token':'" RIG_TOKEN "'}}}",
        version, version, b.data ? b.data : "");
    t_has(peer_response(peer, "hello"), "hello-ok");
    buf_done(&b);
    return peer;
}

size_t peer_pending(const struct peer *peer)
{
    return peer->pending;
}

static bool is_closed(void *arg)
{
    return ((struct peer *)arg)->ws == NULL;
}

int peer_closed(struct peer *peer)
{
    for (int idle = 0; idle < IDLE_TURNS && !is_closed(peer); idle++) {
        while (loop_turn(peer->rig->gw->loop, false) && !is_closed(peer))
            ;
        struct timespec moment = {.tv_nsec = 2000000};
        nanosleep(&moment, NULL);
    }
    return is_closed(peer) ? peer->close_code : 0;
}

const char *peer_close_reason(const struct peer *peer)
{
    return peer->close_reason;
}

void peer_pause(struct peer *peer, bool paused)
{
    if (peer->ws)
        ws_pause(peer->ws, paused);
}

void peer_close(struct peer *peer)
{
    if (peer->ws)
        ws_close(peer->ws, 1000, "");
    peer_closed(peer);
}

static void peer_free(struct peer *peer)
{
    while (peer->messages) {
        struct message *message = peer->messages;
        peer->messages = message->next;
        mem_free(message);
    }
    mem_free(peer->current);
    mem_free(peer);
}

void rig_free(struct rig *rig)
{
    for (struct peer *peer = rig->peers; peer; peer = peer->next)
        if (peer->ws)
            ws_abort(peer->ws);
    for (struct peer *peer = rig->peers; peer; peer = peer->next)
        rig_until(rig, is_closed, peer);
    gateway_free(rig->gw);
    while (rig->peers) {
        struct peer *peer = rig->peers;
        rig->peers = peer->next;
        peer_free(peer);
    }
    mem_free(rig->dir);
    mem_free(rig);
}
