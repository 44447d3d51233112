/* A set of objects found by a string they own: chained hash, nodes embedded in their owners, so that
 * putting never allocates but for the bucket array. Loop thread only. */
#pragma once

#include "base/own.h"

struct index_node {
    struct index_node *next;
    const char *key; /* borrowed from the owner; must not change while it is in */
    uint64_t hash;
};

/* Zeroed is empty. */
struct index {
    struct index_node **buckets;
    size_t room, count;
};

void index_put(struct index *index, struct index_node *node, const char *key); /* key not in yet */
struct index_node *index_find(const struct index *index, const char *key);     /* NULL: none */
void index_remove(struct index *index, struct index_node *node);
void index_done(struct index *index); /* frees the buckets; the nodes are their owners' */
