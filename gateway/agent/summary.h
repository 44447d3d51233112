/* A summary of a conversation by a model: piece by piece where it is longer than the model's window, each
 * piece on top of the summary so far. Loop thread only. */
#pragma once

#include "gateway/agent/prompt.h"
#include "gateway/model/model.h"

struct summary;

#define SUMMARY_MAX        (48 * 1024) /* bytes; a longer one is cut */
#define SUMMARY_PIECES_MAX 16   /* requests; of a longer conversation the newest pieces count */
#define SUMMARY_FOCUS_MAX  3200 /* bytes of what the operator wants kept in mind */

/* Borrowed for the call. */
struct summary_request {
    const char *provider, *model;
    const char *const *fallbacks; /* as in model_request */
    const struct prompt *prompt;  /* its items before cut are summarised */
    size_t cut;
    const char *focus; /* NULL: nothing special */
    int64_t timeout_ms;
};

/* Once, from the loop, never from inside summary_start. result 0: text; else fault says why. The summary is
 * gone. */
typedef void summary_fn(void *arg, int result, const char *text, const struct model_usage *usage,
                        const struct fault *fault);

struct summary *summary_start(struct gateway *gw, const struct summary_request *request,
                              summary_fn *fn, void *arg) MUSTCHECK;
/* Stops the model; fn is not called any more. NULL ok; returns NULL. */
struct summary *summary_drop(struct summary *summary);

/* The conversation as text in pieces of at most that many tokens (estimate): JSON array of strings. Pure. */
struct json *summary_pieces(const struct prompt *prompt, size_t cut, size_t tokens) MUSTCHECK;

/* Adds up; -1 is not told. */
void summary_add_usage(struct model_usage *sum, const struct model_usage *more);
