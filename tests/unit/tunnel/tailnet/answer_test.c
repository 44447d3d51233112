/* What is an HTTP/1.1 answer and what is not. */
#include "tests/t.h"
#include "tunnel/tailnet/answer.h"

struct seen {
    struct answer answer;
    struct buf body;
    struct fault fault;
};

static int on_body(void *arg, const char *data, size_t length)
{
    struct seen *seen = arg;
    buf_add(&seen->body, data, length);
    return 0;
}

static void begin(struct seen *seen)
{
    *seen = (struct seen){0};
    buf_init(&seen->body, 1u << 20);
    answer_init(&seen->answer, on_body, seen);
}

static void end(struct seen *seen)
{
    answer_done(&seen->answer);
    buf_done(&seen->body);
}

static ssize_t feed(struct seen *seen, const char *text)
{
    begin(seen);
    return answer_feed(&seen->answer, text, strlen(text), &seen->fault);
}

T(length_ends_a_body_and_what_follows_is_left)
{
    struct seen s;

    t_eq(feed(&s, "HTTP/1.1 200 OK\r\nETag:  abc \r\nContent-type: a/b\r\ncontent-LENGTH: "
                  "4\r\n\r\nnullrest"),
         strlen("HTTP/1.1 200 OK\r\nETag:  abc \r\nContent-type: a/b\r\ncontent-LENGTH: "
                "4\r\n\r\nnull"));
    t_ok(answer_over(&s.answer));
    t_eq(s.answer.head.status, 200);
    t_str(s.answer.head.etag, "abc");
    t_str(s.answer.head.type, "a/b");
    t_str(s.body.data, "null");
    end(&s);
}

T(chunks_are_joined)
{
    struct seen s;

    (void)feed(&s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\nC\r\n, "
                   "all of you\r\n"
                   "0\r\nA: b\r\n\r\n");
    t_ok(answer_over(&s.answer));
    t_str(s.body.data, "hello, all of you");
    end(&s);
}

T(a_body_without_a_length_ends_with_the_connection)
{
    struct seen s;

    (void)feed(&s, "HTTP/1.0 200 OK\r\n\r\nall there is");
    t_ok(!answer_over(&s.answer));
    t_eq(answer_finish(&s.answer, &s.fault), 0);
    t_str(s.body.data, "all there is");
    end(&s);
    (void)feed(&s, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nno");
    t_eq(answer_finish(&s.answer, &s.fault), -ERR_CLOSED);
    t_has(s.fault.text, "in the middle");
    end(&s);
    (void)feed(&s, "");
    t_eq(answer_finish(&s.answer, &s.fault), -ERR_CLOSED);
    t_has(s.fault.text, "without an answer");
    end(&s);
}

T(an_upgrade_leaves_the_rest_alone)
{
    struct seen s;
    const char *text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 X\r\nUpgrade: "
                       "ts-dial\r\nContent-Length: 9\r\n\r\nSSH";

    t_eq(feed(&s, text), strlen(text) - 3);
    t_ok(answer_over(&s.answer) && answer_upgraded(&s.answer));
    t_str(s.answer.head.upgrade, "ts-dial");
    t_eq(s.body.length, 0);
    end(&s);
}

T(what_is_no_answer_is_refused)
{
    static const char *const wrong[] = {
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/2 200 OK\r\n",
        "HTTP/1.1 999 OK\r\n",
        "HTTP/1.1 200 OK\nA: b\n\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\x01\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000000000000\r\n",
        "HTTP/1.1 200 OK\r\nETag: a\r\nETag: b\r\n\r\n",
    };
    struct seen s;

    for (size_t i = 0; i < COUNT(wrong); i++) {
        if (feed(&s, wrong[i]) != -ERR_CORRUPT)
            t_fail(__FILE__, __LINE__, "taken: %s", wrong[i]);
        end(&s);
    }
}

T(heads_and_interim_answers_have_a_ceiling)
{
    struct seen s;
    struct buf text;
    ssize_t n = 0;

    buf_init(&text, 1u << 20);
    buf_add_str(&text, "HTTP/1.1 200 OK\r\n");
    while (text.length < ANSWER_HEAD_MAX + 1)
        buf_add_str(&text, "A: some value that is of no use\r\n");
    t_eq(feed(&s, text.data), -ERR_CORRUPT);
    end(&s);
    begin(&s);
    for (int i = 0; i <= ANSWER_INTERIM_MAX && n >= 0; i++)
        n = answer_feed(&s.answer, "HTTP/1.1 103 Hints\r\n\r\n", 22, &s.fault);
    t_eq(n, -ERR_CORRUPT);
    end(&s);
    buf_done(&text);
}
