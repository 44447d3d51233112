/* Slash commands: a message that is one is answered by the gateway, not by a model. One row each; the
 * same rows make commands.list. protocol.md 6.2, providers.md 0.5. */
#pragma once

#include "gateway/session/session.h"

/* What a command has to work with. It changes the session into the batch (which also ends the turn) and
 * writes the answer. */
struct command_call {
    struct gateway *gw;
    struct session *session;
    struct store_batch *batch;
    const char *argument; /* what stood behind the name; "": nothing */
    struct buf *answer;
};

/* A command that takes its time: done is called once, later, with the answer. */
struct command_work;
typedef void command_done_fn(void *arg, const char *text);

struct command {
    const char *name;       /* without the slash */
    const char *aliases[4]; /* further spellings with their slash, NULL-terminated */
    const char *description, *category;
    const char *argument; /* what may follow, as help shows it; NULL: nothing may */
    bool
        resets; /* starts the session anew, what follows is its first message: `agent` asks admin for it */
    bool admin; /* what it sets needs admin of a v4 client, as sessions.patch does */
    void (*run)(const struct command_call *c); /* NULL: not run in a lane (/stop works at once) */
    /* Instead of run. The work is over with done, or with command_stop_work, which does not call it. */
    struct command_work *(*start)(struct gateway *gw, struct session *session, const char *argument,
                                  command_done_fn *done, void *arg);
};
extern const struct command commands[]; /* ended by a NULL name */

/* The command a message is, NULL when it is none: a leading slash and a known name ("/new", " /New ",
 * "/think: high"). Only rows with an argument may carry text behind the name: *ret_rest (may be NULL)
 * points at it in message, or is "". */
const struct command *command_of(const char *message, const char **ret_rest);
/* "/think high What is …": the level holds for that message alone. True: *level is set (static text) and
 * *message moved behind it. */
bool command_thinks(const char **message, const char **ret_level);
void commands_write(struct json_writer *w); /* the array of commands.list */
/* "/stop" or one of the stop words, alone. */
bool command_is_stop(const char *message);

/* command_session.c, command_setting.c */
void command_new(const struct command_call *c);
void command_status(const struct command_call *c);
void command_usage(const struct command_call *c);
void command_help(const struct command_call *c);
void command_model(const struct command_call *c);
void command_models(const struct command_call *c);
void command_think(const struct command_call *c);
void command_verbose(const struct command_call *c);
void command_reasoning(const struct command_call *c);
void command_queue(const struct command_call *c);
void command_send(const struct command_call *c);

/* command_compact.c */
struct command_work *command_compact(struct gateway *gw, struct session *session,
                                     const char *argument, command_done_fn *done, void *arg);
void command_stop_work(struct command_work *work);
