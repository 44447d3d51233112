/* Transcripts: what was said in a session, as messages of protocol.md 6.6. Appending happens in a batch
 * together with what belongs to it; reading goes through the store's reader (store_messages_read). */
#pragma once

#include "base/crypto.h"
#include "gateway/model/model.h"
#include "gateway/session/session.h"

#define TRANSCRIPT_HISTORY_BYTES (6 * 1024 * 1024) /* of one chat.history answer; protocol.md 6.6 */
#define TRANSCRIPT_PREVIEW_MAX   240               /* bytes of lastMessagePreview */
#define TRANSCRIPT_TITLE_MAX     60                /* bytes of derivedTitle */

/* One message to append; all borrowed. */
struct transcript_message {
    const char *role;    /* "user", "assistant", "toolResult" */
    const char *run_id;  /* NULL: none */
    const char *text;    /* what lists show of it; NULL: nothing */
    const char *message; /* the JSON object */
};
/* Gives it the session's next seq and a fresh id, puts it into the batch and emits session.message
 * there. The session's row (preview, title, count) is changed but not put. Returns the seq. */
int64_t transcript_append(struct gateway *gw, struct session *session, struct store_batch *batch,
                          const struct transcript_message *message, char ret_id[UUID_TEXT]);

/* Builders; the caller owns the text. */
/* images: image parts as a JSON array text of {type,data,mimeType}, NULL: none. */
char *transcript_user(const char *text, const char *images, const char *run_id, int64_t at)
    MUSTCHECK;
struct transcript_answer {
    const char *text; /* "" allowed: no content part */
    size_t length;
    const struct json *content; /* the parts instead of the text; NULL: text is all */
    const char *api, *provider, *model, *stop_reason;
    const char *error; /* errorMessage, NULL: none */
    const char
        *abort_origin; /* "rpc", "stop", "timeout", "interrupted"; NULL: it ended by itself */
    const char *run_id;
    struct model_usage usage; /* -1: not told */
    struct gateway *priced;   /* cost by that configuration's prices; NULL: none is told */
    int64_t at;
};
char *transcript_answer(const struct transcript_answer *answer) MUSTCHECK;
/* The result of a call that a tool never gave. */
char *transcript_tool_error(const char *call_id, const char *tool, const char *error, int64_t at)
    MUSTCHECK;
/* usage{input,output,cacheRead,cacheWrite,totalTokens,cost}. */
void transcript_write_usage(const struct model_usage *usage, struct json_writer *w);
/* The same with what it cost, where the model has prices. gw NULL: none. */
void transcript_write_priced(struct gateway *gw, const char *provider, const char *model,
                             const struct model_usage *usage, struct json_writer *w);

/* A stored row as history shows it to that protocol version (v4: with __openclaw). max_chars 0: whole. */
void transcript_write_row(const struct store_row *row, int version, int64_t max_chars,
                          struct json_writer *w);
/* The text of a message's content, all text parts joined; caller owns, never NULL. */
char *transcript_text(const struct json *message) MUSTCHECK;
/* Cuts at a UTF-8 boundary, at most max bytes, white space folded to single blanks. Caller owns. */
char *transcript_excerpt(const char *text, size_t max) MUSTCHECK;
