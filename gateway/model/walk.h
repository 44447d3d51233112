/* A transcript as the APIs of models want it: user, assistant, and right behind an assistant's tool calls
 * one result for each. providers.md 8.1 to 8.4, protocol.md 6.6. Pure. */
#pragma once

#include "base/json.h"

enum walk_role { WALK_USER, WALK_ASSISTANT, WALK_RESULT };

struct walk_step {
    enum walk_role role;
    const struct json *message; /* NULL: a result that never came */
    const struct json *content; /* text or parts; NULL with message */
    const struct json *call;    /* of a result: the toolCall it answers */
    bool is_error;              /* of a result */
};

/* Embedded by its owner; messages is borrowed. */
struct walk {
    const struct json *at; /* the message to come */
    const struct json
        *calling; /* the assistant's message whose calls are being answered; NULL: none */
    const struct json *call; /* its next one */
};

void walk_init(struct walk *walk, const struct json *messages);
/* The next step, borrowed from messages. False: that was all. An assistant that says and calls nothing, a
 * result that nobody asked for and roles that no model knows are left out. */
bool walk_next(struct walk *walk, struct walk_step *ret);

#define WALK_NO_RESULT "no result: interrupted"
#define UNSEEN_IMAGE   "(an image, which this model cannot see)"

/* Helpers for contents: a string, or an array of parts. */
bool part_is(const struct json *part, const char *type);
size_t content_count(const struct json *content, const char *type);
/* All text, joined, instead of what out holds. */
void content_text_of(const struct json *content, struct buf *out);
/* The text of a result, WALK_NO_RESULT for one that never came. */
void walk_result_text(const struct walk_step *step, struct buf *out);
/* What proves a thinking part to the model that thought it (thinkingSignature), where it may go back to:
 * the message's own model and API. NULL: it stays here. */
const char *walk_thought(const struct json *message, const struct json *part, const char *api,
                         const char *model);
/* The arguments of a toolCall as JSON text, "{}" for none. Caller owns. */
char *call_arguments_text(const struct json *call) MUSTCHECK;
