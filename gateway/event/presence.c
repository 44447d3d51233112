/* The presence table: who is connected and who reported in. protocol.md 2.12 and `system-event`. */
#include "gateway/event/presence.h"

#include "base/mem.h"
#include "gateway/event/event.h"
#include "gateway/gateway.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>
#include <unistd.h>

/* The texts of an entry: how they are called on the wire, where the caller gives them. */
static const struct {
    const char *wire;
    size_t from;
} texts[] = {
    {"host", offsetof(struct presence_entry, host)},
    {"ip", offsetof(struct presence_entry, ip)},
    {"version", offsetof(struct presence_entry, version)},
    {"platform", offsetof(struct presence_entry, platform)},
    {"deviceFamily", offsetof(struct presence_entry, device_family)},
    {"modelIdentifier", offsetof(struct presence_entry, model_identifier)},
    {"mode", offsetof(struct presence_entry, mode)},
    {"reason", offsetof(struct presence_entry, reason)},
    {"text", offsetof(struct presence_entry, text)},
    {"deviceId", offsetof(struct presence_entry, device_id)},
    {"instanceId", offsetof(struct presence_entry, instance_id)},
    {"timeZone", offsetof(struct presence_entry, time_zone)},
    {"tags", offsetof(struct presence_entry, tags)}, /* from here on: JSON */
    {"roles", offsetof(struct presence_entry, roles)},
    {"scopes", offsetof(struct presence_entry, scopes)},
};
#define FIRST_JSON (COUNT(texts) - 3)

struct row {
    char *key;
    char *texts[COUNT(texts)];
    int64_t last_input_seconds, at;
};

struct presence {
    struct gateway *gw;
    struct row rows[PRESENCE_MAX]; /* newest last */
    size_t count;
    int64_t version;
    struct timer sweep;
    char host[65];
    struct utsname system;
};

static void on_sweep(void *arg);

struct presence *presence_new(struct gateway *gw)
{
    struct presence *presence = NEW(struct presence);

    presence->gw = gw;
    presence->version = 1;
    gethostname(presence->host, sizeof(presence->host) - 1);
    uname(&presence->system);
    timer_start(gw->loop, &presence->sweep, PRESENCE_TTL_MS / 5, PRESENCE_TTL_MS / 5, on_sweep,
                presence);
    return presence;
}

static void row_done(struct row *row)
{
    mem_free(row->key);
    for (size_t i = 0; i < COUNT(texts); i++)
        mem_free(row->texts[i]);
}

static void row_remove(struct presence *presence, size_t index)
{
    row_done(&presence->rows[index]);
    memmove(&presence->rows[index], &presence->rows[index + 1],
            (presence->count - index - 1) * sizeof(struct row));
    presence->count--;
}

struct presence *presence_free(struct presence *presence)
{
    if (!presence)
        return NULL;
    timer_stop(presence->gw->loop, &presence->sweep);
    while (presence->count > 0)
        row_remove(presence, presence->count - 1);
    return mem_free(presence);
}

static void announce(struct gateway *gw)
{
    struct buf b;
    struct json_writer w;

    buf_init(&b, 1 << 20);
    jw_init(&w, &b);
    jw_object(&w);
    jw_key(&w, "presence");
    presence_write(gw, &w);
    jw_object_end(&w);
    CLEAN(bytes_unref) struct bytes *payload = bytes_from_buf(&b);
    buf_done(&b);
    if (payload)
        event_emit(gw, &(struct event){.id = EVENT_presence, .payload = payload});
}

static bool still_connected(struct presence *presence, const struct row *row)
{
    conn_each (conn, presence->gw) {
        const char *key = conn->device_id            ? conn->device_id
                          : conn->client.instance_id ? conn->client.instance_id
                                                     : conn->uuid;
        if (conn->state == CONN_OPEN && strcasecmp(key, row->key) == 0)
            return true;
    }
    return false;
}

static void on_sweep(void *arg)
{
    struct presence *presence = arg;
    int64_t oldest = loop_wall(presence->gw->loop) - PRESENCE_TTL_MS;
    bool changed = false;

    for (size_t i = presence->count; i-- > 0;) {
        if (presence->rows[i].at >= oldest || still_connected(presence, &presence->rows[i]))
            continue;
        row_remove(presence, i);
        changed = true;
    }
    if (changed) {
        presence->version++;
        announce(presence->gw);
    }
}

/* The row of the key, moved to the end; a new one when there is none, the oldest leaving a full table. */
static struct row *row_for(struct presence *presence, const char *lower_key)
{
    size_t i = 0;

    while (i < presence->count && strcmp(presence->rows[i].key, lower_key) != 0)
        i++;
    if (i == presence->count) {
        if (presence->count == PRESENCE_MAX)
            row_remove(presence, 0);
        struct row *row = &presence->rows[presence->count++];
        *row = (struct row){.key = mem_string(lower_key), .last_input_seconds = -1};
        return row;
    }
    struct row row = presence->rows[i];
    memmove(&presence->rows[i], &presence->rows[i + 1],
            (presence->count - i - 1) * sizeof(struct row));
    presence->rows[presence->count - 1] = row;
    return &presence->rows[presence->count - 1];
}

/* Given texts replace, absent ones stay: a beacon says only what changed. */
void presence_update(struct gateway *gw, const struct presence_entry *entry, bool tell)
{
    struct presence *presence = gw->presence;
    CLEAN(mem_free) char *key = mem_string(entry->key);

    for (char *c = key; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    struct row *row = row_for(presence, key);
    for (size_t i = 0; i < COUNT(texts); i++) {
        const char *text = *(const char *const *)((const char *)entry + texts[i].from);
        if (!text)
            continue;
        mem_free(row->texts[i]);
        row->texts[i] = mem_string(text);
    }
    if (entry->last_input_seconds >= 0)
        row->last_input_seconds = entry->last_input_seconds;
    row->at = loop_wall(gw->loop);
    presence->version++;
    if (tell)
        announce(gw);
}

static char *describe(const struct conn *conn, const char *host, const char *reason)
{
    const char *role = conn->role == ROLE_NODE ? "Node" : "Client";

    return mem_format("%s: %s%s%s%s · app %s · mode %s · reason %s", role, host,
                      conn->remote_ip && !conn->local ? " (" : "",
                      conn->remote_ip && !conn->local ? conn->remote_ip : "",
                      conn->remote_ip && !conn->local ? ")" : "", conn->client.version,
                      conn->client.mode, reason);
}

void presence_conn(struct conn *conn, const char *reason)
{
    struct gateway *gw = conn->gw;

    if (conn_is_probe(conn))
        return;

    const char *host = conn->client.display_name ? conn->client.display_name : conn->client.id;
    const char *instance = conn->device_id ? conn->device_id : conn->client.instance_id;
    CLEAN(mem_free) char *text = describe(conn, host, reason);
    CLEAN(mem_free) char *scopes = scope_text(conn->scopes);

    presence_update(gw,
                    &(struct presence_entry){
                        .key = instance ? instance : conn->uuid,
                        .host = host,
                        .ip = conn->local ? NULL : conn->remote_ip,
                        .version = conn->client.version,
                        .platform = conn->client.platform,
                        .device_family = conn->client.device_family,
                        .model_identifier = conn->client.model_identifier,
                        .mode = conn->client.mode,
                        .reason = reason,
                        .text = text,
                        .device_id = conn->device_id,
                        .instance_id = instance,
                        .time_zone = conn->client.time_zone,
                        .last_input_seconds = -1,
                        .roles = conn->role == ROLE_NODE ? "[\"node\"]" : "[\"operator\"]",
                        .scopes = scopes,
                    },
                    true);
}

static void write_self(struct presence *presence, struct json_writer *w)
{
    struct gateway *gw = presence->gw;
    CLEAN(mem_free)
    char *text = mem_format("Gateway: %s · app %s · mode gateway · reason self", presence->host,
                            CULVERT_VERSION);

    jw_object(w);
    jw_kstr(w, "host", presence->host);
    jw_kstr(w, "version", CULVERT_VERSION);
    jw_kstr(w, "platform", "linux");
    jw_kstr(w, "deviceFamily", presence->system.sysname);
    jw_kstr(w, "modelIdentifier", presence->system.machine);
    jw_kstr(w, "mode", "gateway");
    jw_kstr(w, "reason", "self");
    jw_kstr(w, "instanceId", gw->boot_id);
    jw_kstr(w, "text", text);
    jw_kint(w, "ts", loop_wall(gw->loop));
    jw_object_end(w);
}

static void write_row(const struct row *row, struct json_writer *w)
{
    jw_object(w);
    for (size_t i = 0; i < COUNT(texts); i++) {
        if (i < FIRST_JSON)
            jw_kstr(w, texts[i].wire, row->texts[i]);
        else
            jw_kraw(w, texts[i].wire, row->texts[i]);
    }
    if (row->last_input_seconds >= 0)
        jw_kint(w, "lastInputSeconds", row->last_input_seconds);
    jw_kint(w, "ts", row->at);
    jw_object_end(w);
}

void presence_write(struct gateway *gw, struct json_writer *w)
{
    jw_array(w);
    write_self(gw->presence, w);
    for (size_t i = gw->presence->count; i-- > 0;)
        write_row(&gw->presence->rows[i], w);
    jw_array_end(w);
}

int64_t presence_version(const struct gateway *gw)
{
    return gw->presence->version;
}
