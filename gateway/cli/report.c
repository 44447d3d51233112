/* What is said, and when it is worth a line: states fall into moods, and a mood is told once until its reason changes. */
#include "gateway/cli/report.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define ENDPOINTS_TOLD 4

enum mood { MOOD_NEW, MOOD_UP, MOOD_AWAY, MOOD_STUCK, MOOD_OVER };

static enum mood mood_of(enum tunnel_state state)
{
    static const enum mood moods[] = {
        [TUNNEL_CONNECTING] = MOOD_NEW, [TUNNEL_UP] = MOOD_UP,
        [TUNNEL_WAITING] = MOOD_AWAY,   [TUNNEL_RECONNECTING] = MOOD_AWAY,
        [TUNNEL_FAILED] = MOOD_STUCK,   [TUNNEL_CLOSED] = MOOD_OVER,
    };
    return (size_t)state < COUNT(moods) ? moods[state] : MOOD_OVER;
}

/* ---- pieces ---- */

static void bytes_text(double bytes, char out[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;

    for (; bytes >= 1024 && unit + 1 < COUNT(units); unit++)
        bytes /= 1024;
    snprintf(out, 32, bytes >= 10 || unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}

static void rtt_text(double ms, char out[32])
{
    if (ms < 1)
        snprintf(out, 32, "<1 ms");
    else
        snprintf(out, 32, ms < 10 ? "%.1f ms" : "%.0f ms", ms);
}

static void span_text(int64_t ms, char out[32])
{
    int64_t s = ms > 0 ? ms / 1000 : 0;

    if (s < 120)
        snprintf(out, 32, "%lld s", (long long)s);
    else if (s < 7200)
        snprintf(out, 32, "%lld min", (long long)(s / 60));
    else if (s < 172800)
        snprintf(out, 32, "%lld h", (long long)(s / 3600));
    else
        snprintf(out, 32, "%lld d", (long long)(s / 86400));
}

void report_url(const struct tunnel_endpoint *endpoint, char *out, size_t size)
{
    static const char *const schemes[BRIDGE_SERVICES] = {
        [BRIDGE_GATEWAY] = "ws",
        [BRIDGE_CANVAS] = "http",
    };

    if (endpoint->address[0] == '/')
        snprintf(out, size, "unix:%s", endpoint->address);
    else
        snprintf(out, size, "%s://%s", schemes[endpoint->service], endpoint->address);
}

char *report_bytes(const struct json *bytes)
{
    char text[32];

    if (json_kind(bytes) != JSON_NUMBER)
        return NULL;
    bytes_text(json_number(bytes, 0), text);
    return mem_string(text);
}

char *report_rtt(const struct json *ms)
{
    char text[32];

    if (json_kind(ms) != JSON_NUMBER)
        return NULL;
    rtt_text(json_number(ms, 0), text);
    return mem_string(text);
}

/* ---- to other processes ---- */

static void write_endpoints(struct json_writer *w, const struct tunnel_status *status)
{
    char url[160];

    jw_karray(w, "endpoints");
    for (size_t i = 0; i < status->endpoint_count && i < TUNNEL_ENDPOINTS_MAX; i++) {
        const struct tunnel_endpoint *endpoint = &status->endpoints[i];
        report_url(endpoint, url, sizeof(url));
        jw_object(w);
        jw_kstr(w, "service", bridge_service_name(endpoint->service));
        jw_kstr(w, "address", endpoint->address);
        jw_kstr(w, "url", url);
        jw_kbool(w, "published", endpoint->published);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void write_time(struct json_writer *w, const char *name, int64_t wall_ms)
{
    if (wall_ms > 0)
        jw_kint(w, name, wall_ms);
}

static void write_text(struct json_writer *w, const char *name, const char *text)
{
    jw_kstr(w, name, text[0] ? text : NULL);
}

void report_write(struct buf *out, const char *target, int pid, int64_t started,
                  const struct tunnel_status *status)
{
    struct json_writer w;

    jw_init(&w, out);
    jw_object(&w);
    jw_kstr(&w, "target", target);
    jw_kint(&w, "pid", pid);
    jw_kstr(&w, "state", tunnel_state_name(status->state));
    write_time(&w, "since", status->since);
    write_time(&w, "startedAt", started);
    write_text(&w, "way", status->way);
    write_text(&w, "peer", status->peer);
    write_text(&w, "hostKey", status->host_key);
    write_text(&w, "key", status->key);
    if (status->rtt_ms >= 0)
        jw_knum(&w, "rttMs", status->rtt_ms);
    jw_kint(&w, "bytesIn", (int64_t)status->bytes_in);
    jw_kint(&w, "bytesOut", (int64_t)status->bytes_out);
    jw_kint(&w, "reconnects", (int64_t)status->reconnects);
    jw_kint(&w, "streams", status->streams);
    jw_kint(&w, "streamsTotal", (int64_t)status->streams_total);
    jw_kint(&w, "held", status->held);
    write_time(&w, "nextAttemptAt", status->next_attempt_at);
    write_time(&w, "lostAt", status->lost_at);
    write_time(&w, "backAt", status->back_at);
    write_text(&w, "lastError", status->last_error);
    write_endpoints(&w, status);
    jw_object_end(&w);
}

/* ---- to a person ---- */

static void say_up(const char *target, const struct tunnel_status *now, char out[REPORT_TEXT_MAX])
{
    size_t length = (size_t)snprintf(out, REPORT_TEXT_MAX, "up: %s%s%s", target,
                                     now->way[0] ? " by " : "", now->way);
    char url[160];

    for (size_t i = 0; i < now->endpoint_count && i < ENDPOINTS_TOLD; i++) {
        report_url(&now->endpoints[i], url, sizeof(url));
        length +=
            (size_t)snprintf(out + length, REPORT_TEXT_MAX - length, "%s %s at %s", i ? "," : ";",
                             bridge_service_name(now->endpoints[i].service), url);
    }
}

static void say_back(const struct tunnel_status *now, char out[REPORT_TEXT_MAX])
{
    double seconds = now->back_at >= now->lost_at && now->lost_at > 0
                         ? (double)(now->back_at - now->lost_at) / 1000
                         : 0;
    snprintf(out, REPORT_TEXT_MAX, "back after %.1f s%s%s", seconds, now->way[0] ? " by " : "",
             now->way);
}

static const char *reason(const struct tunnel_status *status)
{
    return status->last_error[0] ? status->last_error : "the connection ended";
}

bool report_change(const char *target, const struct tunnel_status *before,
                   const struct tunnel_status *now, char out[REPORT_TEXT_MAX])
{
    bool first = before->since == 0;
    enum mood was = mood_of(before->state), is = mood_of(now->state);

    if (!first &&
        (is == MOOD_NEW || /* one more try after a refusal that was told */
         (was == is && (is == MOOD_UP || strcmp(before->last_error, now->last_error) == 0))))
        return false;
    switch (is) {
    case MOOD_NEW: snprintf(out, REPORT_TEXT_MAX, "connecting to %s", target); return true;
    case MOOD_UP:
        if (now->reconnects > 0)
            say_back(now, out);
        else
            say_up(target, now, out);
        return true;
    case MOOD_AWAY:
        snprintf(out, REPORT_TEXT_MAX, "%s: %s; trying again", now->lost_at ? "lost" : "no way yet",
                 reason(now));
        return true;
    case MOOD_STUCK: snprintf(out, REPORT_TEXT_MAX, "refused: %s", reason(now)); return true;
    case MOOD_OVER: snprintf(out, REPORT_TEXT_MAX, "ended"); return true;
    default: return false;
    }
}

static void line_up(const struct tunnel_status *status, char *out, size_t size)
{
    char in[32], sent[32], rtt[32] = "";

    bytes_text((double)status->bytes_in, in);
    bytes_text((double)status->bytes_out, sent);
    if (status->rtt_ms >= 0)
        rtt_text(status->rtt_ms, rtt);
    snprintf(out, size, "%s%s | %s in, %s out | %u connection%s", rtt, rtt[0] ? "" : status->way,
             in, sent, status->streams, status->streams == 1 ? "" : "s");
}

static void line_away(const struct tunnel_status *status, int64_t wall_ms, char *out, size_t size)
{
    char wait[64] = "trying", held[48] = "", span[32];

    if (status->next_attempt_at > wall_ms) {
        span_text(status->next_attempt_at - wall_ms + 999, span);
        snprintf(wait, sizeof(wait), "next try in %s", span);
    }
    if (status->held)
        snprintf(held, sizeof(held), ", %u connection%s wait%s", status->held,
                 status->held == 1 ? "" : "s", status->held == 1 ? "s" : "");
    snprintf(out, size, "%s%s", wait, held); /* why stands above it */
}

void report_line(const char *target, const struct tunnel_status *status, int64_t wall_ms,
                 char out[REPORT_TEXT_MAX])
{
    char rest[REPORT_TEXT_MAX / 2], since[32];

    bool lost = status->state != TUNNEL_UP && status->lost_at > status->back_at;
    span_text(wall_ms - (lost ? status->lost_at : status->since), since);
    if (status->state == TUNNEL_UP)
        line_up(status, rest, sizeof(rest));
    else
        line_away(status, wall_ms, rest, sizeof(rest));
    snprintf(out, REPORT_TEXT_MAX, "%s %s | %s | %s", target, tunnel_state_name(status->state),
             since, rest);
}
