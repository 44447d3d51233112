/* Many bytes over one session: exact in both directions while keys are exchanged anew every megabyte, several streams at
 * once, and one that nobody reads does not stop the others. */
#include "tests/wire/tunnel/ssh_kit.h"

#define MANY (16u << 20)

static void pattern(char *to, size_t length, unsigned seed)
{
    uint32_t x = seed * 2654435761u + 1;

    for (size_t i = 0; i < length; i++) {
        x = x * 1664525u + 1013904223u;
        to[i] = (char)(x >> 24);
    }
}

static struct stream *stream_echo(struct kit *k, const struct echo *echo)
{
    struct stream *s = stream_start(k, (struct ssh_channel_spec){.kind = SSH_TCP,
                                                                 .host = "127.0.0.1",
                                                                 .port = echo->port,
                                                                 .window = SSH_WINDOW_BULK});

    KIT_UNTIL(k, s->opened != 1);
    t_eq(s->opened, 0);
    return s;
}

T(exact_both_ways_while_keys_change)
{
    struct kit *k = kit_new("RekeyLimit 1M\n");
    struct echo *echo = echo_new(k->loop, NULL);
    char *sent = mem_new(MANY);
    struct stream *s;
    struct ssh_facts facts;

    pattern(sent, MANY, 1);
    t_eq(kit_open(k), 0);
    s = stream_echo(k, echo);
    stream_write(s, sent, MANY);
    KIT_UNTIL(k, s->data.length == MANY || s->closed);
    t_eq(s->data.length, MANY);
    t_ok(s->data.length == MANY && memcmp(s->data.data, sent, MANY) == 0);
    ssh_facts(k->ssh, &facts);
    t_ok(facts.bytes_out > MANY && facts.bytes_in > MANY);
    t_ok(!k->lost);
    stream_free(s);
    echo_free(echo);
    mem_free(sent);
    kit_free(k);
}

#define SEVERAL 6
#define EACH    (1u << 20)

T(several_streams_at_once_and_one_that_nobody_reads)
{
    struct kit *k = kit_new("RekeyLimit 1M\n");
    struct echo *echo = echo_new(k->loop, NULL);
    struct stream *paused, *s[SEVERAL];
    char *sent[SEVERAL];
    size_t at[SEVERAL] = {0};
    bool more = true;

    t_eq(kit_open(k), 0);
    paused = stream_exec(k, "head -c 4000000 /dev/zero");
    paused->take = 0;
    KIT_UNTIL(k, paused->opened == 0);
    for (unsigned i = 0; i < SEVERAL; i++) {
        sent[i] = mem_new(EACH);
        pattern(sent[i], EACH, i + 2);
        s[i] = stream_echo(k, echo);
    }
    while (more) {
        more = false;
        for (size_t i = 0; i < SEVERAL; i++) {
            at[i] += ssh_channel_write(s[i]->channel, sent[i] + at[i], EACH - at[i]);
            more = more || at[i] < EACH;
        }
        (void)loop_turn(k->loop, /* wait= */ true);
    }
    for (size_t i = 0; i < SEVERAL; i++) {
        KIT_UNTIL(k, s[i]->data.length == EACH);
        t_ok(s[i]->data.length == EACH && memcmp(s[i]->data.data, sent[i], EACH) == 0);
    }
    t_eq(paused->data.length, 0);
    paused->take = SIZE_MAX; /* and now somebody reads it: nothing is missing */
    ssh_channel_resume(paused->channel);
    KIT_UNTIL(k, paused->closed);
    t_eq(paused->data.length, 4000000);
    t_eq(paused->exit_status, 0);
    for (size_t i = 0; i < SEVERAL; i++) {
        stream_free(s[i]);
        mem_free(sent[i]);
    }
    stream_free(paused);
    echo_free(echo);
    kit_free(k);
}

/* The far end does not read: what we take is bounded, and "writable" comes when it reads again. */
T(a_writer_is_stopped)
{
    struct kit *k = kit_new("");
    struct echo *echo = echo_new(k->loop, NULL);
    struct stream *s;
    char *chunk = mem_new(1u << 20);
    size_t taken = 0;

    echo->watch = watch_free(echo->watch); /* connections stay in its backlog */
    t_eq(kit_open(k), 0);
    s = stream_echo(k, echo);
    for (int quiet = 0; quiet < 20;) {
        size_t n = ssh_channel_write(s->channel, chunk, 1u << 20);

        taken += n;
        quiet = n == 0 ? quiet + 1 : 0;
        (void)loop_turn(k->loop, /* wait= */ true);
    }
    t_ok(taken > 0 && taken < 32u << 20);
    s->writable = false;
    echo->watch = watch_new(k->loop, echo->fd, POLLIN, echo_on_connection, echo);
    KIT_UNTIL(k, s->writable);
    ssh_channel_end(s->channel);
    t_eq(ssh_channel_write(s->channel, chunk, 1), 0);
    KIT_UNTIL(k, s->data.length == taken);
    stream_free(s);
    echo_free(echo);
    mem_free(chunk);
    kit_free(k);
}
