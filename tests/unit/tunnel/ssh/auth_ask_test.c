/* A question is one line that a terminal prints and does not act on, and the server's own words say whose they are. */
#include "base/mem.h"
#include "tests/t.h"
#include "tunnel/ssh/auth_internal.h"

#include <stdio.h>

struct asked {
    struct ssh ssh;
    struct ssh_policy policy;
    struct ssh_auth auth;
    struct ssh_question *question;
};

static void on_ask(void *arg, struct ssh_question *question)
{
    struct asked *asked = arg;

    asked->question = question;
}

static void expect(enum ssh_question_kind kind, const char *prompt, const char *shown)
{
    char user[] = "me", host[] = "gw.example.org";
    struct asked *asked = NEW(struct asked);

    asked->policy = (struct ssh_policy){.arg = asked, .ask = on_ask};
    asked->ssh.policy = &asked->policy;
    asked->ssh.host.user = user;
    asked->ssh.host.hostname = host;
    asked->auth.ssh = &asked->ssh;
    t_ok(auth_ask(&asked->auth, kind, prompt, /* echo= */ false));
    t_str(asked->question->prompt, shown);
    auth_question_leave(&asked->auth);
    ssh_answer(asked->question, NULL);
    mem_free(asked);
}

T(the_servers_words_say_whose_they_are)
{
    expect(SSH_ASK_INTERACTIVE, "Passphrase for ~/.ssh/id_ed25519: ",
           "(me@gw.example.org) Passphrase for ~/.ssh/id_ed25519: ");
    expect(SSH_ASK_PASSPHRASE,
           "Passphrase for ~/.ssh/id_ed25519: ", "Passphrase for ~/.ssh/id_ed25519: ");
}

T(a_terminal_acts_on_none_of_it)
{
    expect(SSH_ASK_INTERACTIVE,
           "a\x1b[2J\nb\x7f\xc2\x9b"
           "31mc\xc3\xa9",
           "(me@gw.example.org) a [2J b   31mc\xc3\xa9");
}
