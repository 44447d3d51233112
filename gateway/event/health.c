/* The health summary: made from the modules' own numbers, kept as bytes, remade when a minute old, on
 * probe and after each connect; each new one raises the version and is told to everyone. */
#include "gateway/event/health.h"

#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/event/event.h"
#include "gateway/method/call.h"
#include "gateway/session/session.h"
#include "gateway/tailnet/tailscale.h"
#include "gateway/tunnel/publish.h"

#include <string.h>
#include <sys/resource.h>

#define HEALTH_REFRESH_MS 60000
#define HEALTH_RECENT     5
#define HEALTH_SLOW_US    50000 /* p99 of a turn above which the loop counts as degraded */

struct health {
    struct gateway *gw;
    struct bytes *summary, *payload;
    int64_t version;
    int64_t measured_at, measured_cpu_ms;
    struct timer refresh;
};

static const char *const store_states[] = {[STORE_OK] = "ok",
                                           [STORE_FULL] = "full",
                                           [STORE_DAMAGED] = "damaged",
                                           [STORE_FAILING] = "failing"};

static void write_sessions(struct gateway *gw, const char *agent_id, struct json_writer *w)
{
    jw_kobject(w, "sessions");
    jw_kstr(w, "path", gw->config ? gw->state_dir : "");
    jw_kint(w, "count", (int64_t)session_count_of(gw, agent_id));
    jw_key(w, "recent");
    session_write_recent(gw, agent_id, HEALTH_RECENT, w);
    jw_object_end(w);
}

static void write_agent(struct gateway *gw, const char *agent_id, bool is_default,
                        struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "agentId", agent_id);
    jw_kbool(w, "isDefault", is_default);
    jw_kobject(w, "heartbeat");
    jw_kbool(w, "enabled", false);
    jw_kstr(w, "every", "disabled");
    jw_knull(w, "everyMs");
    jw_kstr(w, "prompt", "");
    jw_kstr(w, "target", "none");
    jw_kint(w, "ackMaxChars", 0);
    jw_object_end(w);
    write_sessions(gw, agent_id, w);
    jw_object_end(w);
}

/* Only while something is wrong: the clients' schema of a healthy gateway is closed and has no store. */
static void write_store(struct gateway *gw, struct json_writer *w)
{
    if (store_state(gw->store) == STORE_OK)
        return;
    jw_kobject(w, "store");
    jw_kstr(w, "state", store_states[store_state(gw->store)]);
    jw_kstr(w, "detail", store_state_text(gw->store));
    jw_object_end(w);
}

/* Likewise: where tunnel.publish has not brought the gateway, and why. */
static void write_published(struct gateway *gw, struct json_writer *w)
{
    if (publishes_well(gw))
        return;
    jw_key(w, "published");
    publishes_write(gw, w);
}

static int64_t cpu_used_ms(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

/* The measure since the last summary; protocol.schema.json Snapshot.health.eventLoop. */
static void write_loop(struct health *health, struct json_writer *w)
{
    struct loop_delay delay;
    int64_t now = loop_now(health->gw->loop), cpu_ms = cpu_used_ms();
    double interval = (double)(now > health->measured_at ? now - health->measured_at : 1);

    loop_delay_take(health->gw->loop, &delay);
    bool slow = delay.p99_us > HEALTH_SLOW_US;

    jw_kobject(w, "eventLoop");
    jw_kbool(w, "degraded", slow);
    jw_karray(w, "reasons");
    if (slow)
        jw_str(w, "event_loop_delay");
    jw_array_end(w);
    jw_knum(w, "intervalMs", interval);
    jw_knum(w, "delayP99Ms", (double)delay.p99_us / 1000);
    jw_knum(w, "delayMaxMs", (double)delay.max_us / 1000);
    jw_knum(w, "utilization", (double)delay.busy_us / 1000 / interval);
    jw_knum(w, "cpuCoreRatio", (double)(cpu_ms - health->measured_cpu_ms) / interval);
    jw_object_end(w);
    health->measured_at = now;
    health->measured_cpu_ms = cpu_ms;
}

static void write_summary(struct gateway *gw, struct json_writer *w)
{
    int64_t began = loop_wall(gw->loop);
    const char *main_agent = session_default_agent(gw);

    jw_object(w);
    jw_kbool(w, "ok", store_state(gw->store) == STORE_OK);
    jw_kint(w, "ts", began);
    jw_kobject(w, "channels");
    jw_object_end(w);
    jw_karray(w, "channelOrder");
    jw_array_end(w);
    jw_kobject(w, "channelLabels");
    jw_object_end(w);
    jw_kint(w, "heartbeatSeconds", 0);
    jw_kstr(w, "defaultAgentId", main_agent);
    jw_karray(w, "agents");
    for (size_t i = 0; session_agent_at(gw, i); i++) {
        const char *agent_id = session_agent_at(gw, i);
        write_agent(gw, agent_id, strcmp(agent_id, main_agent) == 0, w);
    }
    jw_array_end(w);
    write_sessions(gw, NULL, w);
    write_store(gw, w);
    write_published(gw, w);
    tailscale_write(gw, w); /* also only where it was asked for */
    write_loop(gw->health, w);
    jw_kint(w, "durationMs", loop_wall(gw->loop) - began);
    jw_object_end(w);
}

static void refresh(struct health *health)
{
    struct buf b;
    struct json_writer w;

    buf_init(&b, 1 << 20);
    jw_init(&w, &b);
    write_summary(health->gw, &w);
    struct bytes *summary = bytes_from_buf(&b);
    buf_done(&b);
    if (!summary)
        return; /* over its ceiling: the last one stands */

    bytes_unref(health->summary);
    bytes_unref(health->payload);
    health->summary = summary;
    health->payload = call_payload(summary->data, summary->length);
    health->version++;
    event_emit(health->gw, &(struct event){.id = EVENT_health, .payload = summary});
}

static void on_refresh(void *arg)
{
    refresh(arg);
}

struct health *health_new(struct gateway *gw)
{
    struct health *health = NEW(struct health);

    health->gw = gw;
    health->measured_at = loop_now(gw->loop);
    health->measured_cpu_ms = cpu_used_ms();
    timer_start(gw->loop, &health->refresh, HEALTH_REFRESH_MS, HEALTH_REFRESH_MS, on_refresh,
                health);
    return health;
}

struct health *health_free(struct health *health)
{
    if (!health)
        return NULL;
    timer_stop(health->gw->loop, &health->refresh);
    bytes_unref(health->summary);
    bytes_unref(health->payload);
    return mem_free(health);
}

const struct bytes *health_summary(struct gateway *gw, bool now)
{
    if (now || !gw->health->summary)
        refresh(gw->health);
    return gw->health->summary;
}

struct bytes *health_payload(struct gateway *gw, bool now)
{
    health_summary(gw, now);
    return gw->health->payload;
}

int64_t health_version(const struct gateway *gw)
{
    return gw->health->version;
}
