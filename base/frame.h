/* Protocol frames as text: a pure parser. protocol.md 1.2. Both directions, so that the gateway and
 * its client share it. */
#pragma once

#include "base/json.h"

enum frame_kind { FRAME_NONE, FRAME_REQUEST, FRAME_RESPONSE, FRAME_EVENT };

/* All slices are raw JSON borrowed from the text (strings with quotes, so an id is echoed exactly). */
struct frame {
    enum frame_kind kind;
    struct json_slice id;    /* REQUEST, RESPONSE */
    struct json_slice name;  /* REQUEST: method, EVENT: event; without quotes, no escapes inside */
    struct json_slice body;  /* REQUEST: params; else payload; absent and null: at NULL */
    struct json_slice error; /* RESPONSE */
    bool ok;                 /* RESPONSE */
    int64_t seq;             /* EVENT; -1 when absent */
};

/* 0 and a frame, or -ERR_INVALID with a fault for a person; ret->id is filled when it could be read
 * even then (the answer to a malformed frame echoes it). Unknown members are ignored. Any thread. */
int frame_parse(const char *text, size_t length, struct frame *ret, struct fault *reterr_fault);

/* True when the slice spells exactly this name. */
bool frame_is(const struct frame *frame, const char *name);
