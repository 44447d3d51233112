/* Each entity: what is put is found again after a restart, replaced by key, removed. */
#include "tests/unit/store/kit.h"

#include "base/buf.h"

/* What *_each said, one line per row; NULL members as "-". */
static void say(struct buf *b, const char *text)
{
    buf_addf(b, "%s ", text ? text : "-");
}

static void say_number(struct buf *b, int64_t number)
{
    buf_addf(b, "%lld ", (long long)number);
}

static void on_device(void *arg, const struct store_device *d)
{
    struct buf *b = arg;
    const char *texts[] = {d->device_id,     d->public_key, d->display_name, d->platform,
                           d->device_family, d->client_id,  d->client_mode,  d->roles,
                           d->scopes,        d->remote_ip,  d->approved_via, d->last_seen_reason,
                           d->node};

    for (size_t i = 0; i < COUNT(texts); i++)
        say(b, texts[i]);
    say_number(b, d->created_at);
    say_number(b, d->approved_at);
    say_number(b, d->last_seen_at);
    buf_add_char(b, '\n');
}

static void on_token(void *arg, const struct store_token *t)
{
    struct buf *b = arg;

    say(b, t->device_id);
    say(b, t->role);
    say(b, t->hash);
    say(b, t->scopes);
    say_number(b, t->created_at);
    say_number(b, t->rotated_at);
    say_number(b, t->revoked_at);
    say_number(b, t->last_used_at);
    buf_add_char(b, '\n');
}

static void on_pairing(void *arg, const struct store_pairing *p)
{
    struct buf *b = arg;

    say(b, p->request_id);
    say(b, p->device_id);
    say(b, p->record);
    say_number(b, p->created_at);
    say_number(b, p->expires_at);
    buf_add_char(b, '\n');
}

static void on_session(void *arg, const struct store_session *s)
{
    struct buf *b = arg;

    say(b, s->key);
    say(b, s->session_id);
    say(b, s->agent_id);
    say(b, s->label);
    say(b, s->entry);
    say_number(b, s->created_at);
    say_number(b, s->updated_at);
    say_number(b, s->message_count);
    buf_add_char(b, '\n');
}

static void on_turn(void *arg, const struct store_turn *t)
{
    struct buf *b = arg;

    say(b, t->run_id);
    say(b, t->session_key);
    say(b, t->session_id);
    say(b, t->detail);
    say_number(b, t->started_at);
    buf_add_char(b, '\n');
}

static void expect_devices(struct rig *g, const char *expected)
{
    struct buf b;

    buf_init(&b, 65536);
    t_eq(store_device_each(g->store, on_device, &b), 0);
    t_str(b.data ? b.data : "", expected);
    buf_done(&b);
}

static void expect_tokens(struct rig *g, const char *expected)
{
    struct buf b;

    buf_init(&b, 65536);
    t_eq(store_token_each(g->store, on_token, &b), 0);
    t_str(b.data ? b.data : "", expected);
    buf_done(&b);
}

static void restart(struct rig *g, const char *path)
{
    rig_free(g);
    *g = rig_new(path);
}

T(devices_and_their_tokens)
{
    const char *path = rig_path("devices.db");
    struct rig g = rig_new(path);
    struct store_batch *batch = store_batch(g.store);

    store_device_put(batch, &(struct store_device){"d1", "key", "Anna's phone", "ios", "phone",
                                                   "app", "ui", "[\"operator\"]",
                                                   "[\"operator.read\"]", "10.0.0.1", "cli",
                                                   "connect", "{\"caps\":[]}", 1, 2, 3});
    store_device_put(batch, &(struct store_device){.device_id = "d2", .public_key = "k2"});
    store_token_put(batch, &(struct store_token){"d1", "operator", "h1", "[]", 1, 2, 3, 4});
    store_token_put(batch, &(struct store_token){"d1", "node", "h2", NULL, 5, 0, 0, 0});
    store_token_put(batch, &(struct store_token){"d2", "node", "h3", NULL, 6, 0, 0, 0});
    t_eq(commit(&g, batch), 0);
    restart(&g, path);
    expect_devices(&g, "d1 key Anna's phone ios phone app ui [\"operator\"] [\"operator.read\"] "
                       "10.0.0.1 cli connect {\"caps\":[]} 1 2 3 \n"
                       "d2 k2 - - - - - - - - - - - 0 0 0 \n");
    expect_tokens(&g, "d1 node h2 - 5 0 0 0 \nd1 operator h1 [] 1 2 3 4 \nd2 node h3 - 6 0 0 0 \n");

    batch = store_batch(g.store);
    store_token_put(batch, &(struct store_token){"d2", "node", "h4", NULL, 6, 7, 0, 0});
    store_device_remove(batch, "d1");
    t_eq(commit(&g, batch), 0);
    restart(&g, path);
    expect_devices(&g, "d2 k2 - - - - - - - - - - - 0 0 0 \n");
    expect_tokens(&g, "d2 node h4 - 6 7 0 0 \n");
    rig_free(&g);
}

T(pairings)
{
    const char *path = rig_path("pairings.db");
    struct rig g = rig_new(path);
    struct store_batch *batch = store_batch(g.store);
    struct buf b;

    store_pairing_put(batch, &(struct store_pairing){"r2", "d", "{}", 20, 30});
    store_pairing_put(batch, &(struct store_pairing){"r1", "d", "{}", 10, 20});
    store_pairing_put(batch, &(struct store_pairing){"r3", "d", "{}", 30, 40});
    store_pairing_remove(batch, "r3");
    store_pairing_remove(batch, "never was");
    t_eq(commit(&g, batch), 0);
    restart(&g, path);
    buf_init(&b, 4096);
    t_eq(store_pairing_each(g.store, on_pairing, &b), 0);
    t_str(b.data, "r1 d {} 10 20 \nr2 d {} 20 30 \n");
    buf_done(&b);
    rig_free(&g);
}

T(sessions)
{
    const char *path = rig_path("sessions.db");
    struct rig g = rig_new(path);
    struct store_batch *batch = store_batch(g.store);
    struct buf b;

    store_session_put(batch, &(struct store_session){"b", "s1", "main", "L", "{\"a\":1}", 1, 2, 3});
    store_session_put(batch, &(struct store_session){"a", "s2", NULL, NULL, NULL, 4, 5, 0});
    store_session_put(batch, &(struct store_session){"b", "s3", "main", "M", "{}", 1, 9, 0});
    store_session_put(batch, &(struct store_session){"c", "s4", NULL, NULL, NULL, 4, 5, 0});
    store_session_remove(batch, "c");
    t_eq(commit(&g, batch), 0);
    restart(&g, path);
    buf_init(&b, 4096);
    t_eq(store_session_each(g.store, on_session, &b), 0);
    t_str(b.data, "a s2 - - - 4 5 0 \nb s3 main M {} 1 9 0 \n");
    buf_done(&b);
    rig_free(&g);
}

T(turns)
{
    const char *path = rig_path("turns.db");
    struct rig g = rig_new(path);
    struct store_batch *batch = store_batch(g.store);
    struct buf b;

    store_turn_put(batch, &(struct store_turn){"run-2", "k", "s", "{}", 20});
    store_turn_put(batch, &(struct store_turn){"run-1", "k", "s", NULL, 10});
    store_turn_put(batch, &(struct store_turn){"run-3", "k", "s", NULL, 10});
    store_turn_remove(batch, "run-3");
    t_eq(commit(&g, batch), 0);
    restart(&g, path);
    buf_init(&b, 4096);
    t_eq(store_turn_each(g.store, on_turn, &b), 0);
    t_str(b.data, "run-1 k s - 10 \nrun-2 k s {} 20 \n");
    buf_done(&b);
    rig_free(&g);
}
