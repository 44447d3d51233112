/* Inside the HTTP door only: one transfer and what its files share. */
#pragma once

#include "base/io/http.h"

#include <curl/curl.h>
#include <netinet/in.h>

#define HTTP_CLIENT_MAGIC 0x68636c69u
#define TRANSFER_MAGIC    0x68747472u
#define ORIGIN_MAX        300

struct http_client {
    uint32_t magic;
    struct loop *loop;
    CURLM *multi; /* NULL until the first transfer */
    struct timer timer;
    struct transfer *first;
    size_t count;
    unsigned depth; /* inside libcurl */
    bool unsettled; /* a transfer was cancelled or started while inside */
};

struct transfer {
    uint32_t magic;
    struct http_client *client;
    struct transfer *next, **link;
    struct http_call *call; /* NULL: nobody waits any more */
    CURL *easy;
    struct curl_slist *headers;
    char *url, *method, *body;
    size_t body_length, body_max, body_seen, head_seen;
    int64_t connect_ms, idle_ms;
    curl_off_t moved; /* bytes both ways when the idle limit last began */
    int64_t last;     /* loop_now() of the last byte */
    struct timer limit;
    int result; /* why one of our callbacks ended it */
    int redirects;
    bool follow, tell_redirect, admitted, sent;
    char pin[INET6_ADDRSTRLEN]; /* "": none */
    struct curl_slist *connect_to;
    char origin[ORIGIN_MAX]; /* "https://host:port" for faults */
};

/* ---- http.c ---- */

/* The transfer's limit timer: connecting, then idle. */
void transfer_on_limit(void *arg);
void transfer_touch(struct transfer *t); /* a byte moved */

/* ---- http_setup.c: what is asked ---- */

/* scheme://host:port of an http or https URL; -ERR_INVALID for anything else. */
int url_origin(const char *url, char out[ORIGIN_MAX], bool *ret_loopback);
int transfer_take_headers(struct transfer *t, const char *const *headers);
void transfer_set(struct transfer *t, bool direct); /* every libcurl option */

/* ---- http_answer.c: what comes in (libcurl's callbacks) ---- */

size_t transfer_on_body(char *data, size_t size, size_t count, void *arg);
size_t transfer_on_head(char *data, size_t size, size_t count, void *arg);
int transfer_on_sent(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port);
int transfer_on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                         curl_off_t up);
bool transfer_is_redirect(const struct transfer *t);

/* ---- http_end.c: how it ended ---- */

int transfer_time_fault(struct transfer *t);
int transfer_fault(struct transfer *t, CURLcode code);
/* Fills call->redirect when the answer points elsewhere. */
void transfer_tell_redirect(struct transfer *t);
/* Points the transfer at its new URL: 1 when it goes on, 0 when there is nothing to follow. */
int transfer_redirect(struct transfer *t);
