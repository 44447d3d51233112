/* The path of a question: a job of the pool opens /dev/tty, turns the echo off, reads a line or hears that nobody waits any
 * more, and puts the terminal back. Keys that end a process still do. */
#include "gateway/cli/tty.h"

#include "base/crypto.h"
#include "base/io/work.h"
#include "base/mem.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define COLUMNS_DEFAULT 80
#define COLUMNS_MAX     512

bool tty_can_ask(void)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    bool ours = fd >= 0 && tcgetpgrp(fd) == getpgrp();

    if (fd >= 0)
        close(fd);
    return ours;
}

/* ---- asking ---- */

struct question {
    struct op job, *op;
    char *prompt;
    bool echo;
    int given_up; /* eventfd */
    char **ret_answer;
    char answer[TTY_ANSWER_MAX];
};

/* One line, without its end. */
static int read_answer(int fd, struct question *q)
{
    size_t length = 0;

    for (;;) {
        struct pollfd ready[] = {{.fd = fd, .events = POLLIN},
                                 {.fd = q->given_up, .events = POLLIN}};
        char c;

        if (poll(ready, COUNT(ready), -1) < 0)
            continue;
        if (ready[1].revents)
            return -ERR_CANCELLED;
        if (read(fd, &c, 1) != 1)
            return -ERR_CLOSED;
        if (c == '\n' || c == '\r')
            return 0;
        if (length < sizeof(q->answer) - 1)
            q->answer[length++] = c;
    }
}

static int ask_in_pool(void *arg, struct fault *fault)
{
    struct question *q = arg;
    struct termios before, quiet;
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

    if (fd < 0 || tcgetattr(fd, &before) < 0) {
        if (fd >= 0)
            close(fd);
        return fault_set(fault, -ERR_CLOSED, "there is no terminal to ask at");
    }
    quiet = before;
    if (!q->echo)
        quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK);
    tcsetattr(fd, TCSAFLUSH, &quiet);
    (void)!write(fd, q->prompt, strlen(q->prompt));
    int r = read_answer(fd, q);
    tcsetattr(fd, TCSAFLUSH, &before);
    if (!q->echo || r < 0)
        (void)!write(fd, "\n", 1);
    close(fd);
    return r;
}

static void question_free(void *arg)
{
    struct question *q = arg;

    close(q->given_up);
    mem_free(q->prompt);
    mem_wipe_free(q, sizeof(*q));
}

static void on_answered(struct op *job, int result)
{
    struct question *q = CONTAINER(job, struct question, job);

    if (!q->op)
        return;
    q->op->fault = job->fault;
    if (result == 0)
        *q->ret_answer = mem_string(q->answer);
    op_end(q->op, result);
}

/* The job hears of it and puts the terminal back; what it holds is freed after that. */
static void on_given_up(struct op *op, void *worker)
{
    struct question *q = worker;

    (void)op;
    q->op = NULL;
    eventfd_write(q->given_up, 1);
    op_drop(&q->job);
}

void tty_ask(struct op *op, const char *prompt, bool echo, char **ret_answer)
{
    struct question *q = NEW(struct question);

    q->op = op;
    q->prompt = mem_string(prompt);
    q->echo = echo;
    q->ret_answer = ret_answer;
    q->given_up = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    require(q->given_up >= 0);
    op_start(op, on_given_up, q);
    op_init(&q->job, op->loop, on_answered, 0);
    work_run(&q->job, ask_in_pool, q, question_free);
}

/* ---- a line ---- */

static size_t columns_of_terminal(int fd)
{
    struct winsize size;
    size_t columns = ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;

    return columns == 0 ? COLUMNS_DEFAULT : columns > COLUMNS_MAX ? COLUMNS_MAX : columns;
}

void tty_line(FILE *out, const char *text)
{
    size_t room = columns_of_terminal(fileno(out)) - 1; /* the last one would wrap */
    char line[COLUMNS_MAX + 1];
    size_t length = 0;

    for (; text[length] && length < room; length++)
        line[length] = text[length] < ' ' || text[length] > '~' ? '?' : text[length];
    line[length] = '\0';
    fprintf(out, "\r\033[K%s", line);
    fflush(out);
}
