/* A scenario is one data file (*.scn): this runner plays it against a whole gateway in this process: store
 * in memory, clock stepped by the file, peers joined in memory instead of sockets. Adding a scenario adds
 * no code. The words of a file:
 *   config JSON                the configuration file, before the first peer
 *   peer NAME                  opens a connection, takes connect.challenge off it, makes it the current one
 *   use NAME                   makes it the current one again
 *   connect v4 SCOPE,SCOPE     a good connect with the shared token ("-": no scopes); expects hello-ok
 *   send TEXT                  one message; {N*TEXT} repeats, \xHH is a byte
 *   expect JSON                the next answer (events are passed over) has these members
 *   expect event JSON          an event not seen yet has these members
 *   expect nothing             no answer comes
 *   expect closed CODE REASON  the connection ends so (the reason may be left out)
 *   advance MS                 the clock moves on
 * $CULVERT_SCENARIO names the file. */
#include "tests/t.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "gateway/gateway.h"

#include <poll.h>
#include <stdlib.h>

#define PEERS_MAX    8
#define FRAMES_MAX   4096
#define MESSAGE_MAX  (64u << 20)
#define LINE_ROOM    (1u << 20)
#define PATIENCE_MS  10000 /* real time: only a failure takes it */
#define QUIET_TURNS  20
#define OUTPUT_MAX   (64u << 20)
#define SHARED_TOKEN "scenario-token"

struct peer {
    char name[32];
    struct ws *ws;
    char *frames[FRAMES_MAX]; /* in order; NULL once expected */
    size_t count;
    bool closed;
    uint16_t code;
    char reason[WS_CLOSE_REASON_MAX + 1];
};

struct scene {
    const char *file;
    int line;
    struct gateway *gw;
    struct peer peers[PEERS_MAX];
    size_t peer_count;
    struct peer *peer; /* the current one */
};

#define scene_fail(scene, ...) t_fail((scene)->file, (scene)->line, __VA_ARGS__)

/* ---- a peer's end of its connection ---- */

static void on_message(struct ws *ws, void *arg, const char *text, size_t length)
{
    struct peer *peer = arg;

    (void)ws;
    require(peer->count < FRAMES_MAX);
    peer->frames[peer->count++] = mem_slice(text, length);
}

static void on_closed(struct ws *ws, void *arg, uint16_t code, const char *reason)
{
    struct peer *peer = arg;

    (void)ws;
    peer->closed = true;
    peer->code = code;
    snprintf(peer->reason, sizeof(peer->reason), "%s", reason ? reason : "");
    peer->ws = NULL;
}

static const struct ws_events peer_events = {.message = on_message, .closed = on_closed};

/* ---- waiting: the store answers from its own threads, so a turn may have nothing to do yet ---- */

static bool is_event(const char *frame)
{
    CLEAN(json_free) struct json *j = json_parse(frame, strlen(frame), NULL);
    return strcmp(json_string(json_get(j, "type"), ""), "event") == 0;
}

/* The next frame that is (or is not) an event, taken out; NULL when there is none. */
static char *take_frame(struct peer *peer, bool event)
{
    for (size_t i = 0; i < peer->count; i++)
        if (peer->frames[i] && is_event(peer->frames[i]) == event)
            return TAKE(peer->frames[i]);
    return NULL;
}

static void turns(struct scene *scene, int count)
{
    for (int i = 0; i < count; i++)
        if (!loop_turn(scene->gw->loop, false))
            poll(NULL, 0, 1);
}

static char *wait_frame(struct scene *scene, bool event)
{
    for (int waited = 0; waited < PATIENCE_MS; waited++) {
        char *frame = take_frame(scene->peer, event);
        if (frame || (scene->peer->closed && waited > QUIET_TURNS))
            return frame;
        turns(scene, 1);
    }
    return NULL;
}

/* ---- the words ---- */

static void start_gateway(struct scene *scene)
{
    const struct gateway_options options = {
        .state_dir = t_tmpdir(),
        .port = 0,
        .auth = "token",
        .token = SHARED_TOKEN,
        .virtual_clock = true,
        .no_listen = true,
        .memory_store = true,
    };
    struct fault fault = {0};

    if (gateway_start(&options, &scene->gw, &fault) < 0)
        scene_fail(scene, "the gateway did not start: %s", fault.text);
}

static void word_config(struct scene *scene, const char *rest)
{
    CLEAN(mem_free) char *path = mem_format("%s/culvert.json", t_tmpdir());
    FILE *file = fopen(path, "w");

    if (!file || fputs(rest, file) < 0 || fclose(file) != 0)
        scene_fail(scene, "cannot write %s", path);
}

static void word_peer(struct scene *scene, const char *rest)
{
    if (!scene->gw)
        start_gateway(scene);
    if (!scene->gw)
        return;
    require(scene->peer_count < PEERS_MAX);
    struct peer *peer = scene->peer = &scene->peers[scene->peer_count++];
    snprintf(peer->name, sizeof(peer->name), "%s", rest);
    peer->ws = gateway_attach(scene->gw);
    ws_set_events(peer->ws, &peer_events, peer);
    CLEAN(mem_free) char *challenge = wait_frame(scene, true);
    t_json_(scene->file, scene->line, challenge,
            "{'type':'event','event':'connect.challenge','payload':{'nonce':'*','ts':'*'}}");
}

static void word_use(struct scene *scene, const char *rest)
{
    for (size_t i = 0; i < scene->peer_count; i++)
        if (strcmp(scene->peers[i].name, rest) == 0) {
            scene->peer = &scene->peers[i];
            return;
        }
    scene_fail(scene, "no peer is called %s", rest);
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* One character of a send line, or \xHH. Returns how much of the line it took. */
static size_t expand_one(const char *at, struct buf *out)
{
    if (at[0] == '\\' && at[1] == 'x' && hex_digit(at[2]) >= 0 && hex_digit(at[3]) >= 0) {
        char byte = (char)(hex_digit(at[2]) << 4 | hex_digit(at[3]));
        buf_add(out, &byte, 1);
        return 4;
    }
    buf_add(out, at, 1);
    return 1;
}

/* {N*TEXT}: TEXT runs to the next closing brace. 0 when there is no repetition here. */
static size_t expand_repeat(const char *at, struct buf *out)
{
    char *star = NULL;
    unsigned long times =
        at[0] == '{' && at[1] >= '0' && at[1] <= '9' ? strtoul(at + 1, &star, 10) : 0;
    const char *end = star && *star == '*' ? strchr(star, '}') : NULL;
    CLEAN(buf_done) struct buf once;

    buf_init(&once, LINE_ROOM);
    if (!end)
        return 0;
    for (const char *part = star + 1; part < end;)
        part += expand_one(part, &once);
    for (unsigned long i = 0; i < times; i++)
        buf_add(out, once.data, once.length);
    return (size_t)(end - at) + 1;
}

static void word_send(struct scene *scene, const char *rest)
{
    CLEAN(buf_done) struct buf text;

    buf_init(&text, MESSAGE_MAX);
    while (*rest) {
        size_t taken = expand_repeat(rest, &text);
        rest += taken ? taken : expand_one(rest, &text);
    }
    if (!scene->peer->ws || ws_send(scene->peer->ws, text.data, text.length, NULL) < 0)
        scene_fail(scene, "the connection takes no message: it is closed");
}

static void word_expect(struct scene *scene, const char *rest);

static void word_connect(struct scene *scene, const char *rest)
{
    int version = rest[0] == 'v' && rest[1] == '3' ? 3 : 4;
    CLEAN(buf_done) struct buf scopes;

    buf_init(&scopes, LINE_ROOM);
    buf_add_str(&scopes, "");
    for (const char *at = strchr(rest, ' ') ? strchr(rest, ' ') + 1 : "-"; *at && *at != '-';) {
        size_t length = strcspn(at, ",");
        buf_addf(&scopes, "%s\"%.*s\"", scopes.length ? "," : "", (int)length, at);
        at += length + (at[length] == ',');
    }
    CLEAN(mem_free)
    char *frame = mem_format(
        "{\"type\":\"req\",\"id\":\"connect\",\"method\":\"connect\",\"params\":{\"minProtocol\":%"
        "d,"
        "\"maxProtocol\":%d,\"client\":{\"id\":\"cli\",\"version\":\"1\",\"platform\":\"linux\","
        "\"mode\":\"cli\"},\"role\":\"operator\",\"scopes\":[%.*s],\"auth\":{\"token\":\"%s\"}}}",
        version, version, (int)scopes.length, scopes.length ? scopes.data : "", SHARED_TOKEN);
    CLEAN(mem_free)
    char *hello = mem_format(
        "{'type':'res','id':'connect','ok':true,'payload':{'type':'hello-ok','protocol':%d}}",
        version);
    word_send(scene, frame);
    word_expect(scene, hello);
}

static void expect_event(struct scene *scene, const char *json)
{
    CLEAN(mem_free) char *frame = wait_frame(scene, true);

    if (!frame)
        scene_fail(scene, "no event came; expected %s", json);
    else
        t_json_(scene->file, scene->line, frame, json);
}

static void expect_nothing(struct scene *scene)
{
    turns(scene, QUIET_TURNS);
    CLEAN(mem_free) char *frame = take_frame(scene->peer, false);
    if (frame)
        scene_fail(scene, "nothing was expected, but there came %s", frame);
}

static void expect_closed(struct scene *scene, const char *rest)
{
    char *reason = NULL;
    unsigned long code = strtoul(rest, &reason, 10);
    struct peer *peer = scene->peer;

    for (int waited = 0; waited < PATIENCE_MS && !peer->closed; waited++)
        turns(scene, 1);
    if (!peer->closed) {
        scene_fail(scene, "the connection stays open; expected close %s", rest);
        return;
    }
    if (peer->code != code || (*reason == ' ' && strcmp(peer->reason, reason + 1) != 0))
        scene_fail(scene, "closed with %u \"%s\"; expected %s", peer->code, peer->reason, rest);
}

static void word_expect(struct scene *scene, const char *rest)
{
    if (strncmp(rest, "event ", 6) == 0)
        expect_event(scene, rest + 6);
    else if (strcmp(rest, "nothing") == 0)
        expect_nothing(scene);
    else if (strncmp(rest, "closed ", 7) == 0)
        expect_closed(scene, rest + 7);
    else {
        CLEAN(mem_free) char *frame = wait_frame(scene, false);
        if (frame)
            t_json_(scene->file, scene->line, frame, rest);
        else
            scene_fail(scene, "no answer came (%s); expected %s",
                       scene->peer->closed ? scene->peer->reason : "still open", rest);
    }
}

static void word_advance(struct scene *scene, const char *rest)
{
    turns(scene, QUIET_TURNS);
    loop_advance(scene->gw->loop, (int64_t)strtoul(rest, NULL, 10));
}

static const struct {
    const char *word;
    void (*run)(struct scene *scene, const char *rest);
    bool needs_peer;
} words[] = {
    {"config ", word_config, false},  {"peer ", word_peer, false}, {"use ", word_use, false},
    {"connect ", word_connect, true}, {"send ", word_send, true},  {"expect ", word_expect, true},
    {"advance ", word_advance, true},
};

/* ---- a file from its first line to its last ---- */

static void play_line(struct scene *scene, const char *line)
{
    if (!*line || *line == '#')
        return;
    for (size_t i = 0; i < COUNT(words); i++) {
        size_t length = strlen(words[i].word);
        if (strncmp(line, words[i].word, length) != 0)
            continue;
        if (words[i].needs_peer && !scene->peer)
            scene_fail(scene, "there is no peer yet");
        else
            words[i].run(scene, line + length);
        return;
    }
    scene_fail(scene, "not a word of scenarios: %s", line);
}

static void play_file(struct scene *scene, FILE *file)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;

    while ((length = getline(&line, &room, file)) >= 0) {
        scene->line++;
        if (length > 0 && line[length - 1] == '\n')
            line[length - 1] = '\0';
        play_line(scene, line);
    }
    free(line);
}

static void end_scene(struct scene *scene)
{
    for (size_t i = 0; i < scene->peer_count; i++)
        if (scene->peers[i].ws)
            ws_close(scene->peers[i].ws, 1000, "");
    if (scene->gw) {
        turns(scene, QUIET_TURNS);
        gateway_shutdown(scene->gw, "scenario ends", 0);
        for (int i = 0; i < QUIET_TURNS; i++) {
            loop_advance(scene->gw->loop, 500);
            turns(scene, 2);
        }
        gateway_free(scene->gw);
    }
    for (size_t i = 0; i < scene->peer_count; i++)
        for (size_t j = 0; j < scene->peers[i].count; j++)
            mem_free(scene->peers[i].frames[j]);
}

T(scenario)
{
    const char *path = getenv("CULVERT_SCENARIO");
    FILE *file = path ? fopen(path, "r") : NULL;
    static struct scene scene;

    if (!file) {
        t_fail(__FILE__, __LINE__, "cannot open %s; set CULVERT_SCENARIO", path ? path : "nothing");
        return;
    }
    scene = (struct scene){.file = path};
    play_file(&scene, file);
    fclose(file);
    end_scene(&scene);
}
