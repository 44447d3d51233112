/* Between host.c (targets, asking ssh), host_parse.c (its answer) and host_expand.c ("~" and tokens). */
#pragma once

#include "tunnel/ssh/host.h"

/* The account this process runs as, and where it lives. Owned. */
struct account {
    char *user, *home; /* as the password database says */
    char *lives;       /* $HOME when that is a full path, else home */
};
void account_of(struct account *ret);
void account_done(struct account *account);

/* "~", "~/x", "~user/x" to a full path; anything else as it is, made full with the current folder. Caller owns. */
char *expand_path(const char *path, const struct account *account) MUSTCHECK;
/* TOKENS of ssh_config(5) that a file name may hold, and ${NAME}. NULL: an unknown token or variable. Caller owns. */
char *expand_tokens(const char *text, const struct ssh_host *host, const struct account *account)
    MUSTCHECK;
/* The few of them that ProxyCommand takes: %% %h %n %p %r. Never NULL: what is unknown stays. */
char *expand_command(const char *text, const struct ssh_host *host) MUSTCHECK;

/* What the command line and the account alone give; everything that ssh -G would have said. */
void host_defaults(const struct ssh_target *target, const char *identity, struct ssh_host *ret);
