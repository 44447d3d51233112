/* Power cuts under the whole gateway: chat.send streams through a rig whose disk loses its power at a
 * random write or sync, also while the gateway starts; after each the gateway starts again on what is
 * left. Every acknowledged message is there exactly once, every turn has an end, a repeated key runs
 * nothing twice, an end that was published is kept. The same with synchronous=OFF must lose something,
 * else the test proves nothing. CULVERT_LONG=1: 200 cuts instead of 20; CULVERT_SEED=n: other cuts. */
#include "tests/rig/rig.h"
#include "tests/tool/vfs_powercut.h"

#include "base/crypto.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define KEYS_MAX   50000
#define SESSIONS   4
#define IN_FLIGHT  12
#define OPEN_MAX   48 /* well below what lanes take, so that none is refused */
#define DISK_CUTS  6  /* lives of one disk */
#define LIFE_STEPS 20000
#define SCOPES     "operator.admin operator.read operator.write"
#define CONFIG                                                                                     \
    "{agents:{defaults:{maxConcurrent:8}},messages:{queue:{mode:'followup',cap:64,drop:'new'}}}"

enum fate { UNKNOWN, ACKNOWLEDGED };

struct sent {
    enum fate fate;
    bool published;          /* somebody was told its end */
    bool interrupted;        /* seen as such */
    unsigned said, answered; /* found after the cut */
};

struct world {
    struct powercut *disk;
    const char *synchronous;
    char *dir;
    struct rig *rig;
    struct peer *peer;
    uint64_t random;

    struct sent *sent;           /* [1, count] */
    size_t count, waiting, open; /* open: acknowledged in this life, their end not heard */
    unsigned cuts, failed_starts, interrupted, acknowledged, published;
    unsigned violations;
    char first_violation[256];
};

static uint64_t draw(struct world *w, uint64_t below)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (w->random >> 33) % below;
}

static void violation(struct world *w, const char *format, ...) PRINTF(2, 3);
static void violation(struct world *w, const char *format, ...)
{
    va_list args;

    if (w->violations++ > 0)
        return;
    va_start(args, format);
    vsnprintf(w->first_violation, sizeof(w->first_violation), format, args);
    va_end(args);
}

/* ---- start and end of a life ---- */

/* False: the gateway does not start (its disk is dead, or the start is the violation). */
static bool world_start(struct world *w, struct fault *fault)
{
    struct gateway_options options = {
        .state_dir = w->dir,
        .port = 0,
        .token = RIG_TOKEN,
        .virtual_clock = true,
        .no_listen = true,
        .store = {.vfs = powercut_name(w->disk),
                  .synchronous = w->synchronous,
                  .checkpoint_pages = 60},
    };
    struct gateway *gw = NULL;

    if (gateway_start(&options, &gw, fault) < 0)
        return false;
    w->rig = NEW(struct rig); /* rig_free takes it */
    w->rig->gw = gw;
    w->peer = peer_connect(w->rig, 4, SCOPES);
    return true;
}

static void world_stop(struct world *w)
{
    if (w->rig)
        rig_free(w->rig);
    w->rig = NULL;
    w->peer = NULL;
}

/* ---- what the gateway says ---- */

static size_t key_number(const char *run_id)
{
    size_t n = 0;

    return run_id && sscanf(run_id, "k%zu", &n) == 1 && n <= KEYS_MAX ? n : 0;
}

static void hear_response(struct world *w, const struct json *frame)
{
    size_t n = key_number(json_string(json_get(frame, "id"), NULL));

    if (n == 0 || n > w->count)
        return;
    w->waiting--;
    if (!json_boolean(json_get(frame, "ok"), false))
        return; /* what a refused write left on a dying disk is not known */
    if (w->sent[n].fate != ACKNOWLEDGED)
        w->acknowledged++;
    w->sent[n].fate = ACKNOWLEDGED;
    w->open++;
}

static void hear_event(struct world *w, const struct json *frame)
{
    const struct json *payload = json_get(frame, "payload");
    size_t n = key_number(json_string(json_get(payload, "runId"), NULL));

    if (n == 0 || strcmp(json_string(json_get(frame, "event"), ""), "chat") != 0 ||
        strcmp(json_string(json_get(payload, "state"), ""), "final") != 0)
        return;
    w->published += !w->sent[n].published;
    w->open -= w->open > 0;
    w->sent[n].published = true;
}

static void hear(struct world *w)
{
    while (peer_pending(w->peer) > 0) {
        const char *text = peer_next(w->peer);
        CLEAN(json_free) struct json *frame = json_parse(text, strlen(text), NULL);

        if (json_get(frame, "id"))
            hear_response(w, frame);
        else
            hear_event(w, frame);
    }
}

/* ---- one life: messages until the power goes ---- */

static void send_key(struct world *w, size_t n)
{
    peer_send(w->peer,
              "{'type':'req','id':'k%zu','method':'chat.send','params':{'sessionKey':'s%zu','"
              "message':'say %zu','idempotencyKey':'k%zu'}}",
              n, n % SESSIONS, n, n);
    w->waiting++;
}

static void load_until_cut(struct world *w)
{
    struct timespec moment = {.tv_nsec = 200000};

    w->waiting = w->open = 0;
    for (int step = 0; step < LIFE_STEPS && !powercut_is_dead(w->disk); step++) {
        while (w->waiting < IN_FLIGHT && w->open < OPEN_MAX && w->count < KEYS_MAX)
            send_key(w, ++w->count);
        rig_advance(w->rig, 5);
        hear(w);
        nanosleep(&moment, NULL); /* the store's threads work meanwhile */
    }
    rig_advance(w->rig, 200);
    hear(w);
}

static void live_and_die(struct world *w)
{
    static const uint64_t spans[] = {60, 800, 6000}; /* writes and syncs; a turn takes about 100 */
    struct fault fault = {0};
    bool at_start = w->rig == NULL;

    powercut_arm(w->disk, 1 + draw(w, at_start ? 12 : spans[draw(w, COUNT(spans))]));
    if (at_start && !world_start(w, &fault)) {
        w->failed_starts++;
        if (!powercut_is_dead(w->disk))
            violation(w, "does not start: %s", fault.text);
    } else {
        load_until_cut(w);
    }
    world_stop(w);
    powercut_restore(w->disk);
    w->cuts++;
}

/* ---- what is left ---- */

static void count_message(struct world *w, const struct json *message, size_t session)
{
    size_t n = key_number(json_string(json_path(message, "__openclaw.runId"), NULL));
    bool user = strcmp(json_string(json_get(message, "role"), ""), "user") == 0;
    const char *stop = json_string(json_get(message, "stopReason"), "");
    char text[32];

    if (n == 0 || n > w->count || n % SESSIONS != session) {
        violation(w, "a message of nobody in s%zu", session);
        return;
    }
    snprintf(text, sizeof(text), "say %zu", n);
    if (user && strcmp(json_string(json_get(message, "content"), ""), text) != 0)
        violation(w, "k%zu has another text", n);
    w->sent[n].said += user;
    w->sent[n].answered += !user;
    if (user || strcmp(stop, "stop") == 0)
        return;
    w->interrupted += !w->sent[n].interrupted;
    w->sent[n].interrupted = true;
    if (w->sent[n].published)
        violation(w, "k%zu was published as answered and is interrupted", n);
    if (strcmp(json_string(json_path(message, "openclawAbort.origin"), ""), "interrupted") != 0)
        violation(w, "k%zu ends as %s", n, stop);
}

static void read_session(struct world *w, size_t session)
{
    int64_t offset = 0;

    do {
        char params[96];
        snprintf(params, sizeof(params), "{'sessionKey':'s%zu','limit':1000,'offset':%lld}",
                 session, (long long)offset);
        const char *text = peer_call(w->peer, "chat.history", params);
        CLEAN(json_free) struct json *frame = json_parse(text, strlen(text), NULL);
        const struct json *page = json_get(frame, "payload");

        if (!page)
            violation(w, "chat.history does not answer: %.150s", text);
        json_each (message, json_get(page, "messages"))
            count_message(w, message, session);
        offset = json_integer(json_get(page, "nextOffset"), 0);
    } while (offset > 0);
}

static void check_key(struct world *w, size_t n)
{
    const struct sent *sent = &w->sent[n];

    if (sent->fate == ACKNOWLEDGED && sent->said == 0)
        violation(w, "k%zu was acknowledged and is gone", n);
    if (sent->said > 1)
        violation(w, "k%zu is there %u times", n, sent->said);
    if (sent->answered != sent->said)
        violation(w, "k%zu has %u ends", n, sent->answered);
}

/* The keys of this disk's last life again: whoever is there is answered with its end, others run now. */
static void ask_again(struct world *w, size_t from)
{
    for (size_t n = from; n <= w->count && w->violations == 0; n++) {
        char id[24];

        snprintf(id, sizeof(id), "k%zu", n);
        send_key(w, n);
        const char *text = peer_response(w->peer, id);
        CLEAN(json_free) struct json *frame = json_parse(text, strlen(text), NULL);
        const char *status = json_string(json_path(frame, "payload.status"), "none");
        bool runs = strcmp(status, "started") == 0,
             ended = strcmp(status, "ok") == 0 || strcmp(status, "error") == 0;

        if (w->sent[n].said ? !ended : !runs)
            violation(w, "k%zu (there %u times) is answered with %s", n, w->sent[n].said, status);
        w->sent[n].fate = ACKNOWLEDGED;
    }
}

static void check_world(struct world *w, size_t from)
{
    /* Commits end in order: what the start put into the store is there when this is answered. */
    const char *probe = peer_call(w->peer, "sessions.create", "{'key':'probe'}");

    if (!strstr(probe, "\"ok\":true"))
        violation(w, "a session cannot be made: %.150s", probe);
    for (size_t n = 1; n <= w->count; n++)
        w->sent[n].said = w->sent[n].answered = 0;
    for (size_t session = 0; session < SESSIONS; session++)
        read_session(w, session);
    for (size_t n = 1; n <= w->count; n++)
        check_key(w, n);
    ask_again(w, from);
}

/* ---- the proof ---- */

static void disk_life(struct world *w, unsigned cuts)
{
    static int disks;
    struct fault fault = {0};

    w->dir = mem_format("%s/disk%d", t_tmpdir(), disks++);
    require(mkdir(w->dir, 0700) == 0);
    CLEAN(mem_free) char *config = mem_format("%s/culvert.json", w->dir);
    FILE *file = fopen(config, "w");
    require(file && fputs(CONFIG, file) >= 0 && fclose(file) == 0);

    w->disk = powercut_new(draw(w, UINT32_MAX));
    w->count = 0;
    memset(w->sent, 0, (KEYS_MAX + 1) * sizeof(*w->sent));
    for (unsigned i = 0; i < cuts && w->violations == 0; i++) {
        size_t from = w->count + 1;

        if (draw(w, 4) == 0)
            world_stop(w); /* and the cut comes at the start */
        live_and_die(w);
        if (world_start(w, &fault))
            check_world(w, from);
        else
            violation(w, "does not start after the cut: %s", fault.text);
    }
    world_stop(w);
    w->disk = powercut_free(w->disk);
    w->dir = mem_free(w->dir);
}

static bool is_long(void)
{
    const char *text = getenv("CULVERT_LONG");
    return text && strcmp(text, "1") == 0;
}

static void run_cuts(struct world *w, unsigned cuts)
{
    const char *seed = getenv("CULVERT_SEED");

    crypto_init();
    require(log_setup(&(struct log_config){.level = LOG_ERROR, .quiet = true}, NULL) == 0);
    w->random = seed ? strtoull(seed, NULL, 10) : 20261122;
    printf("    seed %llu, synchronous=%s:", (unsigned long long)w->random, w->synchronous);
    fflush(stdout);
    w->sent = mem_array(KEYS_MAX + 1, sizeof(*w->sent));
    while (w->cuts < cuts && w->violations == 0)
        disk_life(w, cuts - w->cuts < DISK_CUTS ? cuts - w->cuts : DISK_CUTS);
    printf(" %u cuts (%u of them kept it from starting), %u messages acknowledged, %u ends "
           "published, %u found interrupted, %u violations%s%s\n",
           w->cuts, w->failed_starts, w->acknowledged, w->published, w->interrupted, w->violations,
           w->violations ? ": " : "", w->first_violation);
    fflush(stdout);
    mem_free(w->sent);
}

T(nothing_acknowledged_is_lost)
{
    struct world w = {.synchronous = "FULL"};

    run_cuts(&w, is_long() ? 200 : 20);
    t_eq(w.violations, 0);
    t_str(w.first_violation, "");
    t_ok(w.acknowledged > w.cuts);
    t_ok(w.published > 0 && w.interrupted > 0);
}

/* Syncs only at checkpoints: the file stays whole, acknowledged messages go. */
T(with_fewer_syncs_it_is)
{
    struct world w = {.synchronous = "NORMAL"};

    run_cuts(&w, 40);
    t_ok(w.violations > 0);
    t_ok(!strstr(w.first_violation, "damaged"));
}

T(without_syncs_it_is)
{
    struct world w = {.synchronous = "OFF"};

    run_cuts(&w, 40);
    t_ok(w.violations > 0);
}
