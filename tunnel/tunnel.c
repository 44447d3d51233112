/* The owner's side of a tunnel and the thread behind it.
 *
 * Orders (nudge, answer, stop) are posted to the thread's loop; news (changed, notice, question) to the owner's; the
 * status lies on the board (board.h). Nothing else is shared. News may still be on its way when the tunnel is stopped,
 * so it carries a box that then no longer knows the tunnel.
 *
 * The thread is joined by tunnel_stop. Only a job of the pool that cannot be called back (a name server that does not
 * answer) may keep its loop for longer than STOP_WAIT_MS: then the thread is let go and frees what is its own. */
#include "tunnel/tunnel.h"

#include "base/crypto.h"
#include "base/io/listen_socket.h"
#include "base/mem.h"
#include "tunnel/engine.h"
#include "tunnel/options.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TUNNEL_MAGIC 0x74756e6eu
#define TUNNEL_NEWS_MAX                                                                            \
    64 /* notices and questions on their way; a question more is answered: nobody */
#define TUNNEL_STOP_MS 800

/* Lives as long as the tunnel or any news of it. tunnel is the owner's thread's to look at. */
struct box {
    _Atomic unsigned refs;
    _Atomic unsigned news; /* notices and questions on their way */
    _Atomic bool changed;  /* one is on its way */
    struct tunnel *tunnel; /* NULL: stopped */
};

/* The thread's own; the owner looks at board, loop and the end. */
struct runner {
    pthread_t thread;
    struct loop *loop, *owner_loop;
    struct board board;
    struct tunnel_status first;
    struct tunnel_options *options;
    struct forward_door *doors;
    size_t door_count;
    bool asks;
    struct engine *engine;
    struct box *box;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool over, abandoned; /* under lock */
};

struct tunnel {
    uint32_t magic;
    struct runner *runner;
    struct box *box;
    struct tunnel_options callbacks; /* arg and functions only */
    char *unix_paths[TUNNEL_ENDPOINTS_MAX];
    size_t unix_count;
};

const char *tunnel_library(void)
{
    return ssh_library();
}

/* ---- news: thread to owner ---- */

static void box_unref(struct box *box)
{
    if (atomic_fetch_sub(&box->refs, 1) == 1)
        mem_free(box);
}

struct news {
    struct box *box;
    struct tunnel_question *question; /* NULL: a notice */
    char text[];
};

static void news_of_change(void *arg)
{
    struct box *box = arg;
    struct tunnel *tunnel = box->tunnel;

    atomic_store(&box->changed, false);
    if (tunnel && tunnel->callbacks.changed)
        tunnel->callbacks.changed(tunnel->callbacks.arg);
    box_unref(box);
}

static void news_read(void *arg)
{
    struct news *news = arg;
    struct tunnel *tunnel = news->box->tunnel;

    atomic_fetch_sub(&news->box->news, 1);
    if (tunnel && news->question)
        tunnel->callbacks.ask(tunnel->callbacks.arg, news->question);
    else if (tunnel && tunnel->callbacks.notice)
        tunnel->callbacks.notice(tunnel->callbacks.arg, news->text);
    box_unref(news->box);
    mem_free(news);
}

static void runner_on_changed(void *arg)
{
    struct runner *runner = arg;

    if (atomic_exchange(&runner->box->changed, true))
        return;
    atomic_fetch_add(&runner->box->refs, 1);
    loop_post(runner->owner_loop, news_of_change, runner->box);
}

static bool runner_tell(struct runner *runner, struct tunnel_question *question, const char *text)
{
    size_t length = strlen(text);

    if (atomic_load(&runner->box->news) >= TUNNEL_NEWS_MAX)
        return false;
    struct news *news = mem_new(sizeof *news + length + 1);
    news->box = runner->box;
    news->question = question;
    memcpy(news->text, text, length);
    atomic_fetch_add(&runner->box->refs, 1);
    atomic_fetch_add(&runner->box->news, 1);
    loop_post(runner->owner_loop, news_read, news);
    return true;
}

static void runner_on_notice(void *arg, const char *text)
{
    (void)runner_tell(arg, NULL, text); /* a flood of them tells a person nothing */
}

static void runner_on_ask(void *arg, struct tunnel_question *question)
{
    struct runner *runner = arg;

    if (!runner_tell(runner, question, ""))
        engine_answer(runner->engine, question, NULL);
}

/* ---- orders: owner to thread ---- */

struct answer {
    struct runner *runner;
    struct tunnel_question *question;
    char *text;
};

static void order_answer(void *arg)
{
    struct answer *answer = arg;

    engine_answer(answer->runner->engine, answer->question, answer->text);
    mem_wipe_free(answer->text, answer->text ? strlen(answer->text) : 0);
    mem_free(answer);
}

static void order_nudge(void *arg)
{
    struct runner *runner = arg;
    engine_nudge(runner->engine);
}

static void order_stop(void *arg)
{
    struct runner *runner = arg;

    runner->engine = engine_free(runner->engine);
    loop_stop(runner->loop);
}

void tunnel_nudge(struct tunnel *tunnel)
{
    loop_post(tunnel->runner->loop, order_nudge, tunnel->runner);
}

void tunnel_answer(struct tunnel *tunnel, struct tunnel_question *question, const char *answer)
{
    struct answer *order = NEW(struct answer);

    order->runner = tunnel->runner;
    order->question = question;
    order->text = mem_string(answer);
    loop_post(tunnel->runner->loop, order_answer, order);
}

void tunnel_status(const struct tunnel *tunnel, struct tunnel_status *ret)
{
    board_read(&tunnel->runner->board, ret);
}

/* ---- the thread ---- */

static void runner_free(struct runner *runner)
{
    pthread_mutex_destroy(&runner->lock);
    pthread_cond_destroy(&runner->ended);
    tunnel_options_free(runner->options);
    mem_free(runner->doors);
    box_unref(runner->box);
    mem_free(runner);
}

static void *runner_run(void *arg)
{
    struct runner *runner = arg;
    struct engine_config config = {
        .loop = runner->loop,
        .options = runner->options,
        .doors = runner->doors,
        .door_count = runner->door_count,
        .board = &runner->board,
        .first = &runner->first,
        .arg = runner,
        .changed = runner_on_changed,
        .notice = runner_on_notice,
        .ask = runner->asks ? runner_on_ask : NULL,
    };

    runner->engine = engine_new(&config);
    loop_run(runner->loop);
    loop_free(runner->loop);

    pthread_mutex_lock(&runner->lock);
    runner->over = true;
    bool abandoned = runner->abandoned;
    pthread_cond_signal(&runner->ended);
    pthread_mutex_unlock(&runner->lock);
    if (abandoned)
        runner_free(runner);
    return NULL;
}

/* The process' signals are for its own threads. */
static int runner_start(struct runner *runner)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&runner->thread, NULL, runner_run, runner);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0)
        return -ERR_NO_MEMORY;
    pthread_setname_np(runner->thread, "tunnel");
    return 0;
}

/* True: it is over and the runner ours. */
static bool runner_wait(struct runner *runner)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TUNNEL_STOP_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&runner->lock);
    while (!runner->over && pthread_cond_timedwait(&runner->ended, &runner->lock, &until) == 0)
        ;
    bool over = runner->over;
    runner->abandoned = !over;
    pthread_mutex_unlock(&runner->lock);
    return over;
}

/* ---- start ---- */

/* A socket for this process alone must lie where nobody else can put one. */
static int door_folder_is_ours(const char *path, struct fault *reterr_fault)
{
    char *folder = mem_string(path), *slash = strrchr(folder, '/');
    struct stat st;
    int r = 0;

    if (slash)
        slash[slash == folder] = '\0';
    if (lstat(slash ? folder : ".", &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
        (st.st_mode & 077) != 0)
        r = fault_set(reterr_fault, -ERR_DENIED,
                      "the folder of %s must exist, be ours and closed to others (chmod 700)",
                      path);
    mem_free(folder);
    return r;
}

static int door_open(const struct tunnel_listen *listen, struct forward_door *ret,
                     struct tunnel_endpoint *ret_endpoint, struct fault *reterr_fault)
{
    struct listen_socket spec = {.host = listen->host ? listen->host : "127.0.0.1",
                                 .port = listen->port,
                                 .unix_path = listen->unix_path,
                                 .unix_mode = 0600,
                                 .host_option = "--listen",
                                 .port_option = "--listen"};
    int port, r = 0;

    if (listen->unix_path && listen->own_process)
        r = door_folder_is_ours(listen->unix_path, reterr_fault);
    if (r < 0)
        return r;
    int fd = listen_socket(&spec, &port, reterr_fault);
    if (fd < 0)
        return fd;
    *ret = (struct forward_door){.fd = fd,
                                 .is_unix = listen->unix_path != NULL,
                                 .own_process = listen->own_process,
                                 .service = listen->service};
    *ret_endpoint = (struct tunnel_endpoint){.service = listen->service};
    if (listen->unix_path)
        snprintf(ret_endpoint->address, sizeof ret_endpoint->address, "%s", listen->unix_path);
    else
        snprintf(ret_endpoint->address, sizeof ret_endpoint->address,
                 strchr(spec.host, ':') ? "[%.100s]:%d" : "%.100s:%d", spec.host, port);
    return 0;
}

/* All local doors; what may be missed is told by its notice later. */
static int tunnel_bind(struct tunnel *tunnel, struct runner *runner,
                       const struct tunnel_options *options, struct fault *reterr_fault)
{
    struct fault fault;

    if (options->listen_count + options->publish_count > TUNNEL_ENDPOINTS_MAX)
        return fault_set(reterr_fault, -ERR_TOO_LARGE, "a tunnel has at most %d endpoints",
                         TUNNEL_ENDPOINTS_MAX);
    for (size_t i = 0; i < options->listen_count; i++) {
        const struct tunnel_listen *listen = &options->listen[i];

        fault_clear(&fault);
        int r = door_open(listen, &runner->doors[runner->door_count],
                          &runner->first.endpoints[runner->first.endpoint_count], &fault);
        if (r < 0 && !listen->optional) {
            if (reterr_fault)
                *reterr_fault = fault;
            return r;
        }
        if (r < 0) {
            (void)runner_tell(runner, NULL, fault.text);
            continue;
        }
        runner->door_count++;
        runner->first.endpoint_count++;
        if (listen->unix_path)
            tunnel->unix_paths[tunnel->unix_count++] = mem_string(listen->unix_path);
    }
    return 0;
}

static struct runner *runner_new(struct loop *owner_loop, const struct tunnel_options *options,
                                 struct box *box)
{
    struct runner *runner = NEW(struct runner);
    pthread_condattr_t monotonic;

    runner->owner_loop = owner_loop;
    runner->options = tunnel_options_copy(options);
    runner->doors = mem_array(options->listen_count + 1, sizeof *runner->doors);
    runner->asks = options->ask != NULL;
    runner->box = box;
    atomic_fetch_add(&box->refs, 1);
    runner->first = (struct tunnel_status){
        .state = TUNNEL_CONNECTING, .since = loop_wall(owner_loop), .rtt_ms = -1};
    pthread_mutex_init(&runner->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&runner->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return runner;
}

/* What the owner's side has, when there is no thread or no more. */
static void tunnel_dissolve(struct tunnel *tunnel)
{
    for (size_t i = 0; i < tunnel->unix_count; i++) {
        (void)unlink(tunnel->unix_paths[i]);
        mem_free(tunnel->unix_paths[i]);
    }
    tunnel->box->tunnel = NULL;
    box_unref(tunnel->box);
    tunnel->magic = 0;
    mem_free(tunnel);
}

static int tunnel_check_target(const char *target, struct fault *reterr_fault)
{
    struct ssh_target parsed = {0};
    int r = ssh_target_parse(target, &parsed, reterr_fault);

    if (r >= 0)
        ssh_target_done(&parsed);
    return r;
}

int tunnel_start(struct loop *loop, const struct tunnel_options *options, struct tunnel **ret,
                 struct fault *reterr_fault)
{
    int r = tunnel_check_target(options->target, reterr_fault);
    if (r < 0)
        return r;

    struct tunnel *tunnel = NEW(struct tunnel);
    tunnel->magic = TUNNEL_MAGIC;
    tunnel->callbacks = *options;
    tunnel->box = NEW(struct box);
    tunnel->box->tunnel = tunnel;
    atomic_store(&tunnel->box->refs, 1u);
    struct runner *runner = tunnel->runner = runner_new(loop, options, tunnel->box);

    r = tunnel_bind(tunnel, runner, options, reterr_fault);
    if (r >= 0) {
        board_init(&runner->board, &runner->first);
        runner->loop = loop_new(LOOP_REAL);
        r = runner_start(runner);
        if (r < 0)
            loop_free(runner->loop);
    }
    if (r < 0) {
        for (size_t i = 0; i < runner->door_count; i++)
            (void)close(runner->doors[i].fd);
        runner_free(runner);
        tunnel_dissolve(tunnel);
        return r;
    }
    *ret = tunnel;
    return 0;
}

/* ---- stop ---- */

struct tunnel *tunnel_stop(struct tunnel *tunnel)
{
    if (!tunnel)
        return NULL;
    CHECK(tunnel, TUNNEL_MAGIC);
    struct runner *runner = tunnel->runner;
    pthread_t thread = runner->thread;

    loop_post(runner->loop, order_stop, runner);
    if (runner_wait(runner)) {
        pthread_join(thread, NULL);
        runner_free(runner);
    } else {
        pthread_detach(thread);
    }
    tunnel_dissolve(tunnel);
    return NULL;
}
