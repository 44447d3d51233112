/* An answer as it grows: text, thinking and tool calls in the order they came, and at the end the content
 * parts of a transcript message (protocol.md 6.6). What a back end hears of a call comes in pieces; a
 * call is told only when its arguments are whole. */
#pragma once

#include "base/json.h"

#define CONTENT_PARTS_MAX 256
#define CONTENT_NO_INDEX  (-1) /* of a call whose server counts nothing */

struct content_part;

/* Embedded by its owner. */
struct content {
    struct content_part *parts;
    size_t count;
    size_t bytes; /* of all texts; over max: -ERR_TOO_LARGE */
    size_t max;
};

void content_init(struct content *content, size_t max);
void content_clear(struct content *content); /* empty again */
void content_done(struct content *content);

/* All return 0 or -ERR_TOO_LARGE. */
int content_text(struct content *content, const char *text, size_t length);
int content_thinking(struct content *content, const char *text, size_t length);
/* Ends the text or thinking that grows: what comes next is a part of its own. */
void content_break(struct content *content);
/* What proves the last thinking to its maker, replayed unchanged. hidden: thinking that the maker keeps to
 * itself and only this stands for. */
int content_signature(struct content *content, const char *text, size_t length, bool hidden);

/* A piece of a call. index: the server's number for it or CONTENT_NO_INDEX; id and name: NULL or "" when
 * this piece does not say. A new id under a known index begins another call. whole: text is all of the
 * arguments, not the next piece. */
struct content_piece {
    int64_t index;
    const char *id, *name;
    const char *text;
    size_t length;
    bool whole;
};
int content_call(struct content *content, const struct content_piece *piece);

bool content_has_calls(const struct content *content);

/* The parts as an array the caller owns: {type:"text",text}, {type:"thinking",thinking,thinkingSignature?,
 * redacted?}, {type:"toolCall",id,name,arguments}. Ids that are missing or twice there are made.
 * reached_limit: the answer ended at its length limit, so that its calls cannot be trusted to be whole.
 * NULL with a fault when a call is not whole. */
struct json *content_take(struct content *content, bool reached_limit, struct fault *reterr_fault)
    MUSTCHECK;
