/* How a transfer ended: the sentence for a person, and redirects, which we follow ourselves because
 * libcurl would carry headers such as x-api-key to another host. */
#include "base/io/http_transfer.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

int transfer_time_fault(struct transfer *t)
{
    struct fault *fault = &t->call->op.fault;

    if (!t->sent)
        return fault_set(fault, -ERR_TIMEOUT,
                         "no connection to %s within %" PRId64 " s: check the address, the network "
                         "and whether the server runs",
                         t->origin, (t->connect_ms + 999) / 1000);
    return fault_set(fault, -ERR_TIMEOUT, "%s sent nothing for %" PRId64 " s: given up", t->origin,
                     (t->idle_ms + 999) / 1000);
}

/* What went wrong, from libcurl's codes; several say the same to a person. */
static const struct http_trouble {
    CURLcode code;
    int error;
    const char *format; /* %s: the origin */
} http_troubles[] = {
    {CURLE_COULDNT_RESOLVE_HOST, -ERR_CONNECT,
     "cannot find the host of %s: check the name and this machine's DNS"},
    {CURLE_COULDNT_RESOLVE_PROXY, -ERR_CONNECT,
     "cannot find the proxy that stands before %s: check http_proxy and https_proxy"},
    {CURLE_COULDNT_CONNECT, -ERR_CONNECT,
     "cannot connect to %s: nobody answers there; check the address and whether the server runs"},
    {CURLE_SSL_CONNECT_ERROR, -ERR_CONNECT,
     "no TLS with %s: the server does not speak it there, or no common version"},
    {CURLE_PEER_FAILED_VERIFICATION, -ERR_DENIED,
     "the certificate of %s is not trusted by this machine (expired, another name, or unknown "
     "issuer)"},
    {CURLE_SSL_CACERT_BADFILE, -ERR_DENIED,
     "cannot check the certificate of %s: this machine's CA file is missing (install "
     "ca-certificates)"},
    {CURLE_GOT_NOTHING, -ERR_CLOSED, "%s closed the connection without an answer"},
    {CURLE_PARTIAL_FILE, -ERR_CLOSED, "%s closed the connection in the middle of its answer"},
    {CURLE_RECV_ERROR, -ERR_CLOSED, "the connection to %s broke while its answer came"},
    {CURLE_SEND_ERROR, -ERR_CLOSED, "the connection to %s broke while the request went out"},
    {CURLE_WEIRD_SERVER_REPLY, -ERR_INVALID, "%s does not answer in HTTP"},
    {CURLE_UNSUPPORTED_PROTOCOL, -ERR_INVALID, "%s does not answer in HTTP"},
    {CURLE_BAD_CONTENT_ENCODING, -ERR_INVALID, "%s sent an answer that cannot be decoded"},
};

int transfer_fault(struct transfer *t, CURLcode code)
{
    struct fault *fault = &t->call->op.fault;

    if (t->result < 0) {
        if (fault->code == 0)
            fault_set(fault, t->result, "%s", err_text(t->result));
        return t->result;
    }
    if (code == CURLE_OPERATION_TIMEDOUT)
        return transfer_time_fault(t);
    for (size_t i = 0; i < COUNT(http_troubles); i++) {
        const struct http_trouble *trouble = &http_troubles[i];

        if (trouble->code == code) {
            char text[FAULT_TEXT_MAX];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            (void)snprintf(text, sizeof text, trouble->format, t->origin);
#pragma GCC diagnostic pop
            return fault_set(fault, trouble->error, "%s", text);
        }
    }
    return fault_set(fault, -ERR_IO, "the request to %s failed: %s", t->origin,
                     curl_easy_strerror(code));
}

void transfer_tell_redirect(struct transfer *t)
{
    char *to = NULL;

    if (curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &to) == CURLE_OK && to != NULL)
        t->call->redirect = mem_string(to);
}

/* Points the transfer at its new URL: 1 when it goes on, 0 when there is nothing to follow. */
int transfer_redirect(struct transfer *t)
{
    struct fault *fault = &t->call->op.fault;
    int status = t->call->status;
    char *to = NULL, origin[ORIGIN_MAX];
    bool loopback, away;

    if (curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &to) != CURLE_OK || to == NULL)
        return 0;
    if (++t->redirects > HTTP_REDIRECTS_MAX)
        return fault_set(fault, -ERR_INVALID, "%s redirects more than %d times", t->origin,
                         HTTP_REDIRECTS_MAX);
    if (url_origin(to, origin, &loopback) < 0)
        return fault_set(fault, -ERR_DENIED, "%s redirects to an address that is not http or https",
                         t->origin);
    away = strcasecmp(origin, t->origin) != 0;
    if (away && strncmp(t->origin, "https:", 6) == 0 && strncmp(origin, "http:", 5) == 0)
        return fault_set(fault, -ERR_DENIED, "%s redirects to plain http: refused", t->origin);
    if (status == 303 || ((status == 301 || status == 302) && strcmp(t->method, "POST") == 0)) {
        if (t->body != NULL)
            t->body = mem_wipe_free(t->body, t->body_length);
        t->body_length = 0;
        mem_free(t->method);
        t->method = mem_string("GET");
    }
    if (away && t->body != NULL)
        return fault_set(fault, -ERR_DENIED,
                         "%s redirects the request to %s: refused, set that "
                         "address in the configuration if it is right",
                         t->origin, origin);
    if (away) { /* whatever identifies us was meant for the first host only */
        curl_slist_free_all(t->headers);
        t->headers = curl_slist_append(NULL, "Expect:");
    }
    mem_free(t->url);
    t->url = mem_string(to);
    return 1;
}
