/* A question for the person. It outlives the session when that ends before the answer comes; then the answer is
 * dropped. */
#include "tunnel/ssh/auth_internal.h"

#include "base/mem.h"

#include <string.h>

struct auth_question {
    struct ssh_question shown; /* what policy.ask is given */
    char prompt[257];
    struct ssh_auth *auth; /* NULL: gone */
};

bool auth_ask(struct ssh_auth *auth, enum ssh_question_kind kind, const char *prompt, bool echo)
{
    const struct ssh_policy *policy = auth->ssh->policy;
    struct auth_question *question;
    size_t n = 0;

    if (policy->ask == NULL)
        return false;
    question = NEW(struct auth_question);
    for (; *prompt != '\0' && n + 1 < sizeof question->prompt; prompt++)
        question->prompt[n++] = (unsigned char)*prompt >= ' ' && *prompt != 127 ? *prompt : ' ';
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
