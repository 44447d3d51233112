/* String index: FNV-1a over a chained table that doubles at one node per bucket. Keys come from
 * authenticated callers and every table that uses it has its own ceiling. */
#include "gateway/session/index.h"

#include "base/mem.h"

#include <string.h>

#define INDEX_FIRST 64

static uint64_t index_hash(const char *key)
{
    uint64_t hash = 14695981039346656037u;

    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 1099511628211u;
    return hash ^ (hash >> 32);
}

static void index_grow(struct index *index)
{
    size_t room = index->room ? index->room * 2 : INDEX_FIRST;
    struct index_node **buckets = mem_array(room, sizeof(*buckets));

    for (size_t i = 0; i < index->room; i++) {
        struct index_node *next;

        for (struct index_node *node = index->buckets[i]; node; node = next) {
            next = node->next;
            node->next = buckets[node->hash & (room - 1)];
            buckets[node->hash & (room - 1)] = node;
        }
    }
    mem_free(index->buckets);
    index->buckets = buckets;
    index->room = room;
}

void index_put(struct index *index, struct index_node *node, const char *key)
{
    struct index_node **bucket;

    if (index->count >= index->room)
        index_grow(index);
    node->key = key;
    node->hash = index_hash(key);
    bucket = &index->buckets[node->hash & (index->room - 1)];
    node->next = *bucket;
    *bucket = node;
    index->count++;
}

struct index_node *index_find(const struct index *index, const char *key)
{
    uint64_t hash = index_hash(key);

    if (index->room == 0)
        return NULL;
    for (struct index_node *node = index->buckets[hash & (index->room - 1)]; node;
         node = node->next) {
        if (node->hash == hash && strcmp(node->key, key) == 0)
            return node;
    }
    return NULL;
}

void index_remove(struct index *index, struct index_node *node)
{
    struct index_node **at;

    if (index->room == 0)
        return;
    for (at = &index->buckets[node->hash & (index->room - 1)]; *at; at = &(*at)->next) {
        if (*at == node) {
            *at = node->next;
            index->count--;
            return;
        }
    }
}

void index_done(struct index *index)
{
    mem_free(index->buckets);
    *index = (struct index){0};
}
