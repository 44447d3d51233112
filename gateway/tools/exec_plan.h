/* What exec is about to run, worked out in full before anybody is asked: program, arguments, environment,
 * folder. Its fingerprint is what an approval is for. Built in the pool. */
#pragma once

#include "base/crypto.h"
#include "base/err.h"
#include "base/json.h"

struct exec_plan {
    /* asked */
    char *command, *workdir, *workspace, *forbidden; /* workdir NULL: the workspace */
    struct json *env;                                /* NULL: none */
    /* worked out */
    char **argv;            /* argv[0] is the program's absolute path, as it was found */
    char **envp;            /* what the program gets, nothing else */
    char *resolved;         /* the same without links: what allowlists name, and what is run */
    char *cwd;              /* real path */
    int cwd_fd;             /* -1: none */
    bool shell;             /* argv is a shell and its -c */
    bool editable;          /* the program lies in the workspace: the agent can change it */
    char print[SHA256_HEX]; /* of argv, envp, cwd and the program's identity on disk */
};

/* Copies; workspace and forbidden as workspace.h has them. */
struct exec_plan *exec_plan_new(const char *command, const char *workdir, const struct json *env,
                                const char *workspace, const char *forbidden) MUSTCHECK;
struct exec_plan *exec_plan_free(struct exec_plan *plan); /* NULL ok */
/* The same question again, unanswered. */
struct exec_plan *exec_plan_again(const struct exec_plan *plan) MUSTCHECK;
/* Pool thread: fills the second half, or negative with a fault. */
int exec_plan_work(struct exec_plan *plan, struct fault *reterr_fault);

/* A shell, or a program that runs other programs: never on a list of trusted ones. */
bool exec_is_shell(const char *path);
/* An interpreter: what it runs stands in its arguments, so one yes is not a yes for ever. */
bool exec_is_interpreter(const char *path);
