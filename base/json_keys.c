/* Duplicate keys. Keys are compared as decoded: "a" and "\u0061" are the same key. */
#include "base/json_keys_internal.h"

#include "base/mem.h"

#include <string.h>
#include <unistd.h>

#define TABLE_ROOM_FIRST 64

/* The next UTF-8 byte of string contents whose escapes were checked. */
struct unescape {
    const char *at, *end;
    unsigned char held[4]; /* bytes of a decoded escape not yet given out */
    unsigned next, count;
};

static unsigned hex_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

static unsigned hex_unit(const char *at)
{
    return hex_digit(at[0]) << 12 | hex_digit(at[1]) << 8 | hex_digit(at[2]) << 4 |
           hex_digit(at[3]);
}

static void unescape_hold(struct unescape *u, unsigned code)
{
    u->next = 0;
    if (code < 0x80) {
        u->count = 1;
        u->held[0] = (unsigned char)code;
        return;
    }
    u->count = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (unsigned i = u->count - 1; i > 0; i--, code >>= 6)
        u->held[i] = (unsigned char)(0x80 | (code & 0x3f));
    u->held[0] = (unsigned char)((0xf0u << (4 - u->count)) | code);
}

static int unescape_next(struct unescape *u)
{
    static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";

    if (u->next < u->count)
        return u->held[u->next++];
    if (u->at == u->end)
        return -1;
    if (*u->at != '\\')
        return (unsigned char)*u->at++;
    char c = u->at[1];
    u->at += 2;
    if (c != 'u') {
        const char *letter = memchr(letters, c, 5);
        return letter ? meanings[letter - letters] : c;
    }
    unsigned code = hex_unit(u->at);
    u->at += 4;
    if (code >= 0xd800 && code < 0xe000) { /* the scanner saw its other half */
        code = 0x10000 + ((code - 0xd800) << 10) + (hex_unit(u->at + 2) - 0xdc00);
        u->at += 6;
    }
    unescape_hold(u, code);
    return u->held[u->next++];
}

static bool has_escape(struct json_slice s)
{
    return memchr(s.at, '\\', s.length) != NULL;
}

bool json_key_equal(struct json_slice a, struct json_slice b)
{
    if (a.length == b.length && memcmp(a.at, b.at, a.length) == 0)
        return true;
    if (!has_escape(a) && !has_escape(b))
        return false;
    struct unescape ua = {.at = a.at, .end = a.at + a.length};
    struct unescape ub = {.at = b.at, .end = b.at + b.length};
    int ca, cb;
    do {
        ca = unescape_next(&ua);
        cb = unescape_next(&ub);
    } while (ca == cb && ca >= 0);
    return ca == cb;
}

static uint64_t fold(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t key_hash(const struct json_key_table *table, uint32_t object, struct json_slice key)
{
    struct unescape u = {.at = key.at, .end = key.at + key.length};
    uint64_t hash = table->secret[0] ^ object, word = 0;
    unsigned held = 0;
    int c;

    while ((c = unescape_next(&u)) >= 0) {
        word = word << 8 | (unsigned)c;
        if (++held == 8) {
            hash = fold(hash ^ word, table->secret[1]);
            word = held = 0;
        }
    }
    return fold(hash ^ word, table->secret[1] ^ held);
}

static struct json_key_slot *table_slot(const struct json_key_table *table, uint32_t object,
                                        uint64_t hash, struct json_slice key)
{
    size_t at = hash & (table->room - 1);

    for (;; at = (at + 1) & (table->room - 1)) {
        struct json_key_slot *slot = &table->slots[at];
        if (slot->object == 0)
            return slot;
        if (slot->hash == hash && slot->object == object && json_key_equal(slot->key, key))
            return slot;
    }
}

static void table_enlarge(struct json_key_table *table)
{
    struct json_key_table old = *table;

    if (old.room == 0 && getentropy(table->secret, sizeof(table->secret)) != 0)
        table->secret[0] = (uint64_t)(uintptr_t)&old; /* no kernel entropy: ASLR's will do */
    table->secret[1] |= 1;
    table->room = old.room ? old.room * 2 : TABLE_ROOM_FIRST;
    table->slots = mem_array(table->room, sizeof(*table->slots));
    for (size_t i = 0; i < old.room; i++) {
        const struct json_key_slot *slot = &old.slots[i];
        if (slot->object)
            *table_slot(table, slot->object, slot->hash, slot->key) = *slot;
    }
    mem_free(old.slots);
}

static bool table_add(struct json_key_table *table, uint32_t object, struct json_slice key)
{
    if (table->used >= table->room / 2)
        table_enlarge(table);
    uint64_t hash = key_hash(table, object, key);
    struct json_key_slot *slot = table_slot(table, object, hash, key);
    if (slot->object)
        return false;
    *slot = (struct json_key_slot){.key = key, .hash = hash, .object = object};
    table->used++;
    return true;
}

static bool keys_hold(const struct json_keys *keys, struct json_slice key)
{
    for (unsigned i = 0; i < keys->count; i++) {
        struct json_slice other = keys->few[i];
        if (keys->escaped ? json_key_equal(other, key)
                          : other.length == key.length && memcmp(other.at, key.at, key.length) == 0)
            return true;
    }
    return false;
}

bool json_keys_add(struct json_keys *keys, struct json_key_table *table, struct json_slice key,
                   bool escaped)
{
    if (keys->object)
        return table_add(table, keys->object, key);
    keys->escaped |= escaped;
    if (keys_hold(keys, key))
        return false;
    if (keys->count < JSON_KEYS_FEW) {
        keys->few[keys->count++] = key;
        return true;
    }
    keys->object = ++table->objects;
    for (unsigned i = 0; i < keys->count; i++)
        table_add(table, keys->object, keys->few[i]);
    return table_add(table, keys->object, key);
}

void json_key_table_done(struct json_key_table *table)
{
    table->slots = mem_free(table->slots);
}
