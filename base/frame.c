/* Frames: one scan picks the members out, then each kind checks its own. Nothing is copied. The words of
 * a fault are the reference validator's (protocol.md 2.5). */
#include "base/frame.h"

#include <string.h>

enum { M_TYPE, M_ID, M_METHOD, M_PARAMS, M_OK, M_PAYLOAD, M_ERROR, M_EVENT, M_SEQ, M_COUNT };

static const char *const frame_members[M_COUNT + 1] = {
    [M_TYPE] = "type",     [M_ID] = "id",       [M_METHOD] = "method",
    [M_PARAMS] = "params", [M_OK] = "ok",       [M_PAYLOAD] = "payload",
    [M_ERROR] = "error",   [M_EVENT] = "event", [M_SEQ] = "seq",
};

static bool slice_is(struct json_slice s, const char *text)
{
    return s.at && s.length == strlen(text) && memcmp(s.at, text, s.length) == 0;
}

static bool is_string(struct json_slice s)
{
    return s.at && *s.at == '"';
}

/* A member that must be a string of at least one byte. */
static int require_string(const struct json_slice *m, int which, struct fault *fault)
{
    const char *key = frame_members[which];

    if (!m[which].at)
        return fault_set(fault, -ERR_INVALID, "must have required property '%s'", key);
    if (!is_string(m[which]))
        return fault_set(fault, -ERR_INVALID, "at /%s: must be string", key);
    if (m[which].length == 2)
        return fault_set(fault, -ERR_INVALID, "at /%s: must NOT have fewer than 1 characters", key);
    return 0;
}

/* A method's or event's name without its quotes. */
static int take_name(const struct json_slice *m, int which, struct json_slice *ret,
                     struct fault *fault)
{
    int r = require_string(m, which, fault);

    if (r < 0)
        return r;
    struct json_slice name = {m[which].at + 1, m[which].length - 2};
    if (memchr(name.at, '\\', name.length))
        return fault_set(fault, -ERR_INVALID, "at /%s: must not hold escapes",
                         frame_members[which]);
    *ret = name;
    return 0;
}

static struct json_slice body_of(struct json_slice s)
{
    return slice_is(s, "null") ? (struct json_slice){NULL, 0} : s;
}

static int parse_request(const struct json_slice *m, struct frame *f, struct fault *fault)
{
    int r = require_string(m, M_ID, fault);

    if (r == 0)
        r = take_name(m, M_METHOD, &f->name, fault);
    f->body = body_of(m[M_PARAMS]);
    return r;
}

static int parse_response(const struct json_slice *m, struct frame *f, struct fault *fault)
{
    int r = require_string(m, M_ID, fault);

    if (r < 0)
        return r;
    f->ok = slice_is(m[M_OK], "true");
    if (!m[M_OK].at)
        return fault_set(fault, -ERR_INVALID, "must have required property 'ok'");
    if (!f->ok && !slice_is(m[M_OK], "false"))
        return fault_set(fault, -ERR_INVALID, "at /ok: must be boolean");
    f->body = body_of(m[M_PAYLOAD]);
    f->error = body_of(m[M_ERROR]);
    return 0;
}

/* Digits only: 1.0 and 1e1 are integers too, but no gateway writes a sequence number so. */
static int parse_seq(struct json_slice s, int64_t *ret, struct fault *fault)
{
    int64_t seq = 0;

    if (*s.at == '-')
        return fault_set(fault, -ERR_INVALID, "at /seq: must be >= 0");
    for (size_t i = 0; i < s.length; i++) {
        /* 2^53 has 16 digits; a longer number that passed the scanner has a point or an exponent. */
        if (s.at[i] < '0' || s.at[i] > '9' || s.length > 16)
            return fault_set(fault, -ERR_INVALID, "at /seq: must be integer");
        seq = seq * 10 + (s.at[i] - '0');
    }
    *ret = seq;
    return 0;
}

static int parse_event(const struct json_slice *m, struct frame *f, struct fault *fault)
{
    int r = take_name(m, M_EVENT, &f->name, fault);

    if (r < 0)
        return r;
    f->body = body_of(m[M_PAYLOAD]);
    return m[M_SEQ].at ? parse_seq(m[M_SEQ], &f->seq, fault) : 0;
}

int frame_parse(const char *text, size_t length, struct frame *ret, struct fault *reterr_fault)
{
    LATER struct json_slice m[M_COUNT];

    *ret = (struct frame){.seq = -1};
    int r = json_scan_members(text, length, frame_members, m, reterr_fault);
    if (is_string(m[M_ID]))
        ret->id = m[M_ID];
    if (r < 0)
        return r;
    if (slice_is(m[M_TYPE], "\"req\"")) {
        ret->kind = FRAME_REQUEST;
        return parse_request(m, ret, reterr_fault);
    }
    if (slice_is(m[M_TYPE], "\"res\"")) {
        ret->kind = FRAME_RESPONSE;
        return parse_response(m, ret, reterr_fault);
    }
    if (slice_is(m[M_TYPE], "\"event\"")) {
        ret->kind = FRAME_EVENT;
        return parse_event(m, ret, reterr_fault);
    }
    return fault_set(reterr_fault, -ERR_INVALID,
                     m[M_TYPE].at ? "at /type: must be equal to one of the allowed values"
                                  : "must have required property 'type'");
}

bool frame_is(const struct frame *frame, const char *name)
{
    return slice_is(frame->name, name);
}
