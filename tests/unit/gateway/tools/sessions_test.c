/* sessions_list, session_status, sessions_history, sessions_send, agents_list: what an agent sees of other
 * conversations, and what it does not. */
#include "tests/unit/gateway/tools/kit.h"

#include "gateway/session/session.h"
#include "gateway/session/turn.h"
#include "gateway/tools/call.h"

#include <poll.h>

#define TWO   "agents:{list:[{id:\"main\"},{id:\"other\"}]}"
#define ALONE "{" TWO "}"
#define ALL   "{tools:{sessions:{visibility:\"all\"}}," TWO "}"
#define SELF  "{tools:{sessions:{visibility:\"self\"}}," TWO "}"
#define APART "{tools:{sessions:{visibility:\"all\"},agentToAgent:{enabled:false}}," TWO "}"

/* Turns with the clock going on: models and turns have timers. */
static void wait_end(struct tool_rig *t)
{
    for (int i = 0; i < 5000 && t->ends == 0; i++) {
        while (loop_turn(t->rig->gw->loop, false))
            ;
        loop_advance(t->rig->gw->loop, 1);
        (void)poll(NULL, 0, 1);
    }
    t_eq(t->ends, 1);
}

static const char *run_as(struct tool_rig *t, struct tool_request request, const char *arguments)
{
    tool_rig_start(t, request, arguments);
    wait_end(t);
    return t->text;
}

static int64_t messages_in(struct tool_rig *t, const char *key)
{
    const struct session *session = session_find(t->rig->gw, key);
    return session ? session->message_count : 0;
}

static void on_accepted(void *arg, int result, const struct fault *fault)
{
    (void)arg, (void)fault;
    t_eq(result, 0);
}

/* Something is said in a session, and answered. */
static void say(struct tool_rig *t, const char *key, const char *text)
{
    static const struct turn_events events = {.accepted = on_accepted};
    int64_t before = messages_in(t, key);
    char run_id[UUID_TEXT];
    struct fault fault = {0};

    crypto_uuid(run_id);
    t_eq(turn_submit(t->rig->gw,
                     &(struct turn_request){.method = TURN_CHAT,
                                            .run_id = run_id,
                                            .session_key = key,
                                            .caller_key = key,
                                            .message = text,
                                            .timeout_ms = -1},
                     &events, t, &fault),
         0);
    for (int i = 0; i < 5000 && (messages_in(t, key) < before + 2 || turn_active(t->rig->gw, key));
         i++) {
        while (loop_turn(t->rig->gw->loop, false))
            ;
        loop_advance(t->rig->gw->loop, 20);
        (void)poll(NULL, 0, 1);
    }
    t_eq(messages_in(t, key), before + 2);
}

T(lists_what_is_visible)
{
    struct tool_rig *t = tool_rig_new(ALONE);

    say(t, "agent:main:main", "hello there");
    say(t, "agent:main:side", "side talk");
    say(t, "agent:other:main", "not for main");
    run_as(t, (struct tool_request){.name = "sessions_list"}, "{}");
    t_eq(json_integer(json_get(t->details, "count"), 0), 2);
    t_ok(!strstr(t->text, "agent:other"));
    run_as(t, (struct tool_request){.name = "sessions_list"}, "{'limit':1}");
    t_ok(json_boolean(json_get(t->details, "hasMore"), false));
    t_eq(json_integer(json_get(t->details, "nextOffset"), 0), 1);
    run_as(t, (struct tool_request){.name = "sessions_list"}, "{'search':'SIDE'}");
    t_eq(json_integer(json_get(t->details, "count"), 0), 1);
    run_as(t, (struct tool_request){.name = "agents_list"}, "{}");
    t_eq(json_count(json_get(t->details, "agents")), 2);
    tool_rig_free(t);
}

static void visible(const char *config, const char *name, const char *arguments, bool expected)
{
    struct tool_rig *t = tool_rig_new(config);

    say(t, "agent:main:side", "side talk");
    say(t, "agent:other:main", "other talk");
    run_as(t, (struct tool_request){.name = name}, arguments);
    if (t->is_error == expected)
        t_fail(__FILE__, __LINE__, "%s %s: %s", name, arguments, t->text);
    tool_rig_free(t);
}

T(visibility)
{
    static const char *const side = "{'sessionKey':'agent:main:side'}";
    static const char *const other = "{'sessionKey':'agent:other:main'}";

    visible(ALONE, "sessions_history", side, true);
    visible(ALONE, "sessions_history", other, false);
    visible(ALONE, "session_status", other, false);
    visible(ALL, "sessions_history", other, true);
    visible(SELF, "sessions_history", side, false);
    visible(APART, "sessions_history", other, false);
    visible(ALONE, "sessions_send", "{'sessionKey':'agent:other:main','message':'x'}", false);
}

T(history)
{
    struct tool_rig *t = tool_rig_new(ALONE);
    const struct json *messages;

    say(t, "agent:main:main", "what is said");
    run_as(t, (struct tool_request){.name = "sessions_history"}, "{'sessionKey':'current'}");
    t_ok(!t->is_error);
    messages = json_get(t->details, "messages");
    t_eq(json_count(messages), 2);
    t_str(json_string(json_get(json_at(messages, 0), "role"), ""), "user");
    t_has(t->text, "what is said");
    run_as(t, (struct tool_request){.name = "sessions_history"},
           "{'sessionKey':'current','limit':1}");
    t_eq(json_count(json_get(t->details, "messages")), 1);
    run_as(t, (struct tool_request){.name = "sessions_history"}, "{'sessionKey':'nope'}");
    t_ok(t->is_error);
    t_has(t->text, "no session");
    tool_rig_free(t);
}

T(long_histories_are_shortened)
{
    struct tool_rig *t = tool_rig_new(ALONE);
    CLEAN(mem_free) char *text = mem_new(20001);

    memset(text, 'y', 20000);
    for (int i = 0; i < 8; i++)
        say(t, "agent:main:main", text);
    run_as(t, (struct tool_request){.name = "sessions_history"}, "{'sessionKey':'current'}");
    t_ok(!t->is_error);
    t_ok(strlen(t->text) <= TOOL_RESULT_MAX);
    t_ok(json_boolean(json_get(t->details, "droppedMessages"), false));
    t_ok(json_boolean(json_get(t->details, "contentTruncated"), false));
    tool_rig_free(t);
}

T(send_and_wait)
{
    struct tool_rig *t = tool_rig_new(ALL);

    say(t, "agent:other:main", "hello");
    run_as(t, (struct tool_request){.name = "sessions_send"},
           "{'sessionKey':'agent:other:main','message':'please answer'}");
    t_ok(!t->is_error);
    t_str(json_string(json_get(t->details, "status"), ""), "ok");
    t_has(json_string(json_get(t->details, "reply"), ""), "please answer");
    t_has(json_string(json_get(t->details, "reply"), ""), "not from a person");
    run_as(t, (struct tool_request){.name = "sessions_send"},
           "{'agentId':'other','message':'do not wait','timeoutSeconds':0}");
    t_str(json_string(json_get(t->details, "status"), ""), "accepted");
    tool_rig_free(t); /* the turn goes on, or is interrupted, without its sender */
}

T(who_does_not_wait_any_more)
{
    struct tool_rig *t = tool_rig_new(ALL);

    say(t, "agent:other:main", "hello");
    tool_rig_start(t, (struct tool_request){.name = "sessions_send"},
                   "{'sessionKey':'agent:other:main','message':'x'}");
    tool_cancel(t->call);
    wait_end(t);
    t_eq(t->result, -ERR_CANCELLED);
    for (int i = 0; i < 200; i++)
        rig_advance(t->rig, 50); /* the turn ends without its sender */
    tool_rig_start(t, (struct tool_request){.name = "sessions_send"},
                   "{'sessionKey':'agent:other:main','message':'y'}");
    tool_drop(t->call);
    tool_rig_free(t);
}

T(refusals)
{
    static const struct {
        const char *arguments, *part;
    } cases[] = {
        {"{'message':'x'}", "is needed"},
        {"{'sessionKey':'agent:main:main','message':'x'}", "itself"},
        {"{'sessionKey':'agent:main:nothing-there','message':'x'}", "no session"},
        {"{'sessionKey':'agent:gone:main','message':'x'}", "gone"},
    };
    struct tool_rig *t = tool_rig_new(ALL);

    for (size_t i = 0; i < COUNT(cases); i++) {
        t_has(run_as(t, (struct tool_request){.name = "sessions_send"}, cases[i].arguments),
              cases[i].part);
        t_ok(t->is_error);
    }
    tool_rig_run(t, "sessions_send", "{'sessionKey':'x'}");
    t_eq(t->result, -ERR_INVALID);
    tool_rig_free(t);
}

/* Each message begins a run, which sends the next: in the end nobody may. */
T(circles_end)
{
    struct tool_rig *t = tool_rig_new(ALL);
    char run_id[UUID_TEXT] = "";
    int sent = 0;

    say(t, "agent:other:main", "hello");
    say(t, "agent:main:main", "hello");
    for (int i = 0; i < 20; i++) {
        run_as(t,
               (struct tool_request){.name = "sessions_send",
                                     .run_id = run_id[0] ? run_id : NULL,
                                     .agent_id = i % 2 ? "other" : "main",
                                     .session_key = i % 2 ? "agent:other:main" : "agent:main:main"},
               i % 2 ? "{'sessionKey':'agent:main:main','message':'x'}"
                     : "{'sessionKey':'agent:other:main','message':'x'}");
        if (t->is_error)
            break;
        sent++;
        snprintf(run_id, sizeof(run_id), "%s", json_string(json_get(t->details, "runId"), ""));
    }
    t_eq(sent, SEND_HOPS_MAX);
    t_has(t->text, "no more are sent");
    tool_rig_free(t);
}
