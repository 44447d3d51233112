/* What comes in for a transfer: libcurl's callbacks for head, body and progress. The owner may cancel
 * or drop its op inside on_data: call is NULL then, and libcurl is told to stop. */
#include "base/io/http_transfer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DAY_MS (24 * 60 * 60 * 1000)

/* Ends the transfer from inside a libcurl callback. */
static size_t transfer_refuse(struct transfer *t, int result)
{
    t->result = result;
    return 0; /* fewer bytes than offered: CURLE_WRITE_ERROR */
}

bool transfer_is_redirect(const struct transfer *t)
{
    int s = t->call != NULL ? t->call->status : 0;

    return t->follow && (s == 301 || s == 302 || s == 303 || s == 307 || s == 308);
}

static size_t transfer_too_large(struct transfer *t)
{
    return transfer_refuse(t, fault_set(&t->call->op.fault, -ERR_TOO_LARGE,
                                        "%s sent more than the %zu bytes allowed for this answer",
                                        t->origin, t->body_max));
}

size_t transfer_on_body(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    size_t length = size * count;
    struct http_call *call = t->call;
    int r;

    if (call == NULL)
        return 0;
    transfer_touch(t);
    if (transfer_is_redirect(t))
        return length;
    if (call->on_data != NULL && call->status >= 400) {
        size_t room = HTTP_ERROR_BODY_MAX - call->body.length;

        buf_add(&call->body, data, length < room ? length : room);
        return length;
    }
    t->body_seen += length;
    if (t->body_seen > t->body_max)
        return transfer_too_large(t);
    if (call->on_data == NULL) {
        buf_add(&call->body, data, length);
        return length;
    }
    r = call->on_data(call, data, length);
    if (t->call == NULL) /* cancelled or dropped inside: call may be freed memory */
        return 0;
    return r < 0 ? transfer_refuse(t, r) : length;
}

static int64_t retry_clamp(double ms)
{
    if (!(ms >= 0))
        return -1;
    return ms > DAY_MS ? DAY_MS : (int64_t)ms;
}

/* Retry-After is seconds (some send fractions) or a date; retry-after-ms wins. */
static void transfer_on_retry_after(struct transfer *t, const char *value, bool is_ms)
{
    char *end;
    double number = strtod(value, &end);
    int64_t ms;

    if (end != value && *end == '\0') {
        ms = retry_clamp(is_ms ? number : number * 1000);
    } else {
        time_t date = is_ms ? -1 : curl_getdate(value, NULL);

        if (date < 0)
            return;
        ms = (int64_t)date * 1000 - loop_wall(t->client->loop);
        ms = retry_clamp(ms < 0 ? 0 : (double)ms);
    }
    if (is_ms || t->call->retry_after_ms < 0)
        t->call->retry_after_ms = ms;
}

/* The value of a header line if its name is `name`, without blanks around, cut to size. */
static bool header_value(const char *line, size_t length, const char *name, char *out, size_t size)
{
    size_t n = strlen(name);

    if (length <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
        return false;
    line += n + 1;
    length -= n + 1;
    while (length > 0 && (*line == ' ' || *line == '\t'))
        line++, length--;
    while (length > 0 && (unsigned char)line[length - 1] <= ' ')
        length--;
    if (length >= size)
        length = size - 1;
    memcpy(out, line, length);
    out[length] = '\0';
    return true;
}

static void transfer_on_head_line(struct transfer *t, const char *line, size_t length)
{
    struct http_call *call = t->call;
    char value[128];
    long status = 0;

    while (length > 0 && (line[length - 1] == '\r' || line[length - 1] == '\n'))
        length--;
    if (call->on_header != NULL && length > 0)
        call->on_header(call, line, length);
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) { /* also after a 100 or a proxy's answer */
        call->status = 0;
        call->retry_after_ms = -1;
        call->content_type[0] = '\0';
        if (curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK &&
            status >= 200)
            call->status = (int)status;
    } else if (header_value(line, length, "content-type", value, sizeof value)) {
        memcpy(call->content_type, value, sizeof value);
    } else if (header_value(line, length, "retry-after", value, sizeof value)) {
        transfer_on_retry_after(t, value, /* is_ms= */ false);
    } else if (header_value(line, length, "retry-after-ms", value, sizeof value)) {
        transfer_on_retry_after(t, value, /* is_ms= */ true);
    }
}

size_t transfer_on_head(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    size_t length = size * count;

    if (t->call == NULL)
        return 0;
    transfer_touch(t);
    t->head_seen += length;
    if (t->head_seen > HTTP_HEAD_MAX)
        return transfer_refuse(t, fault_set(&t->call->op.fault, -ERR_TOO_LARGE,
                                            "%s sent a response head of more than %d bytes",
                                            t->origin, HTTP_HEAD_MAX));
    transfer_on_head_line(t, data, length);
    return length;
}

/* Connected (or a kept connection taken): from here the idle limit counts. */
int transfer_on_sent(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
    struct transfer *t = arg;

    (void)remote_ip, (void)local_ip, (void)remote_port, (void)local_port;
    if (t->call == NULL)
        return CURL_PREREQFUNC_ABORT;
    t->sent = true;
    transfer_touch(t);
    timer_start(t->client->loop, &t->limit, t->idle_ms, /* every_ms= */ 0, transfer_on_limit, t);
    return CURL_PREREQFUNC_OK;
}

/* Uploads move no callback of ours: their progress is seen here. */
int transfer_on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                         curl_off_t up)
{
    struct transfer *t = arg;

    (void)down_total, (void)up_total;
    if (t->call == NULL)
        return 1;
    if (down + up != t->moved) {
        t->moved = down + up;
        transfer_touch(t);
    }
    return 0;
}
