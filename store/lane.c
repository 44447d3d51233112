/* The path of a job: lane_push (loop) -> handed over at the end of the turn, all of a turn under one
 * lock -> run in groups (thread) -> one post for however many are done -> finish (loop).
 *
 * The post may still be on its way when the lane is stopped, so what it carries is a little object of
 * its own that then no longer knows the lane. */
#include "store/lane.h"

#include "base/mem.h"

struct lane_post {
    struct lane *lane; /* NULL: the lane is gone, the post frees this */
};

/* ---- the thread ---- */

static struct job *lane_take_group(struct lane *lane)
{
    struct job *first = lane->queue, **tail = &lane->queue;

    for (size_t n = 0; *tail && n < lane->group_max; n++)
        tail = &(*tail)->next;
    if (tail == &lane->queue)
        return NULL;

    lane->queue = *tail;
    if (!lane->queue)
        lane->queue_tail = &lane->queue;
    *tail = NULL;
    return first;
}

static void lane_deliver(void *arg);

/* Under lock. */
static void lane_give_back(struct lane *lane, struct job *jobs)
{
    *lane->done_tail = jobs;
    while (*lane->done_tail)
        lane->done_tail = &(*lane->done_tail)->next;
    if (lane->posted || lane->stopping)
        return;
    lane->posted = true;
    loop_post(lane->loop, lane_deliver, lane->post);
}

static void *lane_thread(void *arg)
{
    struct lane *lane = arg;
    bool more = lane->eager;

    pthread_mutex_lock(&lane->lock);
    for (;;) {
        while (!lane->queue && !more && !lane->stopping) {
            lane->running = false;
            pthread_cond_wait(&lane->wake, &lane->lock);
        }
        if (!lane->queue && lane->stopping)
            break;

        struct job *jobs = lane_take_group(lane);
        lane->running = true;
        lane->busy = jobs != NULL;
        pthread_mutex_unlock(&lane->lock);
        more = lane->run(lane->arg, jobs);
        pthread_mutex_lock(&lane->lock);
        lane->busy = false;
        lane_give_back(lane, jobs);
        if (!lane->queue)
            pthread_cond_broadcast(&lane->idle);
    }
    lane->running = false;
    pthread_mutex_unlock(&lane->lock);
    return NULL;
}

/* ---- the loop ---- */

int lane_start(struct lane *lane, const char *thread_name)
{
    lane->fresh_tail = &lane->fresh;
    lane->queue_tail = &lane->queue;
    lane->done_tail = &lane->done;
    lane->post = NEW(struct lane_post);
    lane->post->lane = lane;
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->wake, NULL);
    pthread_cond_init(&lane->idle, NULL);
    if (pthread_create(&lane->thread, NULL, lane_thread, lane) != 0)
        return -ERR_NO_MEMORY;
    lane->started = true;
    pthread_setname_np(lane->thread, thread_name);
    return 0;
}

static void lane_hand_over(void *arg)
{
    struct lane *lane = arg;

    if (!lane->fresh)
        return;
    pthread_mutex_lock(&lane->lock);
    bool waiting = !lane->running;
    *lane->queue_tail = lane->fresh;
    lane->queue_tail = lane->fresh_tail;
    lane->fresh = NULL;
    lane->fresh_tail = &lane->fresh;
    if (waiting)
        pthread_cond_signal(&lane->wake);
    pthread_mutex_unlock(&lane->lock);
}

int lane_push(struct lane *lane, struct job *job)
{
    if (!lane->post || lane->stopping)
        return -ERR_CLOSED;
    if (lane->jobs >= lane->jobs_max ||
        (lane->jobs > 0 && lane->bytes + job->bytes > lane->bytes_max))
        return -ERR_BUSY;

    lane->jobs++;
    lane->bytes += job->bytes;
    job->next = NULL;
    *lane->fresh_tail = job;
    lane->fresh_tail = &job->next;
    defer_start(lane->loop, &lane->handover, lane_hand_over, lane);
    return 0;
}

static void lane_finish_done(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    struct job *job = TAKE(lane->done);
    lane->done_tail = &lane->done;
    lane->posted = false;
    pthread_mutex_unlock(&lane->lock);

    while (job) {
        struct job *next = job->next;
        lane->jobs--;
        lane->bytes -= job->bytes;
        lane->finish(lane->arg, job);
        job = next;
    }
    if (lane->after)
        lane->after(lane->arg);
}

static void lane_deliver(void *arg)
{
    struct lane_post *post = arg;

    if (post->lane)
        lane_finish_done(post->lane);
    else
        mem_free(post);
}

void lane_settle(struct lane *lane)
{
    lane_hand_over(lane);
    pthread_mutex_lock(&lane->lock);
    while (lane->queue || lane->busy)
        pthread_cond_wait(&lane->idle, &lane->lock);
    pthread_mutex_unlock(&lane->lock);
}

void lane_stop(struct lane *lane)
{
    if (!lane->post)
        return;
    defer_stop(lane->loop, &lane->handover);
    if (lane->started) {
        lane_hand_over(lane);
        pthread_mutex_lock(&lane->lock);
        lane->stopping = true;
        pthread_cond_signal(&lane->wake);
        pthread_mutex_unlock(&lane->lock);
        pthread_join(lane->thread, NULL);
    }

    bool posted = lane->posted;
    lane_finish_done(lane);
    if (posted)
        lane->post->lane = NULL;
    else
        mem_free(lane->post);
    lane->post = NULL;
    pthread_mutex_destroy(&lane->lock);
    pthread_cond_destroy(&lane->wake);
    pthread_cond_destroy(&lane->idle);
}
