/* System events: short notes for the main session's agent (`system-event`, `wake`), read with its next
 * turn. At most 20; one more drops the oldest. Equal to the newest: not queued again. */
#pragma once

#include "base/json.h"

struct gateway;
struct system_queue;

#define SYSTEM_QUEUE_MAX 20

struct system_queue *system_queue_new(void) MUSTCHECK;
struct system_queue *system_queue_free(struct system_queue *queue);
void system_queue_push(struct gateway *gw, const char *text);
/* All notes as one text, a line each, the queue emptied; NULL when there is none. Caller owns. */
char *system_queue_take(struct gateway *gw) MUSTCHECK;
void system_queue_write(struct gateway *gw, struct json_writer *w); /* the array of texts */
