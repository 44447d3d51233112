/* What a person hears of a tunnel: each change once. */
#include "gateway/cli/report.h"

#include "base/mem.h"
#include "tests/t.h"

static const char *change(const struct tunnel_status *before, const struct tunnel_status *now)
{
    static char text[REPORT_TEXT_MAX];

    return report_change("me@host", before, now, text) ? text : "-";
}

static struct tunnel_status status(enum tunnel_state state, const char *error)
{
    struct tunnel_status s = {.state = state, .since = 1000, .rtt_ms = -1};

    snprintf(s.last_error, sizeof(s.last_error), "%s", error);
    return s;
}

T(a_life_is_told_once_each)
{
    struct tunnel_status none = {0}, connecting = status(TUNNEL_CONNECTING, "");
    struct tunnel_status up = status(TUNNEL_UP, ""), away = status(TUNNEL_WAITING, "no answer");
    struct tunnel_status trying = status(TUNNEL_RECONNECTING, "no answer"), back;

    t_str(change(&none, &connecting), "connecting to me@host");
    snprintf(up.way, sizeof(up.way), "bridge");
    snprintf(up.endpoints[0].address, sizeof(up.endpoints[0].address), "127.0.0.1:18789");
    up.endpoint_count = 2;
    up.endpoints[1].service = BRIDGE_CANVAS;
    snprintf(up.endpoints[1].address, sizeof(up.endpoints[1].address), "127.0.0.1:18793");
    t_str(
        change(&connecting, &up),
        "up: me@host by bridge; gateway at ws://127.0.0.1:18789, canvas at http://127.0.0.1:18793");
    t_str(change(&up, &up), "-");
    away.lost_at = 5000;
    t_str(change(&up, &away), "lost: no answer; trying again");
    t_str(change(&away, &trying), "-");
    trying.lost_at = 5000;
    snprintf(trying.last_error, sizeof(trying.last_error), "refused");
    t_str(change(&away, &trying), "lost: refused; trying again");
    back = up;
    back.reconnects = 1;
    back.lost_at = 5000;
    back.back_at = 8200;
    t_str(change(&trying, &back), "back after 3.2 s by bridge");
}

T(what_needs_a_person)
{
    struct tunnel_status connecting = status(TUNNEL_CONNECTING, "");
    struct tunnel_status failed = status(TUNNEL_FAILED, "the host key changed");
    struct tunnel_status away = status(TUNNEL_WAITING, "no route");

    t_str(change(&connecting, &failed), "refused: the host key changed");
    t_str(change(&failed, &failed), "-");
    t_str(change(&connecting, &away), "no way yet: no route; trying again");
    t_str(change(&away, &connecting), "-"); /* the next try */
    t_str(change(&failed, &connecting), "-");
}

T(the_line)
{
    struct tunnel_status up = status(TUNNEL_UP, ""), away = status(TUNNEL_WAITING, "no route");
    char line[REPORT_TEXT_MAX];

    up.rtt_ms = 12.34;
    up.bytes_in = 1258291;
    up.bytes_out = 312;
    up.streams = 1;
    report_line("me@host", &up, 61000, line);
    t_str(line, "me@host up | 60 s | 12 ms | 1.2 MiB in, 312 B out | 1 connection");
    away.next_attempt_at = 63500;
    away.held = 2;
    report_line("me@host", &away, 61000, line);
    t_str(line, "me@host waiting | 60 s | next try in 3 s, 2 connections wait");
    away.lost_at = 31000;
    report_line("me@host", &away, 61000, line);
    t_has(line, "waiting | 30 s |");
}

T(to_other_processes)
{
    struct tunnel_status up = status(TUNNEL_UP, "");
    struct buf out;

    buf_init(&out, 65536);
    snprintf(up.endpoints[0].address, sizeof(up.endpoints[0].address), "/run/x");
    up.endpoint_count = 1;
    report_write(&out, "me@host", 7, 900, &up);
    buf_add_char(&out, '\0');
    t_json(out.data,
           "{'target':'me@host','pid':7,'state':'up','since':1000,'startedAt':900,'streams':0,"
           "'endpoints':[{'service':'gateway','url':'unix:/run/x','published':false}]}");
    t_ok(!strstr(out.data, "lastError") && !strstr(out.data, "rttMs"));
    buf_done(&out);
}
