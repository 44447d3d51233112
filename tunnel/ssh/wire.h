/* Reading what SSH writes (RFC 4251 section 5): numbers are big-endian, a string is its length and its bytes. One
 * bounded reader does all the arithmetic; what does not fit makes it bad, checked once at the end. Pure. */
#pragma once

#include "base/own.h"

#include <string.h>

struct wire {
    const uint8_t *at, *end;
    bool bad;
};
struct wire_text {
    const uint8_t *data; /* borrowed */
    size_t length;
};

static inline struct wire wire_of(const void *data, size_t length)
{
    const uint8_t *bytes = data;

    return (struct wire){.at = bytes, .end = bytes + length};
}

static inline size_t wire_left(const struct wire *wire)
{
    return (size_t)(wire->end - wire->at);
}

static inline uint8_t wire_u8(struct wire *wire)
{
    if (wire->bad || wire_left(wire) < 1) {
        wire->bad = true;
        return 0;
    }
    return *wire->at++;
}

static inline uint32_t wire_u32(struct wire *wire)
{
    uint32_t value = 0;

    if (wire->bad || wire_left(wire) < 4) {
        wire->bad = true;
        return 0;
    }
    for (int i = 0; i < 4; i++)
        value = value << 8 | *wire->at++;
    return value;
}

static inline struct wire_text wire_string(struct wire *wire)
{
    uint32_t length = wire_u32(wire);
    struct wire_text text = {wire->at, length};

    if (wire->bad || wire_left(wire) < length) {
        wire->bad = true;
        return (struct wire_text){(const uint8_t *)"", 0};
    }
    wire->at += length;
    return text;
}

static inline bool wire_is(struct wire_text text, const char *word)
{
    return text.length == strlen(word) && memcmp(text.data, word, text.length) == 0;
}

static inline void wire_put_u32(uint8_t out[4], size_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* The type that a public key's bytes begin with, into out; false when it is none. */
static inline bool wire_key_type(const void *blob, size_t length, char out[64])
{
    struct wire wire = wire_of(blob, length);
    struct wire_text type = wire_string(&wire);

    out[0] = '\0';
    if (wire.bad || type.length == 0 || type.length > 63 || wire_left(&wire) == 0)
        return false;
    for (size_t i = 0; i < type.length; i++)
        if (type.data[i] <= ' ' || type.data[i] > '~' || type.data[i] == ',')
            return false;
    memcpy(out, type.data, type.length);
    out[type.length] = '\0';
    return true;
}
