/* What auth.c (which method when), auth_keys.c (which key when), auth_sign.c (one key) and auth_ask.c (a person)
 * share. */
#pragma once

#include "tunnel/ssh/agent.h"
#include "tunnel/ssh/key.h"
#include "tunnel/ssh/known_hosts.h"
#include "tunnel/ssh/session_internal.h"

#define AUTH_KEYS_MAX (AGENT_KEYS_MAX + SSH_FILES_MAX)
#define AUTH_ASKS_MAX 3 /* for one passphrase or password */

struct auth_key {
    const struct agent_key *agent; /* or … */
    struct key_file *file;
    const char *label; /* for people: the file or the agent's comment */
    int rank;
};

enum auth_sign_state { AUTH_SIGN_NONE, AUTH_SIGN_WAITS, AUTH_SIGN_DONE };
struct auth_question;
struct auth_loan;

struct ssh_auth {
    struct ssh *ssh;
    bool (*advance)(struct ssh_auth *auth); /* true: authenticated */
    char methods[256];                      /* of the server */
    struct agent *agent;
    struct op list, sign;
    bool listing;
    struct agent_keys agent_keys;
    struct key_file files[SSH_FILES_MAX];
    size_t file_count;
    struct auth_key keys[AUTH_KEYS_MAX];
    size_t key_count, at, offered;

    enum auth_sign_state sign_state;
    struct buf signature;
    bool offering, wants_passphrase; /* the key that is tried */
    char *pub;                       /* of the key file that is tried, as its .pub has it */

    struct auth_question *question; /* asked, not answered */
    char *answer;                   /* its answer until it is used; wiped */
    bool answered;                  /* answer NULL: nobody */
    unsigned asks;
    void (*on_answer)(struct ssh_auth *auth); /* NULL: the next turn sees it */

    int (*lend_call)(struct ssh_auth *auth);
    struct auth_loan *loan; /* the session is lent to a job */
    bool lent_over;
    int lent_result;
    char *passphrase; /* given to libssh2 for the key that is tried; wiped */

    struct buf tried;  /* for the error: what was tried and how it went */
    char lacking[300]; /* a key that libssh2 cannot use; "" */
    char trouble[300]; /* agent or file that could not be used; "" */
};

/* auth.c */
bool auth_lost(struct ssh_auth *auth, int r);
/* auth_keys.c */
void auth_keys_load(struct ssh_auth *auth); /* files now, the agent's list by and by */
void auth_keys_order(struct ssh_auth *auth);
void auth_keys_done(struct ssh_auth *auth);
/* auth_sign.c: LIBSSH2_ERROR_EAGAIN, 0, or refused. */
int auth_key_try(struct ssh_auth *auth, const struct auth_key *key);
void auth_key_over(struct ssh_auth *auth); /* the next one starts anew */
/* auth_lend.c: runs call in the pool with libssh2's session; EAGAIN until it is over, then its result. */
int auth_lend(struct ssh_auth *auth, int (*call)(struct ssh_auth *auth));
int auth_interactive_call(struct ssh_auth *auth);
/* auth_ask.c */
bool auth_ask(struct ssh_auth *auth, enum ssh_question_kind kind, const char *prompt,
              bool echo); /* false: nobody to ask */
void auth_forget_answer(struct ssh_auth *auth);
void auth_question_leave(struct ssh_auth *auth);
char *auth_wipe(char *text);
void auth_note(struct ssh_auth *auth, const char *format, ...) PRINTF(2, 3);
