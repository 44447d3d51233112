/* A question for the person. It outlives the session when that ends before the answer comes; then the answer is
 * dropped. */
#include "tunnel/ssh/auth_internal.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

struct auth_question {
    struct ssh_question shown; /* what policy.ask is given */
    char prompt[257];
    struct ssh_auth *auth; /* NULL: gone */
};

/* What a terminal would act on becomes blank: C0, DEL, and C1, which UTF-8 spells C2 80 to C2 9F. */
static void clean(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c != '\0'; c++) {
        bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;

        if (*c < ' ' || *c == 127 || c1)
            *c = ' ';
        if (c1)
            *++c = ' ';
    }
}

/* The server's own words say whose they are: they must not pass for a question about a key file or another host. */
static void write_prompt(const struct ssh_auth *auth, enum ssh_question_kind kind,
                         const char *prompt, char *out, size_t size)
{
    const struct ssh_host *host = &auth->ssh->host;

    if (kind == SSH_ASK_INTERACTIVE)
        (void)snprintf(out, size, "(%.60s@%.100s) %s", host->user, host->hostname, prompt);
    else
        (void)snprintf(out, size, "%s", prompt);
    clean(out);
}

bool auth_ask(struct ssh_auth *auth, enum ssh_question_kind kind, const char *prompt, bool echo)
{
    const struct ssh_policy *policy = auth->ssh->policy;
    struct auth_question *question;

    if (policy->ask == NULL)
        return false;
    question = NEW(struct auth_question);
    write_prompt(auth, kind, prompt, question->prompt, sizeof question->prompt);
    question->shown = (struct ssh_question){.kind = kind, .prompt = question->prompt, .echo = echo};
    question->auth = auth;
    auth->question = question;
    policy->ask(policy->arg, &question->shown);
    return true;
}

void ssh_answer(struct ssh_question *shown, const char *answer)
{
    struct auth_question *question = CONTAINER(shown, struct auth_question, shown);
    struct ssh_auth *auth = question->auth;

    mem_free(question);
    if (auth == NULL)
        return;
    auth->question = NULL;
    auth->answer = auth_wipe(auth->answer);
    auth->answer = mem_string(answer);
    auth->answered = true;
    if (auth->on_answer != NULL)
        auth->on_answer(auth);
    else
        ssh_turn_soon(auth->ssh);
}

void auth_forget_answer(struct ssh_auth *auth)
{
    auth->answer = auth_wipe(auth->answer);
    auth->answered = false;
}

void auth_question_leave(struct ssh_auth *auth)
{
    if (auth->question != NULL)
        auth->question->auth = NULL;
    auth->question = NULL;
}
