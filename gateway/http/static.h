/* Files of a folder over HTTP: opened beneath it by the kernel's own resolution, read in the pool, sent whole
 * when small and in parts when not. Compressed copies that lie beside a file (.br, .gz) are sent where the
 * client takes them; what has not changed is a 304. */
#pragma once

#include "gateway/http/route.h"

#define STATIC_PIECE       65536 /* read and held at once, per answer */
#define STATIC_STREAMS_MAX 64    /* answers in parts at once; one more is 503 */
#define STATIC_LOAD_MAX    (1u << 20)

/* All of it is borrowed for the call. */
struct static_file {
    const char *root;                       /* absolute */
    const char *path;                       /* beneath it, without a slash in front */
    const char *headers;                    /* besides what a file gets; "" for none */
    bool immutable;                         /* its name changes with its content: kept for a year */
    void (*missing)(struct web_call *call); /* there is no such file, or it is none to be shown */
};
/* Answers the call, now or later. open: the folder's owner counts its answers in parts there. */
void static_send(struct web_call *call, unsigned *open, const struct static_file *file);

/* A small file whole, for who changes it first: text is NULL when there is none (or it is over
 * STATIC_LOAD_MAX), else ends with a NUL beyond length; borrowed for the call. done answers the web_call. */
typedef void static_loaded_fn(struct web_call *call, const char *text, size_t length);
void static_load(struct web_call *call, const char *root, const char *path, static_loaded_fn *done);

/* By the name's extension. NULL: not one we know. */
const char *static_type(const char *path);
/* Not hidden: no part begins with a dot. */
bool static_may_show(const char *path);
