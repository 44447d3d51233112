/* The gate to the process scan: at most LOCAL_SCANS_MAX in the pool, the others wait in order. Path:
 * local_ask -> scan_start -> (pool) scan_run -> on_scanned -> the asker's op ends. Owns the scans. */
#include "gateway/conn/local.h"

#include "base/io/work.h"
#include "base/mem.h"
#include "gateway/conn/one_road.h"
#include "gateway/conn/sock_diag.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define WAITING_MAX    512
#define PASSWD_ROW_MAX 4096

struct scan {
    struct op op;
    struct op *asker; /* NULL: nobody waits any more */
    struct local_gate *gate;
    struct scan *next;
    struct local_question question;
    struct local_answer answer;
    uint64_t inode; /* UNIX: our end */
};

struct local_gate {
    struct loop *loop;
    struct scan *running, *waiting;
    unsigned running_count, waiting_count;
};

struct local_gate *local_gate_new(struct loop *loop)
{
    struct local_gate *gate = NEW(struct local_gate);

    gate->loop = loop;
    return gate;
}

static void scan_free(void *arg)
{
    mem_free(arg);
}

struct local_gate *local_gate_free(struct local_gate *gate)
{
    if (!gate)
        return NULL;
    for (struct scan *scan = gate->running; scan; scan = scan->next)
        op_drop(&scan->op); /* the pool frees it when the scan is over */
    while (gate->waiting) {
        struct scan *scan = gate->waiting;
        gate->waiting = scan->next;
        scan_free(scan);
    }
    return mem_free(gate);
}

/* ---- in the pool ---- */

static int64_t deadline(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + LOCAL_DEADLINE_MS;
}

/* Asked here, in the pool: names may come from far away. */
static void name_of(uint32_t uid, struct local_answer *answer)
{
    char room[PASSWD_ROW_MAX];
    struct passwd row, *found = NULL;

    answer->uid = uid;
    if (getpwuid_r(uid, &row, room, sizeof(room), &found) == 0 && found &&
        strlen(found->pw_name) < sizeof(answer->user))
        snprintf(answer->user, sizeof(answer->user), "%s", found->pw_name);
    else
        snprintf(answer->user, sizeof(answer->user), "uid %u", uid);
}

static int peer_of_unix(const struct scan *scan, struct one_road *road, struct fault *fault)
{
    if (scan->question.peer_uid != scan->question.uid)
        return fault_set(fault, -ERR_DENIED, "the other end belongs to user %u",
                         scan->question.peer_uid);
    return sock_diag_unix_peer(scan->inode, &road->inode);
}

static int peer_of_tcp(const struct local_question *question, struct local_answer *answer,
                       struct one_road *road, struct fault *fault)
{
    struct sock_diag_entry peer;
    struct address ours;
    int result = sock_diag_tcp(&question->remote, &question->local, &peer);

    if (result < 0)
        return fault_set(fault, -ERR_DENIED, "the kernel does not tell the other end's socket: %s",
                         err_text(result));
    if (question->answer)
        name_of(peer.uid, answer);
    if (peer.uid != question->uid)
        return fault_set(fault, -ERR_DENIED, "the other end belongs to user %u", peer.uid);
    road->inode = peer.inode;
    return address_from_socket(&question->local, &ours, &road->listener_port) ? 0 : -ERR_DENIED;
}

static int scan_run(void *arg, struct fault *fault)
{
    struct scan *scan = arg;
    const struct local_question *question = &scan->question;
    struct one_road road = {
        .uid = question->uid,
        .browser = question->browser,
        .deadline_ms = deadline(),
    };
    int result;

    if (question->transport == WS_TCP) {
        result = peer_of_tcp(question, &scan->answer, &road, fault);
    } else {
        if (question->answer)
            name_of(question->peer_uid, &scan->answer);
        result = peer_of_unix(scan, &road, fault);
    }
    if (question->only_who)
        return fault_set(fault, -ERR_DENIED, "only asked who it is");
    if (result < 0)
        return fault->code ? result
                           : fault_set(fault, -ERR_DENIED, "the other end cannot be found");
    result = one_road_test(&road, fault);
    return result < 0 ? -ERR_DENIED : 0;
}

/* ---- on the loop ---- */

static void scan_start(struct local_gate *gate, struct scan *scan);

static void scan_unlink(struct scan **list, struct scan *scan)
{
    while (*list != scan)
        list = &(*list)->next;
    *list = scan->next;
}

static void start_next(struct local_gate *gate)
{
    while (gate->waiting && gate->running_count < LOCAL_SCANS_MAX) {
        struct scan *scan = gate->waiting;
        gate->waiting = scan->next;
        gate->waiting_count--;
        scan_start(gate, scan);
    }
}

static void on_scanned(struct op *op, int result)
{
    struct scan *scan = CONTAINER(op, struct scan, op);
    struct local_gate *gate = scan->gate;
    struct op *asker = scan->asker;

    scan_unlink(&gate->running, scan);
    gate->running_count--;
    if (asker) {
        if (result < 0)
            asker->fault = op->fault;
        /* Past its deadline the pool still writes to it. */
        if (scan->question.answer && (result == 0 || result == -ERR_DENIED))
            *scan->question.answer = scan->answer;
        op_end(asker, result < 0 ? -ERR_DENIED : 0);
    }
    start_next(gate);
}

static void scan_start(struct local_gate *gate, struct scan *scan)
{
    scan->next = gate->running;
    gate->running = scan;
    gate->running_count++;
    op_init(&scan->op, gate->loop, on_scanned, LOCAL_DEADLINE_MS * 2);
    work_run(&scan->op, scan_run, scan, scan_free);
}

/* The asker went away: a waiting scan is given up, a running one goes on for nobody. */
static void on_asker_gone(struct op *op, void *worker)
{
    struct scan *scan = worker;
    struct local_gate *gate = scan->gate;

    (void)op;
    scan->asker = NULL;
    for (struct scan *s = gate->running; s; s = s->next)
        if (s == scan)
            return;
    scan_unlink(&gate->waiting, scan);
    gate->waiting_count--;
    scan_free(scan);
}

void local_ask(struct local_gate *gate, struct op *op, const struct local_question *question)
{
    struct scan *scan = NEW(struct scan);
    struct scan **tail = &gate->waiting;
    struct stat info;

    scan->gate = gate;
    scan->asker = op;
    scan->question = *question;
    scan->answer.uid = UINT32_MAX;
    if (question->answer)
        *question->answer = scan->answer;
    if (question->transport == WS_UNIX && fstat(question->fd, &info) == 0)
        scan->inode = info.st_ino;
    if (gate->waiting_count == WAITING_MAX) {
        scan_free(scan);
        op_start(op, NULL, NULL);
        fault_set(&op->fault, -ERR_DENIED, "too many peers wait to be looked at");
        op_end(op, -ERR_DENIED);
        return;
    }
    op_start(op, on_asker_gone, scan);
    while (*tail)
        tail = &(*tail)->next;
    *tail = scan;
    gate->waiting_count++;
    start_next(gate);
}
