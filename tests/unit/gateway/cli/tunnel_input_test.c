/* --listen, and the names of places. */
#include "gateway/cli/tunnel_input.h"

#include "base/mem.h"
#include "gateway/cli/seat.h"
#include "tests/t.h"

T(where_to_listen)
{
    static const struct {
        const char *text, *host;
        int port, canvas; /* -1: none */
        size_t count;
    } rows[] = {
        {NULL, "127.0.0.1", 18789, 18793, 2},
        {"28789", "127.0.0.1", 28789, 28793, 2},
        {"0.0.0.0:1", "0.0.0.0", 1, 5, 2},
        {"[::1]:18789", "::1", 18789, 18793, 2},
        {"localhost:9", "127.0.0.1", 9, 13, 2},
        {"127.0.0.1:0", "127.0.0.1", 0, 0, 2},
        {"127.0.0.1:65535", "127.0.0.1", 65535, -1, 1},
    };
    static const char *const wrong[] = {"",
                                        "x",
                                        "127.0.0.1",
                                        "127.0.0.1:",
                                        ":18789",
                                        "::1:18789",
                                        "127.0.0.1:70000",
                                        "127.0.0.1:-1",
                                        "unix:",
                                        "unix:relative",
                                        "[]:1",
                                        "1 2"};
    struct tunnel_listen listen[2];
    char *host;

    for (size_t i = 0; i < COUNT(rows); i++) {
        t_eq(tunnel_input_listen(rows[i].text, listen, &host), rows[i].count);
        t_str(listen[0].host, rows[i].host);
        t_eq(listen[0].port, rows[i].port);
        t_ok(!listen[0].optional && listen[0].service == BRIDGE_GATEWAY);
        if (rows[i].count == 2) {
            t_eq(listen[1].port, rows[i].canvas);
            t_ok(listen[1].optional && listen[1].service == BRIDGE_CANVAS);
        }
        mem_free(host);
    }
    t_eq(tunnel_input_listen("unix:/run/g.sock", listen, &host), 1);
    t_str(listen[0].unix_path, "/run/g.sock");
    for (size_t i = 0; i < COUNT(wrong); i++) {
        t_eq(tunnel_input_listen(wrong[i], listen, &host), 0);
        mem_free(host);
    }
}

T(places_have_file_names)
{
    static const char *const rows[][2] = {{"me@host", "me@host"},
                                          {"ssh://me@host/", "me@host"},
                                          {"ssh://me@host:22", "ssh://me@host:22"},
                                          {"ssh://[::1]:22//", "ssh://[::1]:22"}};
    char name[SEAT_NAME], other[SEAT_NAME];

    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEAN(mem_free) char *target = seat_target(rows[i][0]);
        t_str(target, rows[i][1]);
    }

    seat_name("me@host", name);
    t_str(name, "me@host");
    seat_name("ssh://me@host/", other);
    t_str(other, name);
    seat_name("me@host:22", name);
    t_ok(strncmp(name, "me@host_22-", 11) == 0);
    seat_name("me@host/22", other);
    t_ok(strcmp(name, other) != 0);
    seat_name("../../etc/passwd", name);
    t_ok(!strchr(name, '/') && name[0] != '.');
    seat_name("a-very-long-name.of-a-host.in-a-domain.that-goes.on-and-on.example.org", name);
    t_ok(strlen(name) < 40);
    seat_name("", name);
    t_ok(name[0]);
}
