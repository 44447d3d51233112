/* Every tool keeps the same promises. One row per tool; what a tool cannot be made to do (to hang, to say too
 * much) its row leaves out. */
#include "tests/unit/gateway/tools/kit.h"

#include "gateway/session/session.h"
#include "gateway/tools/call.h"
#include "tests/rig/script_server.h"

#include <sys/stat.h>

#define BOTH                                                                                       \
    "{tools:{sessions:{visibility:\"all\"},exec:{mode:\"full\"},web:{fetch:{ssrfPolicy:{"          \
    "allowedHostnames:[\"127.0.0.1\"]}}}%s},agents:{list:[{id:\"main\"},{id:\"other\"}]}}"
#define PAGE "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"

/* Arguments: single quotes for double ones; PORT is the server's. */
struct row {
    const char *name;
    const char *good, *said; /* part of the good result */
    const char *bad[4];
    const char *hangs;   /* does not end by itself soon */
    const char *endless; /* says more than a result holds */
    const char *script;  /* of the server for good; hangs and endless have theirs */
    const char *script_hangs, *script_endless;
};

static const struct row rows[] = {
    {.name = "ls",
     .good = "{}",
     .said = "file",
     .bad = {"{'path':1}", "{'limit':0}"},
     .endless = "{'path':'many'}"},
    {.name = "read",
     .good = "{'path':'file'}",
     .said = "content",
     .bad = {"{}", "{'path':''}", "{'path':'x','offset':0}"},
     .endless = "{'path':'big'}"},
    {.name = "write",
     .good = "{'path':'new','content':'x'}",
     .said = "Wrote 1 bytes",
     .bad = {"{}", "{'path':'x'}", "{'path':'x','content':1}"}},
    {.name = "edit",
     .good = "{'path':'file','edits':[{'oldText':'content','newText':'x'}]}",
     .said = "Replaced 1 passage",
     .bad = {"{}", "{'path':'x'}", "{'path':'x','edits':[{}]}", "{'path':'x','edits':1}"}},
    {.name = "exec",
     .good = "{'command':'echo said'}",
     .said = "said",
     .bad = {"{}", "{'command':''}", "{'command':[]}"},
     .hangs = "{'command':'sleep 60'}",
     .endless = "{'command':'seq 1 100000'}"},
    {.name = "web_fetch",
     .good = "{'url':'http://127.0.0.1:PORT/'}",
     .said = "page",
     .bad = {"{}", "{'url':''}", "{'url':1}", "{'url':'x','extractMode':'?'}"},
     .hangs = "{'url':'http://127.0.0.1:PORT/'}",
     .endless = "{'url':'http://127.0.0.1:PORT/','maxChars':1000000}",
     .script = PAGE "the page",
     .script_hangs = PAGE "x|@wait",
     .script_endless = PAGE "|@fill x700000"},
    {.name = "sessions_list",
     .good = "{}",
     .said = "\"count\"",
     .bad = {"{'limit':0}", "{'search':1}"}},
    {.name = "session_status",
     .good = "{'sessionKey':'current'}",
     .said = "Session: agent:main:main",
     .bad = {"{'sessionKey':1}"}},
    {.name = "agents_list", .good = "{}", .said = "other"},
    {.name = "sessions_history",
     .good = "{'sessionKey':'agent:other:main'}",
     .said = "\"messages\"",
     .bad = {"{}", "{'sessionKey':''}", "{'sessionKey':'x','limit':0}"}},
    {.name = "sessions_send",
     .good = "{'sessionKey':'agent:other:main','message':'hi','timeoutSeconds':0}",
     .said = "accepted",
     .bad = {"{}", "{'message':''}", "{'message':'x','timeoutSeconds':-1}"}},
};

struct scene {
    struct tool_rig *t;
    struct script_server *server;
    const char *scripts[2];
};

static void put(const char *dir, const char *name, size_t length, char fill)
{
    CLEAN(mem_free) char *path = mem_format("%s/workspace/%s", dir, name);
    FILE *file = fopen(path, "w");

    t_ok(file != NULL);
    for (size_t i = 0; i < length; i++)
        (void)fputc(i % 80 == 79 ? '\n' : fill, file);
    if (length == 0)
        (void)fputs("content", file);
    (void)fclose(file);
}

static struct scene *scene_new(const char *script, const char *more)
{
    CLEAN(mem_free) char *config = mem_format(BOTH, more);
    struct scene *s = NEW(struct scene);
    struct fault fault = {0};

    s->t = tool_rig_new(config);
    s->scripts[0] = script ? script : PAGE;
    s->server = script_server_new(s->t->rig->gw->loop, s->scripts);
    CLEAN(mem_free) char *work = mem_format("%s/workspace", s->t->rig->dir);
    CLEAN(mem_free) char *many = mem_format("%s/many", work);
    (void)mkdir(work, 0700);
    t_eq(mkdir(many, 0700), 0);
    put(s->t->rig->dir, "file", 0, 0);
    t_ok(session_ensure(s->t->rig->gw, "agent:other:main", &fault) != NULL);
    return s;
}

/* Files that are too much for one result. */
static void scene_fill(struct scene *s)
{
    put(s->t->rig->dir, "big", 1 << 20, 'x');
    for (int i = 0; i < 1000; i++) {
        char name[32];

        snprintf(name, sizeof(name), "many/f%04d", i);
        put(s->t->rig->dir, name, 1, 'x');
    }
}

static void scene_free(struct scene *s)
{
    script_server_free(s->server);
    tool_rig_free(s->t);
    mem_free(s);
}

static void start(struct scene *s, const struct row *row, const char *arguments, int64_t timeout_ms)
{
    const char *port = strstr(arguments, "PORT");
    CLEAN(mem_free)
    char *text =
        port ? mem_format("%.*s%d%s", (int)(port - arguments), arguments, s->server->port, port + 4)
             : mem_string(arguments);

    tool_rig_start(s->t, (struct tool_request){.name = row->name, .timeout_ms = timeout_ms}, text);
}

/* Turns; the clock goes on, faster when asked. */
static void wait_end(struct scene *s, int64_t step_ms)
{
    for (int i = 0; i < 5000 && s->t->ends == 0; i++) {
        while (loop_turn(s->t->rig->gw->loop, false))
            ;
        loop_advance(s->t->rig->gw->loop, step_ms);
        (void)poll(NULL, 0, 1);
    }
    t_eq(s->t->ends, 1);
    t_ok(strlen(s->t->text) > 0 && strlen(s->t->text) <= TOOL_RESULT_MAX);
    t_str(json_string(json_get(json_first(s->t->content), "type"), ""), "text");
}

T(every_tool_has_its_row)
{
    size_t count = 0;

    for (; tool_at(count); count++) {
        bool found = false;

        for (size_t i = 0; i < COUNT(rows); i++)
            found = found || strcmp(rows[i].name, tool_at(count)->name) == 0;
        if (!found)
            t_fail(__FILE__, __LINE__, "%s has no row", tool_at(count)->name);
    }
    t_eq(count, COUNT(rows));
}

T(a_good_call)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct scene *s = scene_new(rows[i].script, "");

        start(s, &rows[i], rows[i].good, 0);
        wait_end(s, 1);
        if (s->t->result != 0 || s->t->is_error)
            t_fail(__FILE__, __LINE__, "%s: %s", rows[i].name, s->t->text);
        t_has(s->t->text, rows[i].said);
        scene_free(s);
    }
}

T(bad_arguments)
{
    struct scene *s = scene_new(NULL, "");

    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t b = 0; b < COUNT(rows[i].bad) && rows[i].bad[b]; b++) {
            start(s, &rows[i], rows[i].bad[b], 0);
            wait_end(s, 1);
            if (s->t->result != -ERR_INVALID || !s->t->is_error)
                t_fail(__FILE__, __LINE__, "%s %s: %d %s", rows[i].name, rows[i].bad[b],
                       s->t->result, s->t->text);
            t_has(s->t->text, rows[i].name); /* whose arguments */
        }
    }
    scene_free(s);
}

T(cancelled_at_once)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct scene *s = scene_new(rows[i].script, "");

        start(s, &rows[i], rows[i].good, 0);
        tool_cancel(s->t->call);
        tool_cancel(s->t->call); /* again is harmless */
        t_eq(s->t->ends, 0);     /* never from inside */
        wait_end(s, 1);
        t_ok(s->t->result == -ERR_CANCELLED || s->t->result == 0); /* 0: its end was on the way */
        t_eq(tools_running(s->t->rig->gw), 0);
        scene_free(s);
    }
}

T(dropped_at_once)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct scene *s = scene_new(rows[i].script, "");

        start(s, &rows[i], rows[i].good, 0);
        tool_drop(s->t->call);
        rig_advance(s->t->rig, 1000);
        t_eq(s->t->ends, 0);
        t_eq(tools_running(s->t->rig->gw), 0);
        scene_free(s);
    }
}

T(what_hangs_is_stopped_by_cancel_and_by_its_deadline)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct scene *s;

        if (!rows[i].hangs)
            continue;
        s = scene_new(rows[i].script_hangs, "");
        start(s, &rows[i], rows[i].hangs, 0);
        for (int turns = 0; turns < 50; turns++) {
            loop_turn(s->t->rig->gw->loop, false);
            loop_advance(s->t->rig->gw->loop, 1);
            (void)poll(NULL, 0, 1);
        }
        t_eq(s->t->ends, 0);
        tool_cancel(s->t->call);
        wait_end(s, 1);
        t_eq(s->t->result, -ERR_CANCELLED);
        start(s, &rows[i], rows[i].hangs, /* timeout_ms= */ 3000);
        wait_end(s, 10);
        t_eq(s->t->result, 0);
        t_ok(s->t->is_error);
        t_has(s->t->text, "did not finish within 3 s");
        scene_free(s);
    }
}

T(too_much_is_cut_and_it_is_said)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct scene *s;

        if (!rows[i].endless)
            continue;
        s = scene_new(rows[i].script_endless, "");
        scene_fill(s);
        start(s, &rows[i], rows[i].endless, 0);
        wait_end(s, 1);
        t_ok(!s->t->is_error);
        if (!strstr(s->t->text, "cut") && !strstr(s->t->text, "go on with offset") &&
            !strstr(s->t->text, "entries]"))
            t_fail(__FILE__, __LINE__, "%s does not say that it was cut", rows[i].name);
        scene_free(s);
    }
}

T(denied_by_the_policy)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEAN(mem_free) char *deny = mem_format(",deny:[\"%s\"]", rows[i].name);
        struct scene *s = scene_new(rows[i].script, deny);

        start(s, &rows[i], rows[i].good, 0);
        wait_end(s, 1);
        t_eq(s->t->result, -ERR_DENIED);
        t_has(s->t->text, "not permitted");
        scene_free(s);
    }
}

/* What models are told: the JSON Schema that all of their APIs take. */
T(definitions)
{
    struct scene *s = scene_new(NULL, "");
    struct json_writer w;
    struct json *list;
    struct buf b;

    buf_init(&b, 1 << 20);
    jw_init(&w, &b);
    tools_write_definitions(s->t->rig->gw, "main", "agent:main:main", &w);
    list = json_parse(b.data, b.length, NULL);
    t_eq(json_count(list), COUNT(rows));
    json_each (tool, list) {
        const struct json *parameters = json_get(tool, "parameters");
        const struct json *properties = json_get(parameters, "properties");

        t_ok(json_string(json_get(tool, "name"), NULL) &&
             json_string(json_get(tool, "description"), NULL));
        t_str(json_string(json_get(parameters, "type"), ""), "object");
        t_eq(json_kind(properties), JSON_OBJECT);
        t_eq(json_kind(json_get(parameters, "required")), JSON_ARRAY);
        json_each (name, json_get(parameters, "required"))
            t_ok(json_get(properties, json_string(name, "")) != NULL);
        json_each (property, properties) {
            t_ok(json_string(json_get(property, "type"), NULL) != NULL);
            t_ok(json_string(json_get(property, "description"), NULL) != NULL);
        }
    }
    json_free(list);
    buf_done(&b);
    scene_free(s);
}
