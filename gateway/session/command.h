/* Slash commands: a message that is one is answered by the gateway, not by a model. One row each; the
 * same rows make commands.list. protocol.md 6.2, providers.md 0.5. */
#pragma once

#include "gateway/session/session.h"

struct command {
    const char *name;       /* without the slash */
    const char *aliases[3]; /* further spellings with their slash, NULL-terminated */
    const char *description, *category;
    bool resets; /* starts the session anew: `agent` asks admin for it */
    /* Changes the session into the batch (which also ends the turn) and writes the answer. NULL: not run
     * in a lane (/stop works at once). */
    void (*run)(struct gateway *gw, struct session *session, struct store_batch *batch,
                struct buf *answer);
};
extern const struct command commands[]; /* ended by a NULL name */

/* The command a message is, NULL when it is none: a leading slash and a known name, alone ("/new",
 * " /New ", "/new:"). Only resetting commands may carry text behind the name, the first message of the
 * new session: *ret_rest (may be NULL) points at it in message, or is "". */
const struct command *command_of(const char *message, const char **ret_rest);
void commands_write(struct json_writer *w); /* the array of commands.list */
/* "/stop" or one of the stop words, alone. */
bool command_is_stop(const char *message);
