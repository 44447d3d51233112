/* A short ring of notes, oldest first. */
#include "gateway/event/system_queue.h"

#include "base/mem.h"
#include "gateway/gateway.h"

#include <string.h>

#define SYSTEM_TEXT_MAX 20000 /* bytes of all notes handed over at once */

struct system_queue {
    char *texts[SYSTEM_QUEUE_MAX];
    size_t count;
};

struct system_queue *system_queue_new(void)
{
    return NEW(struct system_queue);
}

static void drop_first(struct system_queue *queue)
{
    mem_free(queue->texts[0]);
    queue->count--;
    memmove(&queue->texts[0], &queue->texts[1], queue->count * sizeof(queue->texts[0]));
}

struct system_queue *system_queue_free(struct system_queue *queue)
{
    if (!queue)
        return NULL;
    while (queue->count > 0)
        drop_first(queue);
    return mem_free(queue);
}

void system_queue_push(struct gateway *gw, const char *text)
{
    struct system_queue *queue = gw->system_queue;

    if (queue->count > 0 && strcmp(queue->texts[queue->count - 1], text) == 0)
        return;
    if (queue->count == SYSTEM_QUEUE_MAX)
        drop_first(queue);
    queue->texts[queue->count++] = mem_string(text);
}

char *system_queue_take(struct gateway *gw)
{
    struct system_queue *queue = gw->system_queue;
    struct buf b;

    if (queue->count == 0)
        return NULL;
    buf_init(&b, SYSTEM_TEXT_MAX);
    while (queue->count > 0) {
        if (b.length + strlen(queue->texts[0]) + 2 <= SYSTEM_TEXT_MAX)
            buf_addf(&b, "%s%s", b.length ? "\n" : "", queue->texts[0]);
        drop_first(queue);
    }
    char *all = buf_take(&b);
    buf_done(&b);
    return all;
}

void system_queue_write(struct gateway *gw, struct json_writer *w)
{
    jw_array(w);
    for (size_t i = 0; i < gw->system_queue->count; i++)
        jw_str(w, gw->system_queue->texts[i]);
    jw_array_end(w);
}
