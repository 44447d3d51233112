/* tunnel_check against a real sshd, from a session that is ready to an answer of the gateway. */
#include "tests/wire/tunnel/check_kit.h"

T(no_culvert_and_no_gateway)
{
    SCENE(scene, "");
    t_eq(check(scene), -ERR_CONNECT);
    t_has(scene->told, "ok authentication: ");
    t_has(scene->told, " is let in by the key SHA256:");
    t_has(scene->told, "note bridge: culvert is not in PATH there");
    t_has(scene->told, "(install culvert there, or say where it is: --culvert '");
    t_has(scene->told, "ok forwarding: allowed to port 1 there");
    t_has(scene->told, "fail gateway: nobody listens on port 1 there");
    t_has(scene->told, "start it there: culvert gateway");
    scene_free(scene);
}

T(no_culvert_but_a_gateway)
{
    SCENE(scene, "");
    far_listen(scene, false);
    scene->options.gateway_port = scene->port;
    t_eq(check(scene), 0);
    t_has(scene->told, "note bridge: ");
    t_has(scene->told, "ok forwarding: to port ");
    t_has(scene->told, "ok gateway: it answers over its port in ");
    t_has(scene->asked, "GET /health HTTP/1.1\r\nHost: 127.0.0.1:");

    scene->reply = "HTTP/1.1 404 Not Found\r\n\r\n";
    t_eq(check(scene), -ERR_UNSUPPORTED);
    t_has(scene->told,
          "fail gateway: what listens there speaks HTTP (status 404) and is no gateway");
    scene->reply = "220 mail.example ESMTP\r\n";
    t_eq(check(scene), -ERR_UNSUPPORTED);
    t_has(scene->told, "fail gateway: what listens there does not speak HTTP");
    scene->reply = "";
    t_ok(check(scene) < 0);
    t_has(scene->told, "fail gateway: no answer over its port");
    scene_free(scene);
}

T(no_forwarding_and_no_culvert)
{
    SCENE(scene, "DisableForwarding yes\n");
    t_eq(check(scene), -ERR_DENIED);
    t_has(scene->told, "fail forwarding: 127.0.0.1 does not forward to 127.0.0.1 port 1");
    t_has(scene->told, "AllowTcpForwarding yes");
    t_has(scene->told, "skip gateway: ");
    scene_free(scene);
}

#define OFFER                                                                                      \
    "echo 'Welcome to the far host'; echo "                                                        \
    "'{\"culvert\":1,\"version\":\"9.8.7\",\"socket\":\"%s\","                                     \
    "\"ticket\":\"" TICKET "\",\"gateway\":\"abc\",\"services\":[\"gateway\",\"canvas\"]}'; cat"

T(by_the_bridge)
{
    SCENE(scene, "");
    far_listen(scene, true);
    CLEAN(mem_free) char *body = mem_format(OFFER, scene->path);
    CLEAN(mem_free) char *command = far_bridge(scene, body);

    scene->options.bridge_command = command;
    t_eq(check(scene), 0);
    t_has(scene->told, "ok bridge: culvert 9.8.7 is there and offers gateway canvas (after what");
    t_has(scene->told, "ok forwarding: to ");
    t_has(scene->told, "tunnel.sock: open");
    t_has(scene->told, "ok gateway: it answers over the bridge's socket in ");
    t_ok(strncmp(scene->asked, "CULVERT/1 " TICKET " gateway\nGET /health ", 60) == 0);
    t_ok(!strstr(scene->told, TICKET));

    scene->reply = "CULVERT/1 error the ticket is not known\n";
    t_eq(check(scene), -ERR_DENIED);
    t_has(scene->told, "fail gateway: the gateway refuses the stream: the ticket is not known");
    scene_free(scene);
}

T(the_bridge_without_forwarding)
{
    SCENE(scene, "DisableForwarding yes\n");
    CLEAN(mem_free)
    char *body =
        mem_format("if [ \"$1 $2\" = '--stdio gateway' ]; then read line; printf 'HTTP/1.1 "
                   "200 OK\\r\\n\\r\\n{\"ok\":true}'; exit; fi\n" OFFER,
                   "/nowhere/tunnel.sock");
    CLEAN(mem_free) char *command = far_bridge(scene, body);

    scene->options.bridge_command = command;
    t_eq(check(scene), 0);
    t_has(scene->told, "note forwarding: ");
    t_has(scene->told, "MaxSessions");
    t_has(scene->told, "ok gateway: it answers over culvert bridge --stdio in ");
    scene_free(scene);
}

T(the_bridge_has_no_gateway)
{
    SCENE(scene, "");
    CLEAN(mem_free)
    char *command =
        far_bridge(scene, "echo '{\"culvert\":1,\"error\":\"no gateway is running here; "
                          "start it\"}'");

    scene->options.bridge_command = command;
    t_eq(check(scene), -ERR_CONNECT);
    t_has(scene->told, "note bridge: culvert is there, and says: no gateway is running here");
    t_has(scene->told, "fail gateway: nobody listens on port 1 there, and culvert there knows of "
                       "no gateway either");
    scene_free(scene);
}

T(the_bridge_breaks)
{
    SCENE(scene, "");
    CLEAN(mem_free)
    char *command = far_bridge(scene, "echo 'bridge: libssh2.so is missing' >&2; exit 3");

    scene->options.bridge_command = command;
    t_ok(check(scene) < 0);
    t_has(scene->told, "note bridge: the far end closed without an answer: bridge: libssh2.so is "
                       "missing");
    mem_free(far_bridge(scene, "yes 'all work and no play' | head -c 200000"));
    t_ok(check(scene) < 0);
    t_has(scene->told, "note bridge: the far end says more than anybody asked");
    scene_free(scene);
}
