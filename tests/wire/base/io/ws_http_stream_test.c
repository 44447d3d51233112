/* Replies in parts, and clients that leave or stand still. */
#include "tests/wire/base/io/ws_http_kit.h"

T(a_reply_in_parts_arrives_as_it_is_written)
{
    start();
    int fd = say(GET_LINES);
    struct buf in;
    buf_init(&in, 1 << 20);
    rig_until(web.g, web.requests == 1);
    http_begin(web.x, 200, "text/event-stream", "x-own: 1\r\n");
    rig_until(web.g, (read_raw(fd, &in), has(&in, "\r\n\r\n")));
    t_has(in.data, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n");
    t_has(in.data, "transfer-encoding: chunked\r\nx-own: 1\r\n");
    for (int i = 0; i < 3; i++) {
        buf_clear(&in);
        t_eq(http_write(web.x, "data: part\n\n", 12), 0);
        rig_until(web.g, (read_raw(fd, &in), has(&in, "\r\n")));
        t_has(in.data, "c\r\ndata: part\n\n\r\n");
    }
    buf_clear(&in);
    end();
    rig_until(web.g, (read_raw(fd, &in), has(&in, "0\r\n\r\n")));

    /* and the connection goes on */
    t_ok(send(fd, GET_LINES, strlen(GET_LINES), MSG_NOSIGNAL) > 0);
    rig_until(web.g, web.requests == 2);
    buf_clear(&in);
    http_begin(web.x, 200, "text/plain", NULL);
    t_eq(http_write(web.x, "a", 1), 0);
    end();
    rig_until(web.g, (read_raw(fd, &in), has(&in, "1\r\na\r\n0\r\n\r\n")));
    t_eq(web.gones, 0);
    buf_done(&in);
    close(fd);
    stop();
}

T(an_old_client_gets_no_chunks)
{
    start();
    int fd = say("GET / HTTP/1.0\r\nHost: h\r\n\r\n");
    struct buf in;
    buf_init(&in, 1 << 20);
    rig_until(web.g, web.requests == 1);
    http_begin(web.x, 200, "text/plain", NULL);
    t_eq(http_write(web.x, "hello", 5), 0);
    end();
    rig_until(web.g, read_raw(fd, &in) < 0);
    t_has(in.data, "connection: close\r\n");
    t_has(in.data, "\r\n\r\nhello");
    t_ok(!has(&in, "chunked"));
    buf_done(&in);
    close(fd);
    stop();
}

T(the_owner_hears_at_once_that_the_client_left)
{
    start();
    int fd = say(GET_LINES);
    rig_until(web.g, web.requests == 1);
    close(fd);
    rig_until(web.g, web.gones == 1); /* before the reply began */

    web.end_when_gone = false;
    fd = say(GET_LINES);
    rig_until(web.g, web.requests == 2);
    http_begin(web.x, 200, "text/plain", NULL);
    t_eq(http_write(web.x, "a", 1), 0);
    for (int i = 0; i < 10; i++)
        loop_turn(web.g->loop, false);
    close(fd);
    rig_until(web.g, web.gones == 2); /* in the middle of it */
    t_eq(http_write(web.x, "b", 1), -ERR_CLOSED);
    end(); /* later: harmless */

    fd = say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    rig_until(web.g, web.heads == 3);
    web.end_when_gone = true;
    close(fd);
    rig_until(web.g, web.gones == 3); /* in the middle of the body */
    t_eq(web.requests, 2);
    stop();
}

T(a_slow_client_holds_the_writer_back)
{
    start();
    int fd = say(GET_LINES);
    struct buf in;
    char *part = mem_array(8192, 1);
    size_t written = 0;
    int r;
    buf_init(&in, 64u << 20);
    memset(part, 'z', 8192);
    rig_until(web.g, web.requests == 1);
    http_begin(web.x, 200, "text/plain", NULL);
    for (int i = 0; i < 5000; i++) {
        while ((r = http_write(web.x, part, 8192)) == 0)
            written += 8192;
        t_eq(r, -ERR_FULL);
        t_ok(http_queued(web.x) < (64u << 10) + 8192 + 100);
        loop_turn(web.g->loop, false);
    }
    size_t drains = web.drains;
    rig_until(web.g, (read_raw(fd, &in), web.drains > drains));
    end();
    rig_until(web.g, (read_raw(fd, &in),
                      in.length > 5 && memcmp(in.data + in.length - 5, "0\r\n\r\n", 5) == 0));
    t_ok(in.length > written);
    mem_free(part);
    buf_done(&in);
    close(fd);
    stop();
}

/* Nothing to send is no standstill; something to send and nobody who takes it is one. */
T(a_stream_may_pause_and_may_not_stand_still)
{
    start_with(300);
    int fd = say(GET_LINES);
    struct buf in;
    buf_init(&in, 1 << 20);
    rig_until(web.g, web.requests == 1);
    http_begin(web.x, 200, "text/plain", NULL);
    t_eq(http_write(web.x, "a", 1), 0);
    int64_t began = real_ms();
    rig_until(web.g, real_ms() - began > 900);
    t_eq(web.gones, 0);

    char *part = mem_array(60000, 1);
    while (web.gones == 0 && real_ms() - began < 9000) {
        if (web.x)
            http_write(web.x, part, 60000);
        loop_turn(web.g->loop, false);
    }
    t_eq(web.gones, 1);
    mem_free(part);
    buf_done(&in);
    close(fd);
    stop();
}

T(an_answer_that_never_begins_is_a_503_and_the_owner_hears_it)
{
    start_with(200);
    int fd = say(GET_LINES);
    struct buf in;
    buf_init(&in, 1 << 20);
    rig_until(web.g, read_raw(fd, &in) < 0);
    t_has(in.data, " 503 ");
    t_eq(web.gones, 1);
    buf_clear(&in);
    close(fd);

    fd = say(GET_LINES);
    rig_until(web.g, web.requests == 2);
    http_patience(web.x, 0);
    int64_t began = real_ms();
    rig_until(web.g, real_ms() - began > 600);
    t_eq(web.gones, 1);
    http_begin(web.x, 200, "text/plain", NULL);
    end();
    rig_until(web.g, (read_raw(fd, &in), has(&in, "0\r\n\r\n")));
    buf_done(&in);
    close(fd);
    stop();
}

T(the_head_decides_before_the_body_is_read)
{
    start();
    web.at_head = true;
    char *body = mem_array(400001, 1);
    memset(body, 'b', 400000);
    CLEAN(mem_free)
    char *text = mem_format("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 400000\r\n\r\n%s", body);
    struct buf in;
    buf_init(&in, 1 << 20);
    int fd = connect_raw();
    size_t sent = 0, length = strlen(text);
    bool replied = false;
    for (int64_t began = real_ms(); real_ms() - began < 9000 && sent < length;) {
        ssize_t n =
            send(fd, text + sent, length - sent > 4096 ? 4096 : length - sent, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        loop_turn(web.g->loop, false);
        if (web.heads && !replied) {
            CLEAN(bytes_unref) struct bytes *no = bytes_new("no", 2);
            http_reply(TAKE(web.x), 401, "text/plain", NULL, no);
            replied = true;
        }
    }
    t_eq(sent, length); /* what nobody wants is taken and thrown away: no reset eats the answer */
    rig_until(web.g, read_raw(fd, &in) < 0);
    t_has(in.data, " 401 ");
    t_has(in.data, "connection: close\r\n");
    t_has(in.data, "\r\n\r\nno");
    t_eq(web.requests, 0);
    mem_free(body);
    buf_done(&in);
    close(fd);
    stop();
}

T(the_head_may_agree_to_more)
{
    start();
    web.body_max = 100000;
    char *body = mem_array(90001, 1);
    memset(body, 'b', 90000);
    CLEAN(mem_free)
    char *text = mem_format(
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 90000\r\n\r\n");
    int fd = say(text);
    struct buf in;
    buf_init(&in, 1 << 20);
    rig_until(web.g, (read_raw(fd, &in), has(&in, "HTTP/1.1 100 Continue\r\n\r\n")));
    fcntl(fd, F_SETFL, 0);
    t_eq(send(fd, body, 90000, MSG_NOSIGNAL), 90000);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    rig_until(web.g, web.requests == 1);
    t_eq(web.body_length, 90000);
    buf_clear(&in);
    http_begin(web.x, 200, "text/plain", NULL);
    end();
    rig_until(web.g, (read_raw(fd, &in), has(&in, "0\r\n\r\n")));
    close(fd);

    buf_clear(&in);
    fd = say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100001\r\n\r\n");
    rig_until(web.g, (read_raw(fd, &in), has(&in, " 413 ")));
    t_eq(web.gones, 1);
    mem_free(body);
    buf_done(&in);
    close(fd);
    stop();
}

T(a_cut_reply_looks_cut)
{
    start();
    int fd = say(GET_LINES);
    struct buf in;
    buf_init(&in, 1 << 20);
    rig_until(web.g, web.requests == 1);
    http_begin(web.x, 200, "text/plain", NULL);
    t_eq(http_write(web.x, "half", 4), 0);
    rig_until(web.g, (read_raw(fd, &in), has(&in, "half")));
    http_cut(TAKE(web.x));
    rig_until(web.g, read_raw(fd, &in) < 0);
    t_ok(!has(&in, "0\r\n\r\n"));
    t_eq(web.gones, 0);
    buf_done(&in);
    close(fd);
    stop();
}
