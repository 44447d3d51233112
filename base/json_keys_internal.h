/* The keys of one scan: tells when an object holds the same key twice. Few keys are compared with one
 * another; more go to a hash table that is keyed per scan, so nobody can choose collisions. */
#pragma once

#include "base/json_internal.h"

#define JSON_KEYS_FEW 8

struct json_key_slot {
    struct json_slice key; /* between the quotes, escapes as written */
    uint64_t hash;
    uint32_t object; /* number of the object in its scan, from 1; 0: free slot */
};

/* Shared by all objects of a scan. Zeroed is empty; allocates with the first big object. */
struct json_key_table {
    struct json_key_slot *slots;
    size_t room, used; /* room is a power of two */
    uint32_t objects;  /* numbers given out */
    uint64_t secret[2];
};

/* One object's keys; lives on the scanner's stack. */
struct json_keys {
    uint32_t object; /* 0 until it outgrew few */
    uint16_t count;
    bool escaped; /* some key here is written with an escape */
    struct json_slice few[JSON_KEYS_FEW];
};

static inline void json_keys_init(struct json_keys *keys)
{
    keys->object = 0;
    keys->count = 0;
    keys->escaped = false;
}

/* False when the object has this key already. escaped: the key is written with an escape. */
bool json_keys_add(struct json_keys *keys, struct json_key_table *table, struct json_slice key,
                   bool escaped);
void json_key_table_done(struct json_key_table *table);

/* Equal as decoded text; both are checked string contents without their quotes. */
bool json_key_equal(struct json_slice a, struct json_slice b);
