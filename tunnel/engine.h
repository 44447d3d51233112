/* Everything that lives on the tunnel's thread, tied together: link, bulk, way, forward, publish, wake; and the status
 * that they make up. Tunnel thread only. */
#pragma once

#include "tunnel/forward.h"

struct engine;
struct engine_config {
    struct loop *loop;
    const struct tunnel_options *options; /* borrowed; its callbacks are not used */
    const struct forward_door *doors;     /* as options->listen that could be bound; taken */
    size_t door_count;
    struct board *board; /* initialised with the local endpoints */
    const struct tunnel_status *first;
    void *arg;
    void (*changed)(void *arg);
    void (*notice)(void *arg, const char *text);
    void (*ask)(void *arg, struct tunnel_question *question); /* NULL: nobody */
};
struct engine *engine_new(const struct engine_config *config) MUSTCHECK;
struct engine *engine_free(struct engine *engine); /* questions not answered are answered: nobody */

void engine_nudge(struct engine *engine);
void engine_answer(struct engine *engine, struct tunnel_question *question, const char *answer);
