/* Finds Ollama on this machine: whether it answers, and with which models. Looked for a moment after the
 * start, then at a slow pace, and when somebody wants the list. While nobody listens there it costs one
 * refused connect on a plain socket; libcurl is woken only by a server. providers.md 8.4. Loop thread. */
#pragma once

#include "gateway/model/catalog.h"
#include "gateway/model/model.h"

#define DISCOVER_MODELS_MAX 64
#define DISCOVER_FIRST_MS   250
#define DISCOVER_EVERY_MS   60000
#define DISCOVER_STALE_MS   10000 /* models.list looks again when the last look is older */

struct discovery;

struct found_model {
    char *id, *digest;
    struct model_facts facts;
};

/* changed: what discovery_models tells is another list now; from the loop, never from inside. */
struct discovery *discovery_new(struct gateway *gw, void (*changed)(void *arg), void *arg)
    MUSTCHECK;
struct discovery *discovery_free(struct discovery *discovery); /* NULL ok; returns NULL */

/* Where to look from now on, with which key (NULL: none); url NULL: nowhere. */
void discovery_point(struct discovery *discovery, const char *url, const char *key);
/* Looks again when the last look is stale. */
void discovery_look(struct discovery *discovery);
/* Looks now; the op ends when it is known, at most some seconds later. */
void discovery_refresh(struct discovery *discovery, struct models_refresh *refresh);

/* What is there: NULL while it does not answer. Borrowed until the loop turns. */
const struct found_model *discovery_models(const struct discovery *discovery, size_t *ret_count);
bool discovery_answers(const struct discovery *discovery);

/* Where Ollama is when the configuration does not say: OLLAMA_HOST as its own tools read it (host, host:port or
 * URL; "0.0.0.0" is this machine), else its usual address. Caller owns. */
char *discovery_usual_url(void) MUSTCHECK;
