/* What a connection asked to hear of sessions: sessions.subscribe (every row change) and
 * sessions.messages.subscribe (one session's messages and streams). */
#include "base/mem.h"
#include "gateway/event/internal.h"

#include <string.h>

#define SUBSCRIPTIONS_MAX 256 /* sessions per connection; one more is refused */

struct conn_subscriptions {
    bool sessions;
    size_t count;
    char *keys[SUBSCRIPTIONS_MAX];
};

static struct conn_subscriptions *subscriptions(struct conn *conn)
{
    if (!conn->subscriptions)
        conn->subscriptions = NEW(struct conn_subscriptions);
    return conn->subscriptions;
}

static size_t find(const struct conn_subscriptions *s, const char *session_key)
{
    size_t i = 0;

    while (i < s->count && strcmp(s->keys[i], session_key) != 0)
        i++;
    return i;
}

void event_subscribe_sessions(struct conn *conn, bool on)
{
    subscriptions(conn)->sessions = on;
}

int event_subscribe_messages(struct conn *conn, const char *session_key, bool on)
{
    struct conn_subscriptions *s = subscriptions(conn);
    size_t i = find(s, session_key);

    if (on && i == s->count) {
        if (s->count == SUBSCRIPTIONS_MAX)
            return -ERR_FULL;
        s->keys[s->count++] = mem_string(session_key);
    } else if (!on && i < s->count) {
        mem_free(s->keys[i]);
        s->keys[i] = s->keys[--s->count];
    }
    return 0;
}

bool subscribed_to_sessions(const struct conn *conn)
{
    return conn->subscriptions && conn->subscriptions->sessions;
}

bool subscribed_to_messages(const struct conn *conn, const char *session_key)
{
    const struct conn_subscriptions *s = conn->subscriptions;

    return s && session_key && find(s, session_key) < s->count;
}

void subscriptions_free(struct conn *conn)
{
    struct conn_subscriptions *s = conn->subscriptions;

    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        mem_free(s->keys[i]);
    conn->subscriptions = mem_free(s);
}
