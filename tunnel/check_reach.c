/* What a session that is ready may be used for: check_reach (is `culvert bridge` there) -> check_streamlocal and
 * check_direct (what sshd forwards) -> check_gateway (a stream, an HTTP request, its answer). Each is one probe. */
#include "tunnel/check_internal.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define CHECK_STEP_MS 10000
#define CHECK_PORT    18789
#define CHECK_BRIDGE  "culvert bridge"

static void check_streamlocal(struct check *check);
static void check_direct(struct check *check);
static void check_gateway(struct check *check);

/* ---- bridge ---- */

/* The offer's line, past whatever a login script says before it. */
static const char *offer_line(const struct buf *output, size_t *ret_length)
{
    const char *at = output->data, *end = at ? at + output->length : NULL, *stop;

    for (; at && at < end && (stop = memchr(at, '\n', (size_t)(end - at))) != NULL; at = stop + 1) {
        *ret_length = (size_t)(stop - at);
        if (*at == '{')
            return at;
    }
    return NULL;
}

static bool has_offer(const struct buf *output)
{
    size_t length;

    return offer_line(output, &length) != NULL;
}

static void check_no_bridge(struct check *check, const struct fault *why)
{
    const struct probe *probe = &check->bridge;
    const char *plain = "without it connections go straight to the gateway's port there, and the "
                        "gateway is not told who comes";

    if (probe->exit_status == 127)
        check_tell(
            check, check->at++, CHECK_NOTE,
            "install culvert there, or say where it is: --culvert '/where/it/is/culvert bridge'",
            "culvert is not in PATH there; %s", plain);
    else
        check_tell(check, check->at++, CHECK_NOTE, NULL, "%s%s%s; %s", why->text,
                   probe->words[0] ? ": " : "", probe->words, plain);
    probe_stop(&check->bridge);
    check_streamlocal(check);
}

static void check_on_bridge(void *arg, int result, const struct fault *why)
{
    struct check *check = arg;
    struct fault fault = {0};
    size_t length = 0;
    const char *line;

    CHECK(check, CHECK_MAGIC);
    if (result < 0) {
        check_no_bridge(check, why);
        return;
    }
    line = offer_line(&check->bridge.output, &length);
    if (bridge_read_offer(line, length, &check->offer, &fault) < 0) {
        check_no_bridge(check, &fault);
        return;
    }
    check->offered = check->offer.error == NULL;
    if (check->offered)
        check_tell(check, check->at++, CHECK_OK, NULL, "culvert %s is there and offers%s%s%s",
                   check->offer.version, check->offer.services[BRIDGE_GATEWAY] ? " gateway" : "",
                   check->offer.services[BRIDGE_CANVAS] ? " canvas" : "",
                   line > check->bridge.output.data ? " (after what a login script says)" : "");
    else
        check_tell(check, check->at++, CHECK_NOTE,
                   "on the host: culvert status; culvert doctor there says what is wrong",
                   "culvert is there, and says: %s", check->offer.error);
    if (!check->offered)
        probe_stop(&check->bridge);
    check_streamlocal(check);
}

void check_reach(struct check *check)
{
    const struct probe_ask ask = {
        .spec = {.kind = SSH_EXEC,
                 .command =
                     check->options->bridge_command ? check->options->bridge_command : CHECK_BRIDGE,
                 .window = SSH_WINDOW_SMALL},
        .enough = has_offer,
        .limit_ms = CHECK_STEP_MS,
        .done = check_on_bridge,
        .arg = check,
    };

    probe_start(&check->bridge, check->loop, check->ssh, &ask);
}

/* ---- forwarding ---- */

static enum check_road road_of(int result)
{
    if (result == 0)
        return ROAD_OPEN;
    return result == -ERR_CONNECT ? ROAD_NOBODY : ROAD_FORBIDDEN;
}

static void check_on_streamlocal(void *arg, int result, const struct fault *why)
{
    struct check *check = arg;

    CHECK(check, CHECK_MAGIC);
    check->streamlocal = road_of(result);
    if (why)
        check->streamlocal_why = *why;
    probe_stop(&check->probe);
    check_direct(check);
}

static void check_streamlocal(struct check *check)
{
    const struct probe_ask ask = {
        .spec = {.kind = SSH_STREAMLOCAL, .path = check->offer.socket, .window = SSH_WINDOW_SMALL},
        .limit_ms = CHECK_STEP_MS,
        .done = check_on_streamlocal,
        .arg = check,
    };

    if (check->offered)
        probe_start(&check->probe, check->loop, check->ssh, &ask);
    else
        check_direct(check);
}

static int gateway_port(const struct check *check)
{
    return check->options->gateway_port ? check->options->gateway_port : CHECK_PORT;
}

static void check_tell_forwarding(struct check *check)
{
    static const char exec[] = "each connection is one command of its own, of which sshd allows "
                               "10 at once (MaxSessions)";
    int port = gateway_port(check);

    if (check->streamlocal == ROAD_OPEN)
        check_tell(check, check->at++, CHECK_OK, NULL, "to %s: open%s", check->offer.socket,
                   check->direct == ROAD_FORBIDDEN ? "; to TCP ports: forbidden, and not needed"
                                                   : "");
    else if (check->direct == ROAD_OPEN && check->offered)
        check_tell(check, check->at++, CHECK_NOTE, "set AllowStreamLocalForwarding yes there",
                   "%s; connections go to port %d instead, and the gateway is not told who comes",
                   check->streamlocal_why.text, port);
    else if (check->direct == ROAD_OPEN)
        check_tell(check, check->at++, CHECK_OK, NULL, "to port %d there: open", port);
    else if (check->direct == ROAD_NOBODY && !check->offered)
        check_tell(check, check->at++, CHECK_OK, NULL, "allowed to port %d there", port);
    else if (check->offered)
        check_tell(
            check, check->at++, CHECK_NOTE,
            "set AllowStreamLocalForwarding yes and DisableForwarding no in sshd_config there",
            "%s; %s", check->streamlocal_why.text, exec);
}

/* No road at all. */
static bool check_stands_still(struct check *check)
{
    if (check->offered || check->direct != ROAD_FORBIDDEN)
        return false;
    check_fail(check,
               "set AllowTcpForwarding yes in sshd_config there, or install culvert there, which "
               "does without",
               &check->direct_why);
    return true;
}

static void check_on_direct(void *arg, int result, const struct fault *why)
{
    struct check *check = arg;

    CHECK(check, CHECK_MAGIC);
    check->direct = road_of(result);
    if (why)
        check->direct_why = *why;
    probe_stop(&check->probe);
    if (check_stands_still(check))
        return;
    check_tell_forwarding(check);
    check_gateway(check);
}

static void check_direct(struct check *check)
{
    const struct probe_ask ask = {
        .spec = {.kind = SSH_TCP,
                 .host = "127.0.0.1",
                 .port = gateway_port(check),
                 .window = SSH_WINDOW_SMALL},
        .limit_ms = CHECK_STEP_MS,
        .done = check_on_direct,
        .arg = check,
    };

    probe_start(&check->probe, check->loop, check->ssh, &ask);
}

/* ---- gateway ---- */

#define ANSWER_OK "\"ok\":true" /* of GET /health, of every gateway that speaks the protocol */

/* Enough to tell what it is; a healthy one's answer may come in pieces. */
static bool has_answer(const struct buf *output)
{
    if (output->length < 13 || memcmp(output->data, "HTTP/1.", 7) != 0)
        return memchr(output->data, '\n', output->length) != NULL;
    return strstr(output->data, ANSWER_OK) != NULL ||
           (memcmp(output->data + 9, "200", 3) != 0 && strstr(output->data, "\r\n\r\n") != NULL);
}

/* What came back, whole or not: is a gateway behind it? */
static void check_read_answer(struct check *check, const char *way, const struct fault *why)
{
    const struct buf *out = &check->probe.output;
    char said[BRIDGE_ERROR_MAX];
    struct fault fault = {0};
    unsigned status = 0;
    int64_t took = loop_now(check->loop) - check->asked_at;

    if (out->length > 0 && bridge_read_error(out->data, out->length, said)) {
        fault_set(&fault, -ERR_DENIED, "the gateway refuses the stream: %s", said);
        check_fail(check, "run the check again; if it stays so, restart the gateway there", &fault);
    } else if (out->length > 12 && sscanf(out->data, "HTTP/1.%*u %3u", &status) == 1 &&
               status == 200 && strstr(out->data, ANSWER_OK)) {
        check_tell(check, check->at++, CHECK_OK, NULL, "it answers over %s in %lld ms", way,
                   (long long)took);
        check_end(check, 0, NULL);
    } else if (status != 0) {
        fault_set(&fault, -ERR_UNSUPPORTED,
                  "what listens there speaks HTTP (status %u) and is no gateway", status);
        check_fail(check, "name the gateway's own port with --gateway-port", &fault);
    } else if (out->length > 0) {
        fault_set(&fault, -ERR_UNSUPPORTED, "what listens there does not speak HTTP");
        check_fail(check,
                   "is TLS on there (gateway.tls)? else name the gateway's port with "
                   "--gateway-port",
                   &fault);
    } else {
        fault_set(&fault, why ? why->code : -ERR_CLOSED, "no answer over %s: %s%s%s", way,
                  why ? why->text : "closed", check->probe.words[0] ? ": " : "",
                  check->probe.words);
        check_fail(check, "on the host: culvert status", &fault);
    }
}

static const char *check_way(const struct check *check)
{
    if (check->streamlocal == ROAD_OPEN)
        return "the bridge's socket";
    return check->direct == ROAD_OPEN ? "its port" : "culvert bridge --stdio";
}

static void check_on_answer(void *arg, int result, const struct fault *why)
{
    struct check *check = arg;

    CHECK(check, CHECK_MAGIC);
    check_read_answer(check, check_way(check), result < 0 ? why : NULL);
}

static void check_no_gateway(struct check *check)
{
    struct fault fault = {0};

    fault_set(&fault, -ERR_CONNECT, "nobody listens on port %d there%s", gateway_port(check),
              check->offer.error ? ", and culvert there knows of no gateway either" : "");
    check_fail(check,
               "start it there: culvert gateway (or its service); name another port with "
               "--gateway-port",
               &fault);
}

static void check_gateway(struct check *check)
{
    CLEAN(buf_done) struct buf first = {0};
    CLEAN(mem_free)
    char *stdio =
        mem_format("%s --stdio gateway",
                   check->options->bridge_command ? check->options->bridge_command : CHECK_BRIDGE);
    struct probe_ask ask = {
        .enough = has_answer,
        .limit_ms = CHECK_STEP_MS,
        .done = check_on_answer,
        .arg = check,
    };

    buf_init(&first, 8192);
    if (check->streamlocal == ROAD_OPEN) {
        ask.spec = (struct ssh_channel_spec){.kind = SSH_STREAMLOCAL, .path = check->offer.socket};
        bridge_write_stream(&first, check->offer.ticket, BRIDGE_GATEWAY, NULL);
    } else if (check->direct == ROAD_OPEN) {
        ask.spec = (struct ssh_channel_spec){
            .kind = SSH_TCP, .host = "127.0.0.1", .port = gateway_port(check)};
    } else if (check->offered) {
        probe_stop(&check->bridge); /* one session channel more for this one */
        ask.spec = (struct ssh_channel_spec){.kind = SSH_EXEC, .command = stdio};
    } else {
        check_no_gateway(check);
        return;
    }
    ask.spec.window = SSH_WINDOW_SMALL;
    buf_addf(&first,
             "GET /health HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\nAccept: "
             "application/json\r\n\r\n",
             gateway_port(check));
    ask.first = first.data;
    check->asked_at = loop_now(check->loop);
    probe_start(&check->probe, check->loop, check->ssh, &ask);
}
