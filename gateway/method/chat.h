/* What the chat group's files share with one another and with sessions.send. */
#pragma once

#include "base/field.h"

struct call;
struct gateway;

/* A message into a session, as chat.send and sessions.send ask for it. Ends the call. */
struct chat_message {
    const char *session_key, *agent_id;      /* as given; agent_id may be NULL */
    const char *message, *run_id, *thinking; /* thinking may be NULL */
    const struct json *attachments;
    int64_t timeout_ms;     /* < 0: as configured */
    bool existing;          /* refused where no such session is */
    bool deliver;           /* to a channel as well */
    bool literal;           /* not a command, whatever it looks like */
    const char *queue_mode; /* NULL or "": as the session has it */
};
/* What of a message chat_admit looks at. */
struct chat_wish {
    const char *message, *thinking; /* NULL: none */
    bool deliver, literal;
};
extern const struct field chat_send_reply[];
extern const struct field attachment_rows[]; /* what every method takes in `attachments` */
/* A run that failed: error and payload both say so, as protocol.md 6.1 and 6.2 have it. */
int chat_fail_run(struct call *call, const char *run_id, const char *error);
/* Whether that message may go to that session: its policy and agent, levels that exist, commands that need
 * admin, delivery that nobody could do. False: the call is answered. */
bool chat_admit(struct call *call, const char *key, const struct chat_wish *wish);
int chat_submit(struct call *call, const struct chat_message *message);

/* chat_history.c */
struct chat_history;
extern const struct field chat_history_fields[], chat_history_reply[];
extern const struct field chat_message_get_fields[], chat_message_get_reply[];
extern const struct field chat_metadata_fields[], chat_metadata_reply[];
struct chat_history {
    const char *session_key, *agent_id;
    int64_t limit, offset, max_chars, max_bytes;
};
struct chat_message_get {
    const char *session_key, *agent_id, *message_id;
    int64_t max_chars;
};
struct chat_metadata {
    const char *session_key, *agent_id;
};
int chat_history_run(struct call *call, const void *params);
int chat_startup_run(struct call *call, const void *params);
int chat_message_get_run(struct call *call, const void *params);
int chat_metadata_run(struct call *call, const void *params);
