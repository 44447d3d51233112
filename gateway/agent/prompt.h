/* The messages that a model is asked with: made from the transcript's rows, each answer behind its question
 * and each tool's result behind its call, grown during the run, cut where they no longer fit. Pure; any
 * thread, one at a time. */
#pragma once

#include "base/json.h"
#include "store/store.h"

enum prompt_kind { PROMPT_USER, PROMPT_ASSISTANT, PROMPT_RESULT };

struct prompt_item {
    enum prompt_kind kind;
    int64_t seq;   /* transcript row; 0: of this run, or made here */
    size_t tokens; /* estimate, budget.h */
};

struct prompt {
    struct json *messages;     /* array for model_request, one message per item */
    struct prompt_item *items; /* owned */
    size_t count, tokens;      /* tokens of all items */
    int64_t question_seq;      /* of the message to answer, the last of them; 0: none */
    int64_t question_first;    /* the first, where several are answered together; else the same */
    bool summarized;           /* the first item is a summary of what was before */
};

void prompt_init(struct prompt *prompt);
void prompt_done(struct prompt *prompt); /* contents; may be init'ed again */
/* Takes the message. */
void prompt_add(struct prompt *prompt, struct json *message, int64_t seq);

/* Fills an empty prompt from rows in rising order: what the newest compaction entry summarises is replaced
 * by its summary; what came after the message to answer and belongs to no earlier run is left out, its turn
 * comes later. user_seq 0: everything (nothing is to be answered). */
void prompt_load(struct prompt *prompt, const struct store_row *rows, size_t count,
                 int64_t user_seq);

/* The first item to keep so that what is kept is about keep tokens: never a tool's result without its call,
 * if possible a user's message, always at least one item. 0: there is nothing to cut. */
size_t prompt_cut(const struct prompt *prompt, size_t keep);
/* Transcript seq up to which everything lies before that item; 0: nothing does. */
int64_t prompt_through(const struct prompt *prompt, size_t cut);
/* Replaces the items before cut by a summary; NULL: by a note that they are not shown. The message to answer
 * stays in any case. */
void prompt_replace(struct prompt *prompt, size_t cut, const char *summary);
/* Shortens long tool results, oldest first, until the estimate is at most room; the newest `keep` items stay
 * as they are. */
void prompt_shorten(struct prompt *prompt, size_t room, size_t keep);

/* ---- compaction entries, as they stand in the transcript ---- */

/* {role:"system", content:[{type:"text",text:"Compaction"}], compaction:{summary, throughSeq, tokensBefore,
 * tokensAfter}, timestamp}: history shows the content, prompt_load reads the rest. Caller owns. */
struct prompt_compaction {
    const char *summary;
    int64_t through_seq, tokens_before, tokens_after, at;
};
char *prompt_compaction_entry(const struct prompt_compaction *compaction) MUSTCHECK;
/* The summary of such a message; NULL: it is something else. */
const char *prompt_summary_of(const struct json *message, int64_t *ret_through_seq);
