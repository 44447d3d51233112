/* A scenario is one data file (*.scn): this runner plays it against a whole gateway in this process (tests/rig:
 * store in memory, clock moved by the file, peers joined in memory). Adding a scenario adds no code.
 *   config JSON                the configuration file, before the first peer
 *   peer NAME                  opens a connection, takes connect.challenge off it, makes it the current one
 *   connect NAME v4 SCOPES     the same and a good connect with the shared token; scopes are separated by blanks
 *   use NAME                   makes it the current one again
 *   send TEXT                  one message; {N*TEXT} repeats, \xHH is a byte
 *   expect JSON                the next answer has these members; events before it are passed over
 *   expect event NAME JSON     the next event of that name has these members in its payload
 *   expect nothing             no answer comes
 *   expect closed CODE REASON  the connection ends so (the reason may be left out)
 *   advance MS                 the clock moves on
 * $CULVERT_SCENARIO names the file. */
#include "tests/rig/rig.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdlib.h>

#define PEERS_MAX   16
#define MESSAGE_MAX (64u << 20)

struct scene {
    const char *file;
    int line;
    char *config;
    struct rig *rig;
    char *names[PEERS_MAX];
    struct peer *peers[PEERS_MAX];
    size_t peer_count;
    struct peer *peer; /* the current one */
};

#define scene_fail(scene, ...) t_fail((scene)->file, (scene)->line, __VA_ARGS__)

/* ---- peers ---- */

static void add_peer(struct scene *scene, char *name, struct peer *peer)
{
    scene->names[scene->peer_count] = name;
    scene->peers[scene->peer_count++] = scene->peer = peer;
}

static struct rig *scene_rig(struct scene *scene)
{
    require(scene->peer_count < PEERS_MAX);
    if (!scene->rig)
        scene->rig = rig_new(scene->config);
    return scene->rig;
}

static void word_config(struct scene *scene, const char *rest)
{
    mem_free(scene->config);
    scene->config = mem_string(rest);
}

static void word_peer(struct scene *scene, const char *rest)
{
    struct peer *peer = peer_new(scene_rig(scene));

    add_peer(scene, mem_string(rest), peer);
    t_json_(scene->file, scene->line, peer_event(peer, "connect.challenge"),
            "{'type':'event','event':'connect.challenge','payload':{'nonce':'*','ts':'*'}}");
}

static void word_connect(struct scene *scene, const char *rest)
{
    size_t name = strcspn(rest, " ");
    const char *version = rest + name + (rest[name] == ' ');
    size_t length = strcspn(version, " ");

    if (length != 2 || version[0] != 'v') {
        scene_fail(scene, "connect NAME v3|v4 SCOPES");
        return;
    }
    struct peer *peer = peer_connect(scene_rig(scene), version[1] - '0', version + length);
    add_peer(scene, mem_slice(rest, name), peer);
}

static void word_use(struct scene *scene, const char *rest)
{
    for (size_t i = 0; i < scene->peer_count; i++)
        if (strcmp(scene->names[i], rest) == 0) {
            scene->peer = scene->peers[i];
            return;
        }
    scene_fail(scene, "no peer is called %s", rest);
}

/* ---- send ---- */

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* One character of a send line, or \xHH. Returns how much of the line it took. */
static size_t expand_one(const char *at, struct buf *out)
{
    if (at[0] == '\\' && at[1] == 'x' && hex_digit(at[2]) >= 0 && hex_digit(at[3]) >= 0) {
        buf_add_char(out, (char)(hex_digit(at[2]) << 4 | hex_digit(at[3])));
        return 4;
    }
    buf_add_char(out, at[0]);
    return 1;
}

/* {N*TEXT}: TEXT runs to the next closing brace. 0 when there is no repetition here. */
static size_t expand_repeat(const char *at, struct buf *out)
{
    bool counted = at[0] == '{' && at[1] >= '0' && at[1] <= '9';
    char *star = NULL;
    unsigned long times = counted ? strtoul(at + 1, &star, 10) : 0;
    const char *end = star && *star == '*' ? strchr(star, '}') : NULL;
    CLEAN(buf_done) struct buf once;

    buf_init(&once, MESSAGE_MAX);
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
    peer_send_raw(scene->peer, text.data, text.length);
}

/* ---- expect ---- */

static bool is_event(const char *frame)
{
    CLEAN(json_free) struct json *tree = json_parse(frame, strlen(frame), NULL);
    return strcmp(json_string(json_get(tree, "type"), ""), "event") == 0;
}

static const char *next_answer(struct peer *peer)
{
    const char *frame;

    do
        frame = peer_next(peer);
    while (frame[0] && is_event(frame));
    return frame;
}

static void expect_answer(struct scene *scene, const char *json)
{
    const char *frame = next_answer(scene->peer);

    if (frame[0])
        t_json_(scene->file, scene->line, frame, json);
    else
        scene_fail(scene, "no answer came; expected %s", json);
}

static void expect_event(struct scene *scene, const char *rest)
{
    size_t length = strcspn(rest, " ");
    CLEAN(mem_free) char *name = mem_slice(rest, length);
    CLEAN(mem_free)
    char *wanted = mem_format("{'payload':%s}", rest[length] ? rest + length : "{}");
    const char *frame = peer_event(scene->peer, name);

    if (frame[0])
        t_json_(scene->file, scene->line, frame, wanted);
    else
        scene_fail(scene, "no event %s came", name);
}

static void expect_nothing(struct scene *scene, const char *rest)
{
    const char *frame = next_answer(scene->peer);

    (void)rest;
    if (frame[0])
        scene_fail(scene, "nothing was expected, but there came %s", frame);
}

static void expect_closed(struct scene *scene, const char *rest)
{
    char *reason = NULL;
    long code = strtol(rest, &reason, 10);
    int seen = peer_closed(scene->peer);

    if (seen == 0)
        scene_fail(scene, "the connection stays open; expected close %s", rest);
    else if (seen != code ||
             (*reason == ' ' && strcmp(peer_close_reason(scene->peer), reason + 1) != 0))
        scene_fail(scene, "closed with %d \"%s\"; expected %s", seen,
                   peer_close_reason(scene->peer), rest);
}

static void word_advance(struct scene *scene, const char *rest)
{
    rig_advance(scene->rig, strtol(rest, NULL, 10));
}

/* ---- a file from its first line to its last ---- */

static const struct {
    const char *word;
    void (*run)(struct scene *scene, const char *rest);
} words[] = {
    {"config ", word_config},
    {"peer ", word_peer},
    {"connect ", word_connect},
    {"use ", word_use},
    {"send ", word_send},
    {"expect event ", expect_event},
    {"expect closed ", expect_closed},
    {"expect nothing", expect_nothing},
    {"expect ", expect_answer},
    {"advance ", word_advance},
};

static void play_line(struct scene *scene, const char *line)
{
    if (!*line || *line == '#')
        return;
    for (size_t i = 0; i < COUNT(words); i++) {
        size_t length = strlen(words[i].word);
        if (strncmp(line, words[i].word, length) == 0) {
            if (!scene->peer && i > 2)
                scene_fail(scene, "there is no peer yet");
            else
                words[i].run(scene, line + length);
            return;
        }
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

T(scenario)
{
    const char *path = getenv("CULVERT_SCENARIO");
    FILE *file = path ? fopen(path, "r") : NULL;
    struct scene scene = {.file = path};

    if (!file) {
        t_fail(__FILE__, __LINE__, "cannot open %s; set CULVERT_SCENARIO", path ? path : "nothing");
        return;
    }
    play_file(&scene, file);
    fclose(file);
    if (scene.rig)
        rig_free(scene.rig);
    for (size_t i = 0; i < scene.peer_count; i++)
        mem_free(scene.names[i]);
    mem_free(scene.config);
}
