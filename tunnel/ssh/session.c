/* A session's life: opened, ready, lost or closed. The way to ready is session_connect.c, what moves it then is
 * session_turn.c.
 *
 * Owns: struct ssh and all that hangs from it. It is freed by ssh_close alone, or, when that is called from inside
 * a turn (a callback closed it), at the end of that turn. */
#include "tunnel/ssh/session_internal.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void ssh_shut(struct ssh *ssh, bool goodbye);

/* ---- open ---- */

static void ssh_on_cancel(struct op *op, void *worker)
{
    struct ssh *ssh = worker;

    (void)op;
    CHECK(ssh, SSH_MAGIC);
    ssh->op = NULL;
    ssh->doomed = true; /* nobody to tell */
    if (ssh->holds == 0)
        ssh_shut(ssh, /* goodbye= */ true);
    else
        ssh_turn_soon(ssh);
}

static struct ssh *ssh_new(struct op *op, const struct ssh_policy *policy)
{
    struct ssh *ssh = NEW(struct ssh);

    ssh->magic = SSH_MAGIC;
    ssh->loop = op->loop;
    ssh->op = op;
    ssh->policy = policy;
    ssh->fd = -1;
    ssh->rtt_ms = -1;
    ssh->watched = -1;
    ssh->carrier = &ssh_carrier_library;
    op_start(op, ssh_on_cancel, ssh);
    return ssh;
}

void ssh_open(struct op *op, const struct ssh_target *target, const struct ssh_options *options,
              const struct ssh_policy *policy, const struct ssh_events *events, void *arg,
              struct ssh **ret)
{
    struct ssh *ssh = ssh_new(op, policy);

    ssh_library_start();
    *ret = ssh;
    if (events != NULL)
        ssh->events = *events;
    ssh->arg = arg;
    ssh->target.user = mem_string(target->user);
    ssh->target.host = mem_string(target->host);
    ssh->target.port = target->port;
    if (options != NULL) {
        ssh->config_file = mem_string(options->config_file);
        ssh->identity = mem_string(options->identity);
        ssh->ssh_program = mem_string(options->ssh_program);
    }
    ssh_connect_start(ssh);
}

/* A jump host on the way to inner: configured like any other, but for what inner's ProxyJump says. */
int ssh_open_hop(struct op *op, const char *target, const char *via, struct ssh *inner,
                 struct ssh **ret, struct fault *reterr_fault)
{
    struct ssh *ssh;
    struct ssh_target parsed = {0};
    int r = ssh_target_parse(target, &parsed, reterr_fault);

    if (r < 0)
        return r;
    ssh = ssh_new(op, inner->policy);
    ssh->inner = inner;
    ssh->via = via;
    ssh->depth = inner->depth + 1;
    ssh->target = parsed;
    ssh->config_file = mem_string(inner->config_file);
    ssh->identity = mem_string(inner->identity);
    ssh->ssh_program = mem_string(inner->ssh_program);
    *ret = ssh;
    ssh_connect_start(ssh);
    return 0;
}

void ssh_step_enter(struct ssh *ssh, enum ssh_step step, const char *format, ...)
{
    char detail[512];
    va_list args;

    ssh->step = step;
    if (ssh->policy->step == NULL || ssh->closed || ssh->inner != NULL)
        return;
    va_start(args, format);
    (void)vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    ssh->policy->step(ssh->policy->arg, step, detail);
}

void ssh_notice(struct ssh *ssh, const char *format, ...)
{
    char text[512];
    va_list args;

    if (ssh->policy->notice == NULL || ssh->closed)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ssh->policy->notice(ssh->policy->arg, text);
}

const char *ssh_where(const struct ssh *ssh, char out[300])
{
    if (!ssh->host_known)
        (void)snprintf(out, 300, "%s", ssh->target.host);
    else if (ssh->host.port == 22)
        (void)snprintf(out, 300, "%s@%s", ssh->host.user, ssh->host.hostname);
    else
        (void)snprintf(out, 300, "%s@%s:%d", ssh->host.user, ssh->host.hostname, ssh->host.port);
    return out;
}

void ssh_ready(struct ssh *ssh)
{
    struct op *op = TAKE(ssh->op);

    timer_stop(ssh->loop, &ssh->deadline);
    ssh->phase = SSH_READY;
    ssh_step_enter(ssh, SSH_STEP_READY, "%s",
                   ssh->child != NULL ? "carried by ssh" : ssh->algorithms);
    if (op != NULL)
        op_end(op, 0);
}

/* ---- failure ---- */

int ssh_fail_with(struct ssh *ssh, const struct fault *why)
{
    if (!ssh->doomed) {
        ssh->doomed = true;
        ssh->doom = *why;
    }
    if (ssh->lent)
        ssh_auth_cancel(ssh->auth);
    ssh_turn_soon(ssh);
    return why->code;
}

int ssh_fail(struct ssh *ssh, int code, const char *format, ...)
{
    struct fault why = {.code = code};
    va_list args;

    va_start(args, format);
    (void)vsnprintf(why.text, sizeof why.text, format, args);
    va_end(args);
    return ssh_fail_with(ssh, &why);
}

/* Tells everybody, once. */
static void ssh_finish(struct ssh *ssh)
{
    bool was_ready = ssh->phase == SSH_READY;
    struct op *op = TAKE(ssh->op);

    if (ssh->phase == SSH_OVER)
        return;
    ssh->phase = SSH_OVER;
    ssh_hold(ssh);
    if (op != NULL) {
        op->fault = ssh->doom;
        op_end(op, ssh->doom.code);
    }
    ssh_channels_end(ssh, &ssh->doom);
    ssh_listens_end(ssh, &ssh->doom);
    if (was_ready && !ssh->closed && ssh->events.lost != NULL)
        ssh->events.lost(ssh->arg, &ssh->doom);
    if (!ssh->closed)
        ssh_shut(ssh, /* goodbye= */ false);
    ssh_release(ssh);
}

void ssh_after_turn(struct ssh *ssh)
{
    loop_fn *after = TAKE(ssh->after);

    if (ssh->lent)
        ssh->after = after;
    else if (ssh->doomed && !ssh->closed && ssh_transport_lingers(ssh))
        ;
    else if (ssh->doomed && !ssh->closed)
        ssh_finish(ssh);
    else if (after != NULL && !ssh->closed)
        after(ssh);
}

/* ---- close ---- */

void ssh_hold(struct ssh *ssh)
{
    ssh->holds++;
}

static void ssh_free(struct ssh *ssh)
{
    ssh_shut(ssh, /* goodbye= */ true);
    defer_stop(ssh->loop, &ssh->turn);
    ssh_channels_free(ssh);
    ssh_host_done(&ssh->host); /* may be filled with nobody told: the question was dropped */
    ssh_target_done(&ssh->target);
    mem_free(ssh->config_file);
    mem_free(ssh->identity);
    mem_free(ssh->ssh_program);
    mem_free(ssh->channels);
    mem_free(ssh->child);
    mem_free(ssh->read_buffer);
    mem_free(ssh->out.data);
    ssh->magic = 0;
    mem_free(ssh);
}

void ssh_release(struct ssh *ssh)
{
    require(ssh->holds > 0);
    if (--ssh->holds == 0 && ssh->closed)
        ssh_free(ssh);
}

/* Everything stops, nobody is told. Twice is harmless. */
static void ssh_shut(struct ssh *ssh, bool goodbye)
{
    ssh->phase = SSH_OVER;
    timer_stop(ssh->loop, &ssh->deadline);
    ssh_connect_stop(ssh);
    ssh_alive_stop(ssh);
    ssh_listens_end(ssh, NULL);
    ssh_channels_end(ssh, NULL);
    ssh->carrier->close(ssh);
    ssh_turn_stop(ssh, goodbye);
    ssh_transport_stop(ssh);
    ssh_jump_stop(ssh);
}

struct ssh *ssh_close(struct ssh *ssh)
{
    if (ssh == NULL)
        return NULL;
    CHECK(ssh, SSH_MAGIC);
    if (ssh->op != NULL) {
        struct op *op = TAKE(ssh->op);

        op->fault.code = fault_set(&op->fault, -ERR_CANCELLED, "the session was closed");
        op_end(op, -ERR_CANCELLED);
    }
    if (ssh->probe != NULL)
        op_end(TAKE(ssh->probe), -ERR_CANCELLED);
    ssh->closed = true;
    if (ssh->lent)
        ssh_auth_cancel(ssh->auth);
    if (ssh->holds == 0)
        ssh_free(ssh);
    return NULL;
}

/* ---- facts ---- */

void ssh_facts(const struct ssh *ssh, struct ssh_facts *ret)
{
    *ret = (struct ssh_facts){
        .user = ssh->host_known ? ssh->host.user : ssh->target.user,
        .host = ssh->host_known ? ssh->host.hostname : ssh->target.host,
        .address = ssh->address,
        .port = ssh->host_known ? ssh->host.port : ssh->target.port,
        .host_key = ssh->host_key,
        .key = ssh->key,
        .banner = ssh->banner,
        .algorithms = ssh->algorithms,
        .child = ssh->child != NULL,
        .rtt_ms = ssh->rtt_ms,
        .bytes_in = ssh->lent ? 0 : ssh->bytes_in, /* the pool's, then */
        .bytes_out = ssh->bytes_out,
        .channels = ssh->channel_count,
    };
}

static void ssh_on_probe_cancel(struct op *op, void *worker)
{
    struct ssh *ssh = worker;

    (void)op;
    ssh->probe = NULL;
}

void ssh_probe(struct ssh *ssh, struct op *op)
{
    CHECK(ssh, SSH_MAGIC);
    op_start(op, ssh_on_probe_cancel, ssh);
    if (ssh->phase != SSH_READY || ssh->doomed) {
        op->fault.code = fault_set(&op->fault, -ERR_CLOSED, "the session has ended");
        op_end(op, -ERR_CLOSED);
    } else if (ssh->probe != NULL) {
        op->fault.code = fault_set(&op->fault, -ERR_BUSY, "a probe runs already");
        op_end(op, -ERR_BUSY);
    } else {
        ssh->probe = op;
        ssh->carrier->probe(ssh);
    }
}
