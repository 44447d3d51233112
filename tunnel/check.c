/* tunnel_check: the way to a gateway, walked once with every step told. check_begin opens a session, whose own steps are
 * told as they pass (check_on_step); check_reach.c asks what may be done over it; check_end ends the op. What is not
 * reached is told as skipped.
 *
 * Runs on the op's loop. Owns the session, the probes and copies of what it was given. */
#include "tunnel/check_internal.h"

#include "base/mem.h"
#include "tunnel/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const check_names[PLACE_END] = {
    [PLACE_CONFIG] = "configuration",
    [PLACE_NAME] = "name",
    [PLACE_TCP] = "tcp",
    [PLACE_SSH] = "ssh",
    [PLACE_HOST_KEY] = "host key",
    [PLACE_AUTH] = "authentication",
    [PLACE_BRIDGE] = "bridge",
    [PLACE_FORWARDING] = "forwarding",
    [PLACE_GATEWAY] = "gateway",
};

/* ---- telling ---- */

void check_tell(struct check *check, enum check_place place, enum tunnel_check_result result,
                const char *remedy, const char *format, ...)
{
    char detail[CHECK_TEXT];
    struct tunnel_check_step step = {
        .name = check_names[place], .result = result, .detail = detail, .remedy = remedy};
    va_list args;

    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    check->step(check->arg, &step);
}

static void check_free(struct check *check)
{
    defer_stop(check->loop, &check->begin);
    probe_stop(&check->probe);
    probe_stop(&check->bridge);
    op_drop(&check->opening);
    check->ssh = ssh_close(check->ssh);
    bridge_offer_done(&check->offer);
    ssh_secrets_free(check->policy.secrets);
    ssh_target_done(&check->target);
    tunnel_options_free(check->options);
    check->magic = 0;
    mem_free(check);
}

void check_end(struct check *check, int result, const struct fault *why)
{
    struct op *op = check->op;

    for (; check->at < PLACE_END; check->at++)
        if (result < 0 || check->options->no_gateway)
            check_tell(check, check->at, CHECK_SKIPPED, NULL, "not looked at");
    if (why)
        op->fault = *why;
    check_free(check);
    op_end(op, result);
}

/* The step at hand has failed, and with it the whole. */
void check_fail(struct check *check, const char *remedy, const struct fault *why)
{
    struct fault fault = *why;

    check_tell(check, check->at++, CHECK_FAILED, remedy, "%s", fault.text);
    check_end(check, fault.code, &fault);
}

/* ---- the session ---- */

static void check_passed(struct check *check, enum check_place place)
{
    struct ssh_facts facts;
    const char *said = check->detail[place];

    ssh_facts(check->ssh, &facts);
    if (!check->entered[place])
        check_tell(check, place, CHECK_SKIPPED, NULL, "%s",
                   place == PLACE_NAME ? "resolved on the way, not here" : "left to ssh");
    else if (place == PLACE_CONFIG)
        check_tell(check, place, CHECK_OK, NULL, "%s is %s@%s, port %d", check->target.host,
                   facts.user, facts.host, facts.port);
    else if (place == PLACE_NAME)
        check_tell(check, place, CHECK_OK, NULL, "found %s", check->detail[PLACE_TCP]);
    else if (place == PLACE_TCP && facts.address[0])
        check_tell(check, place, CHECK_OK, NULL, "%s port %d takes the connection", facts.address,
                   facts.port);
    else if (place == PLACE_TCP)
        check_tell(check, place, CHECK_OK, NULL, "reached %s", said);
    else if (place == PLACE_SSH)
        check_tell(check, place, CHECK_OK, NULL, "%s, %s", facts.banner, facts.algorithms);
    else if (place == PLACE_HOST_KEY)
        check_tell(check, place, CHECK_OK, NULL, "%s is the one known here", said);
    else
        check_tell(check, place, CHECK_OK, NULL, "%s is let in%s%s", facts.user,
                   facts.child    ? ", by the ssh program"
                   : facts.key[0] ? " by the key "
                                  : ", not by a key",
                   facts.key);
}

static void check_on_step(void *arg, enum ssh_step step, const char *detail)
{
    struct check *check = arg;
    enum check_place place = (enum check_place)step;

    CHECK(check, CHECK_MAGIC);
    if (step == SSH_STEP_READY)
        place = PLACE_BRIDGE;
    else
        snprintf(check->detail[place], sizeof(check->detail[place]), "%s", detail);
    check->entered[place] = true;
    while (check->at < place)
        check_passed(check, check->at++);
}

static void check_on_notice(void *arg, const char *text)
{
    struct check *check = arg;

    CHECK(check, CHECK_MAGIC);
    if (check->at < PLACE_END)
        check_tell(check, check->at, CHECK_NOTE, NULL, "%s", text);
}

/* The next command to try; into out. */
static const char *check_remedy(struct check *check, char out[CHECK_TEXT])
{
    struct ssh_facts facts;

    ssh_facts(check->ssh, &facts);
    const char *user = facts.user ? facts.user : "";
    const char *host = facts.host ? facts.host : check->target.host;
    if (check->entered[PLACE_TCP] && !check->entered[PLACE_NAME] && check->at <= PLACE_SSH) {
        snprintf(out, CHECK_TEXT,
                 "the way there is %s: try that alone (culvert tunnel check for a jump host, the "
                 "command itself by hand)",
                 check->detail[PLACE_TCP]);
        return out;
    }
    switch (check->at) {
    case PLACE_CONFIG:
        snprintf(out, CHECK_TEXT, "ssh -G %s shows what ssh makes of your configuration",
                 check->target.host);
        return out;
    case PLACE_NAME:
        snprintf(out, CHECK_TEXT, "getent hosts %s asks this machine the same", host);
        return out;
    case PLACE_TCP:
        snprintf(out, CHECK_TEXT,
                 "on the host: systemctl status ssh, and does it listen on port %d; from here: is "
                 "the network or the VPN up, does a firewall stand between",
                 facts.port);
        return out;
    case PLACE_SSH:
    case PLACE_AUTH:
        snprintf(out, CHECK_TEXT,
                 "ssh -v -p %d %s@%s true tells it in ssh's own words; on the "
                 "host: journalctl -u ssh",
                 facts.port, user, host);
        return out;
    case PLACE_HOST_KEY:
    case PLACE_BRIDGE:
    case PLACE_FORWARDING:
    case PLACE_GATEWAY:
    case PLACE_END:
    default: return NULL; /* the fault says all of it */
    }
}

static void check_on_opened(struct op *op, int result)
{
    struct check *check = CONTAINER(op, struct check, opening);
    char remedy[CHECK_TEXT];

    CHECK(check, CHECK_MAGIC);
    if (result < 0) {
        check_fail(check, check_remedy(check, remedy), &op->fault);
        return;
    }
    check_on_step(check, SSH_STEP_READY, "");
    if (check->options->no_gateway)
        check_end(check, 0, NULL);
    else
        check_reach(check);
}

/* ---- questions ---- */

/* The asked one's until the answer; the session takes one also after its end, but not while it asks. */
struct check_question {
    struct tunnel_question face;
    struct loop *loop;
    struct ssh_question *question;
    char *answer;
};

static void check_on_ask(void *arg, struct ssh_question *question)
{
    struct check *check = arg;
    struct check_question *asked = NEW(struct check_question);

    asked->loop = check->loop;
    asked->question = question;
    asked->face.kind = (int)question->kind;
    asked->face.echo = question->echo;
    snprintf(asked->face.prompt, sizeof(asked->face.prompt), "%s", question->prompt);
    check->options->ask(check->options->arg, &asked->face);
}

static void check_pass_answer(void *arg)
{
    struct check_question *asked = arg;

    ssh_answer(asked->question, asked->answer);
    mem_wipe_free(asked->answer, asked->answer ? strlen(asked->answer) : 0);
    mem_free(asked);
}

void tunnel_check_answer(struct tunnel_question *question, const char *answer)
{
    struct check_question *asked = CONTAINER(question, struct check_question, face);

    asked->answer = mem_string(answer);
    loop_post(asked->loop, check_pass_answer, asked);
}

/* ---- its start and its end ---- */

static void check_on_lost(void *arg, const struct fault *why)
{
    struct check *check = arg;

    CHECK(check, CHECK_MAGIC);
    check_fail(check, NULL, why);
}

static void check_begin(void *arg)
{
    static const struct ssh_events events = {.lost = check_on_lost};
    struct check *check = arg;
    const struct tunnel_options *options = check->options;
    struct fault why = {0};

    if (ssh_target_parse(options->target, &check->target, &why) < 0) {
        check_fail(check, NULL, &why);
        return;
    }
    check->ssh_options = (struct ssh_options){.config_file = options->config_file,
                                              .identity = options->identity,
                                              .ssh_program = options->ssh_program};
    check->policy = (struct ssh_policy){
        .accept_new = options->accept_new,
        .password = options->password,
        .allow_child = options->allow_child,
        .secrets = ssh_secrets_new(),
        .arg = check,
        .step = check_on_step,
        .notice = check_on_notice,
        .ask = options->ask ? check_on_ask : NULL,
    };
    op_init(&check->opening, check->loop, check_on_opened, 0);
    ssh_open(&check->opening, &check->target, &check->ssh_options, &check->policy, &events, check,
             &check->ssh);
}

/* ---- from outside ---- */

static void check_cancel(struct op *op, void *worker)
{
    struct check *check = worker;

    (void)op;
    CHECK(check, CHECK_MAGIC);
    check_free(check);
}

void tunnel_check(struct op *op, const struct tunnel_options *options,
                  void (*step)(void *arg, const struct tunnel_check_step *step), void *arg)
{
    struct check *check = NEW(struct check);

    check->magic = CHECK_MAGIC;
    check->op = op;
    check->loop = op->loop;
    check->options = tunnel_options_copy(options);
    check->step = step;
    check->arg = arg;
    op_start(op, check_cancel, check);
    defer_start(check->loop, &check->begin, check_begin, check);
}
