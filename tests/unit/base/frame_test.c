/* Frames: both directions, what is borrowed, what is refused in the reference's words. */
#include "tests/t.h"

#include "base/frame.h"

static bool is(struct json_slice s, const char *text)
{
    return s.at && s.length == strlen(text) && memcmp(s.at, text, s.length) == 0;
}

static int parse(const char *text, struct frame *frame, struct fault *fault)
{
    return frame_parse(text, strlen(text), frame, fault);
}

T(request)
{
    struct frame f;

    t_eq(parse("{\"type\":\"req\",\"id\":\"1:\\u0061\",\"method\":\"chat.send\",\"params\":{\"a\":["
               "1]},"
               "\"traceparent\":\"x\"}",
               &f, NULL),
         0);
    t_eq(f.kind, FRAME_REQUEST);
    t_ok(is(f.id, "\"1:\\u0061\"")); /* as sent, for the echo */
    t_ok(frame_is(&f, "chat.send"));
    t_ok(!frame_is(&f, "chat.sen"));
    t_ok(!frame_is(&f, "chat.send2"));
    t_ok(is(f.body, "{\"a\":[1]}"));
    t_ok(f.error.at == NULL);
    t_eq(f.seq, -1);
}

T(request_without_params)
{
    struct frame f;

    t_eq(parse("{\"type\":\"req\",\"id\":\"1\",\"method\":\"health\"}", &f, NULL), 0);
    t_ok(f.body.at == NULL);
    t_eq(parse("{\"type\":\"req\",\"id\":\"1\",\"method\":\"health\",\"params\":null}", &f, NULL),
         0);
    t_ok(f.body.at == NULL);
    t_eq(
        parse("{\"params\":0,\"method\":\"health\",\"id\":\"1\",\"type\":\"r\\u0065q\"}", &f, NULL),
        -ERR_INVALID);
}

T(response)
{
    struct frame f;

    t_eq(parse("{\"type\":\"res\",\"id\":\"9\",\"ok\":true,\"payload\":[]}", &f, NULL), 0);
    t_eq(f.kind, FRAME_RESPONSE);
    t_ok(f.ok);
    t_ok(is(f.body, "[]"));
    t_eq(parse("{\"type\":\"res\",\"id\":\"9\",\"ok\":false,\"error\":{\"code\":\"X\"}}", &f, NULL),
         0);
    t_ok(!f.ok);
    t_ok(f.body.at == NULL);
    t_ok(is(f.error, "{\"code\":\"X\"}"));
}

T(event)
{
    struct frame f;

    t_eq(parse("{\"type\":\"event\",\"event\":\"tick\",\"seq\":41,\"payload\":{\"ts\":1}}", &f,
               NULL),
         0);
    t_eq(f.kind, FRAME_EVENT);
    t_ok(frame_is(&f, "tick"));
    t_eq(f.seq, 41);
    t_ok(is(f.body, "{\"ts\":1}"));
    t_eq(parse("{\"type\":\"event\",\"event\":\"connect.challenge\"}", &f, NULL), 0);
    t_eq(f.seq, -1);
}

static void refuses(int line, const char *text, const char *why, const char *id)
{
    struct fault fault = {.text = ""};
    struct frame f;

    int r = parse(text, &f, &fault);
    t_eq_(__FILE__, line, text, "refused", r, fault.code);
    t_ok(r == -ERR_INVALID || r == -ERR_UNSUPPORTED);
    t_str_(__FILE__, line, text, fault.text, why);
    if (id ? !is(f.id, id) : f.id.at != NULL)
        t_fail(__FILE__, line, "%s: the id is %.*s, expected %s", text, (int)f.id.length, f.id.at,
               id ? id : "none");
}

T(refused)
{
    refuses(__LINE__, "[]", "expected an object (byte 0)", NULL);
    refuses(__LINE__, "{}", "must have required property 'type'", NULL);
    refuses(__LINE__, "{\"type\":\"nope\",\"id\":\"1\"}",
            "at /type: must be equal to one of the allowed values", "\"1\"");
    refuses(__LINE__, "{\"type\":\"req\"}", "must have required property 'id'", NULL);
    refuses(__LINE__, "{\"type\":\"req\",\"id\":7}", "at /id: must be string", NULL);
    refuses(__LINE__, "{\"type\":\"req\",\"id\":\"\"}",
            "at /id: must NOT have fewer than 1 characters", "\"\"");
    refuses(__LINE__, "{\"type\":\"req\",\"id\":\"1\"}", "must have required property 'method'",
            "\"1\"");
    refuses(__LINE__, "{\"type\":\"req\",\"id\":\"1\",\"method\":{}}", "at /method: must be string",
            "\"1\"");
    refuses(__LINE__, "{\"type\":\"req\",\"id\":\"1\",\"method\":\"\\u0061\"}",
            "at /method: must not hold escapes", "\"1\"");
    refuses(__LINE__, "{\"type\":\"res\",\"id\":\"1\"}", "must have required property 'ok'",
            "\"1\"");
    refuses(__LINE__, "{\"type\":\"res\",\"id\":\"1\",\"ok\":1}", "at /ok: must be boolean",
            "\"1\"");
    refuses(__LINE__, "{\"type\":\"event\"}", "must have required property 'event'", NULL);
    refuses(__LINE__, "{\"type\":\"event\",\"event\":\"e\",\"seq\":-1}", "at /seq: must be >= 0",
            NULL);
    refuses(__LINE__, "{\"type\":\"event\",\"event\":\"e\",\"seq\":1.5}",
            "at /seq: must be integer", NULL);
    refuses(__LINE__, "{\"type\":\"event\",\"event\":\"e\",\"seq\":90071888888888888888888888.5e5}",
            "at /seq: must be integer", NULL);
    /* Bad JSON after a good id: the id is still there for the answer. */
    refuses(__LINE__, "{\"type\":\"req\",\"id\":\"1\",\"id\":\"2\"}",
            "the same key twice in one object (byte 23)", "\"1\"");
    refuses(__LINE__, "{\"id\":\"1\",", "the text ends too early (byte 10)", "\"1\"");
    refuses(__LINE__, "", "expected an object (byte 0)", NULL);
}

/* The text is not NUL-terminated on the wire: the sanitizer watches the byte behind it. */
T(reads_only_its_length)
{
    static const char text[] = {'{', '"', 't', 'y', 'p', 'e', '"', ':', '"', 'e', 'v', 'e', 'n',
                                't', '"', ',', '"', 'e', 'v', 'e', 'n', 't', '"', ':', '"', 'x',
                                '"', ',', '"', 's', 'e', 'q', '"', ':', '1', '2', '}'};
    struct frame f;

    t_eq(frame_parse(text, sizeof(text), &f, NULL), 0);
    t_eq(f.seq, 12);
    for (size_t i = 0; i < sizeof(text); i++)
        t_eq(frame_parse(text, i, &f, NULL), -ERR_INVALID);
}
