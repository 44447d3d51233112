/* What a transfer asks of libcurl: address, headers, options, each set in one place. */
#include "base/io/http_transfer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* True when the address about to be connected to is the pinned one. */
static bool pin_holds(const struct transfer *t, const struct curl_sockaddr *address)
{
    struct in6_addr want, have;
    const void *at;

    if (inet_pton(address->family, t->pin, &want) != 1)
        return false;
    at =
        address->family == AF_INET
            ? (const void *)&((const struct sockaddr_in *)(const void *)&address->addr)->sin_addr
            : (const void *)&((const struct sockaddr_in6 *)(const void *)&address->addr)->sin6_addr;
    memcpy(&have, at, address->family == AF_INET ? sizeof(struct in_addr) : sizeof have);
    return memcmp(&want, &have,
                  address->family == AF_INET ? sizeof(struct in_addr) : sizeof have) == 0;
}

/* Sockets of ours are not for our children. The last word on a pin: libcurl was told where to connect to,
 * and anything else it comes up with gets no socket. */
static curl_socket_t transfer_open_socket(void *arg, curlsocktype purpose,
                                          struct curl_sockaddr *address)
{
    const struct transfer *t = arg;

    (void)purpose;
    if (t->pin[0] != '\0' && !pin_holds(t, address))
        return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Every option in one place; values that may fail on an older libcurl are checked by curl itself. */
#define SET(option, value) (void)curl_easy_setopt(t->easy, CURLOPT_##option, value)

static void transfer_set_method(struct transfer *t)
{
    if (t->body != NULL || strcmp(t->method, "POST") == 0) {
        SET(POST, 1L);
        SET(POSTFIELDS, t->body != NULL ? t->body : "");
        SET(POSTFIELDSIZE_LARGE, (curl_off_t)t->body_length);
    } else {
        SET(HTTPGET, 1L);
    }
    if (strcmp(t->method, "HEAD") == 0)
        SET(NOBODY, 1L);
    else
        SET(CUSTOMREQUEST, t->method);
}

/* "::ADDRESS:" is any host and port of the URL, by way of this address and the URL's own port. */
static void transfer_set_pin(struct transfer *t)
{
    char rule[INET6_ADDRSTRLEN + 8];

    (void)snprintf(rule, sizeof rule, strchr(t->pin, ':') != NULL ? "::[%s]:" : "::%s:", t->pin);
    curl_slist_free_all(t->connect_to);
    t->connect_to = curl_slist_append(NULL, rule);
    require(t->connect_to != NULL);
    SET(CONNECT_TO, t->connect_to);
    SET(PROXY, "");
    SET(FRESH_CONNECT, 1L);
    SET(FORBID_REUSE, 1L);
}

void transfer_set(struct transfer *t, bool direct)
{
    SET(URL, t->url);
    SET(PRIVATE, t);
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(PROTOCOLS_STR, "http,https");
#else
    SET(PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    SET(FOLLOWLOCATION, 0L); /* ours: transfer_redirect */
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(HTTPHEADER, t->headers);
    SET(USERAGENT, "culvert");
    SET(NOSIGNAL, 1L);
    if (getenv("SSL_CERT_FILE") != NULL) /* libcurl's own default hides OpenSSL's */
        SET(CAINFO, getenv("SSL_CERT_FILE"));
    SET(CONNECTTIMEOUT_MS, (long)t->connect_ms);
    SET(WRITEFUNCTION, transfer_on_body);
    SET(WRITEDATA, t);
    SET(HEADERFUNCTION, transfer_on_head);
    SET(HEADERDATA, t);
    SET(PREREQFUNCTION, transfer_on_sent);
    SET(PREREQDATA, t);
    SET(NOPROGRESS, 0L);
    SET(XFERINFOFUNCTION, transfer_on_progress);
    SET(XFERINFODATA, t);
    SET(OPENSOCKETFUNCTION, transfer_open_socket);
    SET(OPENSOCKETDATA, t);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* A cancel during name resolution must not wait for the resolver's thread. */
    SET(QUICK_EXIT, 1L);
#endif
    if (direct)
        SET(PROXY, ""); /* a loopback server is never behind http_proxy */
    if (t->pin[0] != '\0')
        transfer_set_pin(t);
    transfer_set_method(t);
}

static bool host_is_loopback(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "[::1]") == 0 || strcmp(host, "::1") == 0;
}

/* scheme://host:port of the URL, for faults and to tell origins apart. */
int url_origin(const char *url, char out[ORIGIN_MAX], bool *ret_loopback)
{
    CURLU *parsed = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL;
    int r = -ERR_INVALID;

    require(parsed != NULL);
    if (curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
        (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) &&
        snprintf(out, ORIGIN_MAX, "%s://%s:%s", scheme, host, port) < ORIGIN_MAX) {
        *ret_loopback = host_is_loopback(host);
        r = 0;
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parsed);
    return r;
}

/* One part of the URL, "" when it has none; false when it does not fit. */
static bool url_part(CURLU *parsed, CURLUPart part, unsigned flags, char *out, size_t size)
{
    char *text = NULL;
    int length = 0;

    out[0] = '\0';
    if (curl_url_get(parsed, part, &text, flags) == CURLUE_OK && text != NULL)
        length = snprintf(out, size, "%s", text);
    curl_free(text);
    return length >= 0 && (size_t)length < size;
}

int http_url_parse(const char *url, struct http_url *ret)
{
    CURLU *parsed = curl_url();
    char port[8], user[2], password[2], zone[2];
    bool ok, plain;
    size_t n;

    require(parsed != NULL);
    *ret = (struct http_url){0};
    ok = curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
         url_part(parsed, CURLUPART_SCHEME, 0, ret->scheme, sizeof ret->scheme) &&
         url_part(parsed, CURLUPART_HOST, 0, ret->host, sizeof ret->host) &&
         url_part(parsed, CURLUPART_PORT, CURLU_DEFAULT_PORT, port, sizeof port);
    plain = url_part(parsed, CURLUPART_USER, 0, user, sizeof user) && user[0] == '\0' &&
            url_part(parsed, CURLUPART_PASSWORD, 0, password, sizeof password) &&
            password[0] == '\0';
    ok = ok && url_part(parsed, CURLUPART_ZONEID, 0, zone, sizeof zone) && zone[0] == '\0';
    curl_url_cleanup(parsed);
    if (!ok || ret->host[0] == '\0' ||
        (strcmp(ret->scheme, "http") != 0 && strcmp(ret->scheme, "https") != 0))
        return -ERR_INVALID;
    n = strlen(ret->host);
    if (ret->host[0] == '[' && ret->host[n - 1] == ']') {
        memmove(ret->host, ret->host + 1, n - 2);
        ret->host[n - 2] = '\0';
    }
    for (char *p = ret->host; *p != '\0'; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
    ret->port = (int)strtol(port, NULL, 10);
    ret->has_user = !plain;
    return 0;
}

static bool header_is_clean(const char *header)
{
    for (const char *p = header; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' && *p != '\t')
            return false;
    return strchr(header, ':') != NULL;
}

int transfer_take_headers(struct transfer *t, const char *const *headers)
{
    /* libcurl would wait a second for "100 Continue" with a large body. */
    t->headers = curl_slist_append(NULL, "Expect:");
    require(t->headers != NULL);
    for (size_t i = 0; headers != NULL && headers[i] != NULL; i++) {
        struct curl_slist *grown;

        if (!header_is_clean(headers[i]))
            return fault_set(&t->call->op.fault, -ERR_INVALID,
                             "a request header (number %zu) holds a control character or no colon: "
                             "check keys and headers in the configuration",
                             i + 1);
        grown = curl_slist_append(t->headers, headers[i]);
        require(grown != NULL);
        t->headers = grown;
    }
    return 0;
}
