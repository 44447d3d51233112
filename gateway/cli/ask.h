/* A tunnel's questions (a passphrase, a password) put to the person at the terminal, one after the other, the same one once. */
#pragma once

#include "gateway/cli/tty.h"
#include "tunnel/tunnel.h"

#define ASK_WAITING_MAX 8

typedef void ask_answer_fn(void *arg, struct tunnel_question *question, const char *answer);

struct ask {
    struct loop *loop;
    ask_answer_fn *answer; /* exactly once per question; NULL: nobody answered */
    void *arg;
    struct op op;
    struct tunnel_question *waiting[ASK_WAITING_MAX]; /* the first is being asked */
    size_t count;
    char *text;
    bool asking;
};

void ask_init(struct ask *ask, struct loop *loop, ask_answer_fn *answer, void *arg);
void ask_put(struct ask *ask, struct tunnel_question *question);
/* The terminal is given back; questions that still wait are forgotten (the tunnel that asked is gone). */
void ask_done(struct ask *ask);
