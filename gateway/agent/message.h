/* The messages of a run, as they stand in the transcript (protocol.md 6.6). Pure; callers own what is
 * made. */
#pragma once

#include "gateway/model/model.h"

/* An answer that is not the run's last. */
struct message_answer {
    const struct json *content;
    const char *api, *provider, *model, *stop_reason;
    struct model_usage usage;
    int64_t at;
};
struct json *message_answer(const struct message_answer *answer) MUSTCHECK;

struct message_result {
    const char *call_id, *name;
    const struct json *content, *details; /* details NULL: none */
    bool is_error;
    int64_t at;
};
struct json *message_result(const struct message_result *result) MUSTCHECK;

/* [{type:"text",text}] */
struct json *message_text(const char *text) MUSTCHECK;
/* Every text part of a content array (or the string it is), joined; never NULL. */
char *message_words(const struct json *content) MUSTCHECK;
/* What a call is about, in a few words for a person: its command, path, address …; NULL: nothing short. */
char *message_meta(const struct json *arguments) MUSTCHECK;
