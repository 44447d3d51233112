/* What the tests of exec share: configurations, and a person who is asked. */
#pragma once

#include "tests/unit/gateway/tools/kit.h"

#include "gateway/pairing/approval.h"

#include <sys/stat.h>

#define FULL "{tools:{exec:{mode:\"full\"}}}"
#define ASK  "{tools:{exec:{security:\"allowlist\",ask:\"on-miss\"}}}"
#define LISTED                                                                                     \
    "{tools:{exec:{security:\"allowlist\",ask:\"off\",allowlist:[\"/usr/bin/tr*\",\"/bin/*\",\"/"  \
    "usr/bin/*sh\"]}}}"

static inline struct json *pending(struct tool_rig *t)
{
    struct json_writer w;
    struct json *list;
    struct buf b;

    buf_init(&b, 1 << 20);
    jw_init(&w, &b);
    approvals_write(t->rig->gw, &w);
    list = json_parse(b.data, b.length, NULL);
    buf_done(&b);
    return list;
}

static inline bool is_asked(void *arg)
{
    struct tool_rig *t = arg;
    CLEAN(json_free) struct json *list = pending(t);
    return t->ends > 0 || json_count(list) > 0;
}

/* Starts, and waits until somebody is asked. */
static inline struct approval *ask(struct tool_rig *t, const char *arguments)
{
    struct approval *approval = NULL;

    tool_rig_start(t, (struct tool_request){.name = "exec"}, arguments);
    t_ok(rig_until(t->rig, is_asked, t));
    CLEAN(json_free) struct json *list = pending(t);
    t_eq(json_count(list), 1);
    t_eq(t->ends, 0);
    t_eq(approval_find(t->rig->gw, json_string(json_get(json_first(list), "id"), ""), &approval),
         0);
    return approval;
}

static inline void put_program(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    t_ok(file != NULL);
    (void)fputs(text, file);
    (void)fclose(file);
    t_eq(chmod(path, 0700), 0);
}
