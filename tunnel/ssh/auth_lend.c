/* Two things of libssh2's authentication take long inside one call: opening a key file with a passphrase (bcrypt, a
 * tenth of a second to seconds) and keyboard-interactive, whose questions must be answered inside its callback. So the
 * whole session is lent to a job of the pool for that call: ssh->lent, and nobody else touches libssh2 until it is
 * back. A question goes to the loop as a message; the job waits for the answer, or for the end of everything.
 *
 * Path: auth_lend has the job started at the end of the turn and says EAGAIN; lend_on_done gives the session back; the next auth_lend gives the
 * call's result. */
#include "tunnel/ssh/auth_internal.h"

#include "base/io/work.h"
#include "base/mem.h"

#include <pthread.h>
#include <string.h>

#define LEND_PROMPTS_MAX 8 /* of one round; more get no answer */

struct auth_loan {
    struct ssh *ssh;
    struct op op;
    int (*call)(struct ssh_auth *auth);
    int result;
    bool over;

    pthread_mutex_t lock; /* what follows is for both */
    pthread_cond_t changed;
    bool posted, answered, cancelled;
    char prompt[257];
    bool echo;
    char *answer; /* NULL: none; wiped */
};

static void loan_free(struct auth_loan *loan)
{
    struct ssh *ssh = loan->ssh;

    auth_wipe(loan->answer);
    (void)pthread_mutex_destroy(&loan->lock);
    (void)pthread_cond_destroy(&loan->changed);
    mem_free(loan);
    ssh_release(ssh);
}

/* ---- the job ---- */

static int lend_run(void *arg, struct fault *fault)
{
    struct auth_loan *loan = arg;

    (void)fault;
    loan->result = loan->call(loan->ssh->auth);
    return 0;
}

/* It is over, and no message of it is on its way any more. */
static void loan_leave(struct auth_loan *loan)
{
    bool posted;

    (void)pthread_mutex_lock(&loan->lock);
    posted = loan->posted;
    (void)pthread_mutex_unlock(&loan->lock);
    if (loan->over && !posted)
        loan_free(loan);
}

static void lend_on_done(struct op *op, int result)
{
    struct auth_loan *loan = CONTAINER(op, struct auth_loan, op);
    struct ssh *ssh = loan->ssh;

    ssh->lent = ssh->may_read = false;
    ssh->auth->lent_result = result < 0 ? LIBSSH2_ERROR_ALLOC : loan->result;
    ssh->auth->lent_over = true;
    ssh->auth->loan = NULL;
    loan->over = true;
    ssh_turn_soon(ssh);
    loan_leave(loan);
}

/* At the end of a turn, when nothing more of it touches the session. */
static void lend_start(void *arg)
{
    struct ssh *ssh = arg;
    struct auth_loan *loan = NEW(struct auth_loan);

    loan->ssh = ssh;
    loan->call = ssh->auth->lend_call;
    (void)pthread_mutex_init(&loan->lock, NULL);
    (void)pthread_cond_init(&loan->changed, NULL);
    ssh->auth->loan = loan;
    ssh->lent = ssh->may_read = true;
    ssh->socket_empty = false;
    ssh->turn_read = 0;
    ssh_hold(ssh);
    op_init(&loan->op, ssh->loop, lend_on_done, /* deadline_ms= */ 0);
    work_run(&loan->op, lend_run, loan, NULL);
}

int auth_lend(struct ssh_auth *auth, int (*call)(struct ssh_auth *auth))
{
    if (auth->lent_over) {
        auth->lent_over = false;
        return auth
            ->lent_result; /* also EAGAIN: when the socket has something, the next job goes on */
    }
    auth->lend_call = call;
    auth->ssh->after = lend_start;
    return LIBSSH2_ERROR_EAGAIN;
}

void ssh_auth_cancel(struct ssh_auth *auth)
{
    struct auth_loan *loan = auth != NULL ? auth->loan : NULL;

    if (loan == NULL)
        return;
    (void)pthread_mutex_lock(&loan->lock);
    loan->cancelled = true;
    (void)pthread_cond_signal(&loan->changed);
    (void)pthread_mutex_unlock(&loan->lock);
}

/* ---- questions of the job ---- */

static void lend_on_answer(struct ssh_auth *auth)
{
    struct auth_loan *loan = auth->loan;

    auth->on_answer = NULL;
    if (loan == NULL)
        return;
    (void)pthread_mutex_lock(&loan->lock);
    loan->answer = mem_string(auth->answer);
    loan->answered = true;
    (void)pthread_cond_signal(&loan->changed);
    (void)pthread_mutex_unlock(&loan->lock);
    auth_forget_answer(auth);
}

/* On the loop. */
static void lend_ask(void *arg)
{
    struct auth_loan *loan = arg;
    struct ssh *ssh = loan->ssh;
    bool wanted;

    (void)pthread_mutex_lock(&loan->lock);
    loan->posted = false;
    wanted = !loan->cancelled;
    (void)pthread_mutex_unlock(&loan->lock);
    if (wanted && !loan->over && !ssh->closed && !ssh->doomed) {
        ssh->auth->on_answer = lend_on_answer;
        if (!auth_ask(ssh->auth, SSH_ASK_INTERACTIVE, loan->prompt, loan->echo))
            lend_on_answer(ssh->auth); /* with none */
    }
    loan_leave(loan);
}

/* In the job. The caller wipes it; NULL: no answer will come. */
static char *lend_question(struct auth_loan *loan, const char *prompt, size_t length, bool echo)
{
    char *answer;

    (void)pthread_mutex_lock(&loan->lock);
    if (!loan->cancelled) {
        loan->answered = false;
        loan->posted = true;
        loan->echo = echo;
        if (length >= sizeof loan->prompt)
            length = sizeof loan->prompt - 1;
        memcpy(loan->prompt, prompt, length);
        loan->prompt[length] = '\0';
        loop_post(loan->ssh->loop, lend_ask, loan);
    }
    while (!loan->answered && !loan->cancelled)
        (void)pthread_cond_wait(&loan->changed, &loan->lock);
    answer = TAKE(loan->answer);
    if (answer == NULL)
        loan->cancelled = true; /* nobody: no further question */
    (void)pthread_mutex_unlock(&loan->lock);
    return answer;
}

/* ---- keyboard-interactive, in the job ---- */

static void interactive_on_prompts(const char *name, int name_len, const char *instruction,
                                   int instruction_len, int num_prompts,
                                   const LIBSSH2_USERAUTH_KBDINT_PROMPT *prompts,
                                   LIBSSH2_USERAUTH_KBDINT_RESPONSE *responses, void **abstract)
{
    struct ssh *ssh = *abstract;

    (void)name;
    (void)name_len;
    (void)instruction;
    (void)instruction_len;
    for (int i = 0; i < num_prompts && i < LEND_PROMPTS_MAX; i++) {
        char *answer = lend_question(ssh->auth->loan, prompts[i].text, prompts[i].length,
                                     prompts[i].echo != 0);
        size_t length = answer != NULL ? strlen(answer) : 0;
        void *lib = ssh;

        responses[i].text = ssh_lib_alloc(length + 1, &lib);
        memcpy(responses[i].text, answer != NULL ? answer : "", length + 1);
        responses[i].length = (unsigned)length;
        auth_wipe(answer);
    }
}

int auth_interactive_call(struct ssh_auth *auth)
{
    const char *user = auth->ssh->host.user;

    return libssh2_userauth_keyboard_interactive_ex(auth->ssh->lib, user, (unsigned)strlen(user),
                                                    interactive_on_prompts);
}
