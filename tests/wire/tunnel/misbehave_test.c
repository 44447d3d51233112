/* A server that was let in to our trust and then misbehaves: limits hold, nothing spins, the session ends or goes on, and
 * always once. */
#include "tests/wire/tunnel/ssh_fake.h"
#include "tests/wire/tunnel/ssh_kit.h"

static struct kit *kit_fake(struct fake *f)
{
    struct kit *k = kit_new("");

    k->policy.accept_new = true;
    k->rig->target.port = f->port;
    return k;
}

static struct stream *stream_fake(struct kit *k)
{
    return stream_start(k,
                        (struct ssh_channel_spec){.kind = SSH_TCP, .host = "127.0.0.1", .port = 1});
}

/* ---- windows ---- */

static void script_no_window(struct fake *f, const uint8_t *packet, size_t length)
{
    (void)length;
    if (fake_is_ping(packet))
        fake_refuse(f, packet);
    else if (packet[0] == 90)
        fake_confirm(f, packet, 0, 32768);
    else if (packet[0] == 96) /* our end: now a window comes, a small one */
        fake_about(f, 93, fake_number(packet + 1), NULL, 0);
}

T(a_window_of_nothing_takes_nothing)
{
    struct fake *f = fake_new();
    struct kit *k = kit_fake(f);
    struct stream *s;
    uint64_t turns;

    f->script = script_no_window;
    t_eq(kit_open(k), 0);
    t_str(k->why.text, "");
    s = stream_fake(k);
    KIT_UNTIL(k, s->opened != 1);
    t_eq(s->opened, 0);
    t_eq(ssh_channel_write(s->channel, "hello", 5), 0);
    turns = loop_turns(k->loop);
    for (int64_t since = loop_now(k->loop); loop_now(k->loop) - since < 600;)
        (void)loop_turn(k->loop, /* wait= */ true);
    t_ok(loop_turns(k->loop) - turns < 200); /* it does not spin */
    t_ok(!s->writable && !k->lost);
    stream_free(s);
    kit_free(k);
    fake_free(f);
}

static void script_no_packet(struct fake *f, const uint8_t *packet, size_t length)
{
    (void)length;
    if (fake_is_ping(packet))
        fake_refuse(f, packet);
    else if (packet[0] == 90)
        fake_confirm(f, packet, 1u << 20, 0);
}

T(packets_of_nothing_end_it)
{
    struct fake *f = fake_new();
    struct kit *k = kit_fake(f);
    struct stream *s;

    f->script = script_no_packet;
    t_eq(kit_open(k), 0);
    s = stream_fake(k);
    KIT_UNTIL(k, s->opened != 1);
    (void)ssh_channel_write(s->channel, "hello", 5);
    KIT_UNTIL(k, k->lost);
    t_has(k->why.text, "packets of 0 bytes");
    stream_free(s);
    kit_free(k);
    fake_free(f);
}

/* ---- floods ---- */

static void script_flood(struct fake *f, const uint8_t *packet, size_t length)
{
    static char chunk[32768];

    (void)length;
    if (fake_is_ping(packet))
        fake_refuse(f, packet);
    if (packet[0] != 90 || fake_is_ping(packet))
        return;
    fake_confirm(f, packet, 1u << 20, 32768);
    for (int i = 0; i < 1000 && !f->gone; i++) /* 32 MB into a window of 2 */
        fake_about(f, 94, fake_number(packet + 5 + fake_number(packet + 1)), chunk, sizeof chunk);
}

T(more_than_its_window_is_not_kept)
{
    struct fake *f = fake_new();
    struct kit *k = kit_fake(f);
    struct stream *s;

    f->script = script_flood;
    t_eq(kit_open(k), 0);
    s = stream_fake(k);
    s->take = 0; /* nobody reads */
    for (int64_t since = loop_now(k->loop); loop_now(k->loop) - since < 3000 && !k->lost;)
        (void)loop_turn(k->loop, /* wait= */ true);
    s->take = SIZE_MAX;
    if (s->channel != NULL)
        ssh_channel_resume(s->channel);
    for (int64_t since = loop_now(k->loop); loop_now(k->loop) - since < 1000 && !k->lost;)
        (void)loop_turn(k->loop, /* wait= */ true);
    t_ok(s->data.length <= 5u << 20);
    stream_free(s);
    kit_free(k);
    fake_free(f);
}

static void script_junk(struct fake *f, const uint8_t *packet, size_t length)
{
    static struct fake_text junk;

    (void)length;
    if (packet[0] != 90)
        return;
    fake_refuse(f, packet);
    junk.length = 0;
    fake_u8(&junk, 192); /* a message nobody knows */
    for (int i = 0; i < 32000; i++)
        fake_u8(&junk, 'x');
    for (int i = 0; i < 12000 && !f->gone; i++)
        fake_send(f, &junk);
}

T(what_nobody_asked_for_is_bounded)
{
    struct fake *f = fake_new();
    struct kit *k = kit_fake(f);
    struct stream *s;

    f->script = script_junk;
    t_eq(kit_open(k), 0);
    s = stream_fake(k);
    KIT_UNTIL(k, k->lost);
    t_has(k->why.text, "nobody asked for");
    stream_free(s);
    kit_free(k);
    fake_free(f);
}

/* ---- strange messages ---- */

static void strange_open(struct fake *f, const char *type, size_t cut)
{
    static struct fake_text t;

    t.length = 0;
    fake_u8(&t, 90);
    fake_word(&t, type);
    fake_u32(&t, 99);
    fake_u32(&t, 1u << 20);
    fake_u32(&t, 32768);
    fake_word(&t, "127.0.0.1");
    fake_u32(&t, 1234);
    fake_word(&t, "10.0.0.1");
    fake_u32(&t, 4321);
    t.length -= cut < t.length ? cut : t.length - 1;
    fake_send(f, &t);
}

static void script_strange(struct fake *f, const uint8_t *packet, size_t length)
{
    static const char *const types[] = {"forwarded-tcpip", "x11", "session",
                                        "auth-agent@openssh.com", ""};
    static const unsigned about[] = {80, 81, 82, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100};
    static struct fake_text t;

    (void)length;
    if (packet[0] != 90)
        return;
    if (f->opens == 1) {
        for (size_t i = 0; i < COUNT(types); i++)
            strange_open(f, types[i], 0);
        for (size_t i = 0; i < COUNT(about); i++) {
            if (about[i] != 91 && about[i] != 92)
                fake_about(f, about[i], 4242, "data for nobody", 15);
            for (unsigned cut = 0; cut < 12; cut++) { /* too short */
                t.length = 0;
                fake_u8(&t, about[i]);
                for (unsigned j = 0; j < cut; j++)
                    fake_u8(&t, 0xff);
                fake_send(f, &t);
            }
        }
    }
    if (fake_is_ping(packet))
        fake_refuse(f, packet);
    else
        fake_confirm(f, packet, 1u << 20, 32768);
    if (!fake_is_ping(packet))
        fake_about(f, 94, fake_number(packet + 5 + fake_number(packet + 1)), "still here", 10);
}

T(strange_messages_are_passed_over)
{
    struct fake *f = fake_new();
    struct kit *k = kit_fake(f);
    struct stream *s;

    f->script = script_strange;
    t_eq(kit_open(k), 0);
    s = stream_fake(k);
    KIT_UNTIL(k, s->data.length == 10 || k->lost);
    if (!k->lost)
        t_str(stream_text(s), "still here");
    t_eq(k->arrivals, 0); /* nothing we did not ask for */
    stream_free(s);
    kit_free(k);
    fake_free(f);
}

static void script_cut_opens(struct fake *f, const uint8_t *packet, size_t length)
{
    (void)length;
    if (packet[0] == 90)
        strange_open(f, "forwarded-tcpip", (size_t)f->opens * 7);
    if (packet[0] == 90)
        fake_refuse(f, packet);
}

T(cut_opens)
{
    struct fake *f = fake_new();
    struct kit *k = kit_fake(f);
    struct stream *s;

    f->script = script_cut_opens;
    t_eq(kit_open(k), 0);
    for (int i = 0; i < 8 && !k->lost; i++) {
        s = stream_fake(k);
        KIT_UNTIL(k, s->opened != 1);
        t_ok(s->opened < 0);
        stream_free(s);
    }
    kit_free(k);
    fake_free(f);
}

/* ---- ends ---- */

static void script_goodbye(struct fake *f, const uint8_t *packet, size_t length)
{
    static struct fake_text t;

    (void)length;
    t.length = 0;
    fake_u8(&t, 1);
    fake_u32(&t, 11);
    fake_word(&t, "closing \x1b[2Jtime");
    fake_word(&t, "");
    if (packet[0] == 90)
        fake_send(f, &t);
}

T(a_goodbye_is_told_in_its_words)
{
    struct fake *f = fake_new();
    struct kit *k = kit_fake(f);
    struct stream *s;

    f->script = script_goodbye;
    t_eq(kit_open(k), 0);
    s = stream_fake(k);
    KIT_UNTIL(k, k->lost);
    t_has(k->why.text, "closing");
    t_has(k->why.text, "time");
    t_ok(strchr(k->why.text, '\x1b') == NULL);
    t_eq(s->opened, -ERR_CLOSED);
    stream_free(s);
    kit_free(k);
    fake_free(f);
}

static void script_mute(struct fake *f, const uint8_t *packet, size_t length)
{
    (void)length;
    if (packet[0] == 90 && f->opens == 1)
        fake_confirm(f, packet, 1u << 20,
                     32768); /* also a ping, which no server does; then nothing more */
}

T(a_server_that_falls_silent)
{
    struct fake *f = fake_new();
    struct kit *k = kit_fake(f);
    struct stream *one, *two;
    int64_t since = 0;

    f->script = script_mute;
    t_eq(kit_open(k), 0);
    one = stream_fake(k);
    KIT_UNTIL(k, one->opened != 1);
    one->channel = ssh_channel_drop(one->channel); /* its close is never answered */
    two = stream_fake(k);                          /* nor is this */
    since = loop_now(k->loop);
    KIT_UNTIL(k, k->lost);
    t_ok(loop_now(k->loop) - since <= 6000);
    t_eq(two->opened, -ERR_CLOSED);
    stream_free(one);
    stream_free(two);
    kit_free(k);
    fake_free(f);
}

static void script_after_the_end(struct fake *f, const uint8_t *packet, size_t length)
{
    uint32_t channel = 0;

    (void)length;
    if (fake_is_ping(packet))
        fake_refuse(f, packet);
    if (packet[0] != 90 || fake_is_ping(packet))
        return;
    channel = fake_number(packet + 5 + fake_number(packet + 1));
    fake_confirm(f, packet, 1u << 20, 32768);
    fake_about(f, 94, channel, "before", 6);
    fake_about(f, 96, channel, NULL, 0);
    fake_about(f, 94, channel, "after", 5);
    fake_about(f, 97, channel, NULL, 0);
    fake_about(f, 97, channel, NULL, 0);
    fake_about(f, 94, channel, "long after", 10);
}

T(what_comes_after_the_end)
{
    struct fake *f = fake_new();
    struct kit *k = kit_fake(f);
    struct stream *s;

    f->script = script_after_the_end;
    t_eq(kit_open(k), 0);
    for (int i = 0; i < 3; i++) {
        s = stream_fake(k);
        KIT_UNTIL(k, s->closed);
        t_has(stream_text(s), "before");
        stream_free(s);
    }
    t_ok(!k->lost);
    kit_free(k);
    fake_free(f);
}
