/* Which private key files really let us in: what key.c calls usable is. */
#include "base/buf.h"
#include "tests/rig/sshd_rig.h"
#include "tunnel/ssh/key.h"
#include "tunnel/ssh/session.h"

#include <stddef.h>

struct attempt {
    struct op op;
    struct ssh *ssh;
    bool ended;
    int result, asked;
    struct ssh_question *question;
    struct defer answer;
};

static void on_open(struct op *op, int result)
{
    struct attempt *attempt = CONTAINER(op, struct attempt, op);

    attempt->ended = true;
    attempt->result = result;
}

static void on_asked(void *arg)
{
    struct attempt *attempt = arg;

    ssh_answer(attempt->question, "secret");
}

static void on_ask(void *arg, struct ssh_question *question)
{
    struct attempt *attempt = arg;

    attempt->asked++;
    attempt->question = question;
    defer_start(attempt->op.loop, &attempt->answer, on_asked, attempt);
}

static void on_beat(void *arg)
{
    (void)arg;
}

static int sign_in(struct sshd_rig *rig, const char *identity, struct attempt *attempt)
{
    struct ssh_options options = {.config_file = rig->config, .identity = identity};
    struct ssh_policy policy = {.secrets = ssh_secrets_new(), .arg = attempt, .ask = on_ask};
    struct timer beat = {0};
    int64_t until = loop_now(rig->loop) + 20000;

    *attempt = (struct attempt){.result = 1};
    op_init(&attempt->op, rig->loop, on_open, 0);
    ssh_open(&attempt->op, &rig->target, &options, &policy, NULL, NULL, &attempt->ssh);
    timer_start(rig->loop, &beat, 200, 200, on_beat, NULL);
    while (!attempt->ended && loop_now(rig->loop) < until)
        (void)loop_turn(rig->loop, true);
    timer_stop(rig->loop, &beat);
    t_ok(attempt->ended);
    ssh_close(attempt->ssh);
    ssh_secrets_free(policy.secrets);
    return attempt->result;
}

/* ECDSA in OpenSSH's own format works too, but libssh2 1.10 leaks a number of it each time. */
T(formats)
{
    static const struct {
        const char *name, *type, *bits, *phrase, *format;
    } rows[] = {
        {"ed", "ed25519", "256", "", "RFC4716"},
        {"ed-locked", "ed25519", "256", "secret", "RFC4716"},
        {"ec-pem", "ecdsa", "256", "", "PEM"},
        {"ec-pem-locked", "ecdsa", "521", "secret", "PEM"},
        {"ec-p8", "ecdsa", "256", "", "PKCS8"},
        {"ec-p8-locked", "ecdsa", "256", "secret", "PKCS8"},
    };
    CLEAN(loop_free) struct loop *loop = loop_new(LOOP_REAL);
    struct sshd_rig *rig = sshd_rig_new(loop, "");

    if (!rig)
        return;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *argv[] = {"ssh-keygen", "-q",           "-t", rows[i].type,
                              "-b",         rows[i].bits,   "-N", rows[i].phrase,
                              "-m",         rows[i].format, "-f", sshd_rig_path(rig, rows[i].name),
                              NULL};
        struct key_file key = {0};
        struct attempt attempt;
        CLEAN(mem_free) char *path = mem_string(sshd_rig_path(rig, rows[i].name));

        t_eq(sshd_rig_run(argv), 0);
        sshd_rig_write(rig, "authorized_keys", "");
        sshd_rig_authorize(rig, rows[i].name, "");
        t_eq(key_file_read(path, &key, NULL), 0);
        t_ok(key.use == KEY_USABLE || key.use == KEY_ENCRYPTED);
        key_file_done(&key);
        int r = sign_in(rig, path, &attempt);
        t_eq(attempt.asked, *rows[i].phrase ? 1 : 0);
        if (r != 0)
            t_str(rows[i].name, attempt.op.fault.text);
    }
    sshd_rig_free(rig);
}
