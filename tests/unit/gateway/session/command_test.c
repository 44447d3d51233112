/* Slash commands and levels: what they answer, what they change, who may. protocol.md 4.1, 6.2. */
#include "tests/unit/gateway/session/script_agent.h"

#include "gateway/session/command.h"

static int command_number;

/* What the gateway answers to a command. */
static const char *ask(struct peer *p, const char *command)
{
    CLEAN(mem_free) char *run = mem_format("c%d", ++command_number);

    t_has(chat_send(p, "main", command, run), "started");
    return chat_next(p, "final");
}

static void entry_is(struct peer *p, const char *expected)
{
    CLEAN(mem_free) char *want = mem_format("{'payload':{'entry':%s}}", expected);

    t_json(peer_call(p, "sessions.patch", "{'key':'main','unread':false}"), want);
}

T(a_command_is_told_from_a_message)
{
    const char *rest, *message, *level = NULL;

    t_str(command_of(" /NEW: ", &rest)->name, "new");
    t_str(rest, "");
    t_str(command_of("/reset go on", &rest)->name, "reset");
    t_str(rest, "go on");
    t_str(command_of("/think: high", &rest)->name, "think");
    t_str(rest, "high");
    t_ok(command_of("/status now", NULL) == NULL); /* takes nothing: it is a message */
    t_ok(command_of("/nonsense", NULL) == NULL);
    t_ok(command_of("new", NULL) == NULL);
    t_ok(command_of("/", NULL) == NULL);
    message = "/t max\nWhy?";
    t_ok(command_thinks(&message, &level));
    t_str(level, "xhigh");
    t_str(message, "Why?");
    message = "/think why not";
    t_ok(!command_thinks(&message, &level));
    message = "/think high";
    t_ok(!command_thinks(&message, &level));
    t_ok(command_is_stop("Stop!"));
    t_ok(command_is_stop("停止"));
    t_ok(!command_is_stop("stop it now"));
}

T(levels_are_shown_set_and_used)
{
    struct rig *rig =
        rig_new("{agents:{defaults:{thinkingDefault:'low'},list:[{id:'main'},{id:'deep',"
                "thinkingDefault:'high'}]}}");
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    t_has(ask(p, "/think"), "Thinking: low");
    t_has(ask(p, "/think very"), "no level \\\"very\\\"");
    t_has(ask(p, "/think Medium"), "Thinking: medium");
    entry_is(p, "{'thinkingLevel':'medium'}");
    t_json(peer_call(p, "chat.history", "{'sessionKey':'main'}"),
           "{'payload':{'thinkingLevel':'medium','totalMessages':0}}");
    chat_send(p, "main", "one", "k1");
    t_ok(actor_wait(rig, 0));
    t_eq(actors[0].thinking, THINKING_MEDIUM);
    actor_end(0);
    chat_send(p, "main", "/think xhigh just this", "k2");
    t_ok(actor_wait(rig, 1));
    t_eq(actors[1].thinking, THINKING_XHIGH);
    actor_end(1);
    t_has(
        peer_call(p, "chat.send",
                  "{'sessionKey':'main','message':'three','thinking':'off','idempotencyKey':'k3'}"),
        "started");
    t_ok(actor_wait(rig, 2));
    t_eq(actors[2].thinking, THINKING_OFF);
    actor_end(2);
    t_has(peer_call(p, "chat.send",
                    "{'sessionKey':'main','message':'x','thinking':'lots','idempotencyKey':'k4'}"),
          "invalid thinking");
    t_json(
        peer_call(p, "chat.history", "{'sessionKey':'main'}"),
        "{'payload':{'messages':[{'content':'one'},{'content':'just this'},{'content':'three'}]}}");
    t_has(ask(p, "/think default"), "Thinking: low");
    chat_send(p, "agent:deep:main", "go", "k5");
    t_ok(actor_wait(rig, 3));
    t_eq(actors[3].thinking, THINKING_HIGH);
    t_has(ask(p, "/verbose full"), "Verbose: full");
    t_has(ask(p, "/reasoning stream"), "Reasoning: stream");
    entry_is(p, "{'verboseLevel':'full','reasoningLevel':'stream'}");
    rig_free(rig);
}

T(what_needs_admin_by_patch_needs_it_by_command)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, "operator.read operator.write");

    actor_reset();
    t_json(chat_send(p, "main", "/verbose on", "k1"),
           "{'ok':false,'error':{'code':'FORBIDDEN','details':{'missingScope':'operator.admin'}}}");
    t_has(chat_send(p, "main", "/send off", "k2"), "FORBIDDEN");
    t_has(ask(p, "/verbose"), "Verbose: off"); /* looking is free */
    t_has(ask(p, "/think high"), "Thinking: high");
    rig_free(rig);
}

T(the_model_of_a_session)
{
    struct rig *rig =
        rig_new("{models:{providers:{lab:{baseUrl:'http://127.0.0.1:1/v1',apiKey:'k',"
                "models:[{id:'big',name:'Big'}]}}},agents:{defaults:{models:{'lab/big':"
                "{alias:'b'}}}}}");
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    t_has(ask(p, "/model"), "Model echo/echo");
    t_has(ask(p, "/models"), "lab/big");
    t_has(ask(p, "/model list"), "lab/big");
    t_has(ask(p, "/model b"), "Model lab/big (chosen for this session");
    entry_is(p, "{'providerOverride':'lab','modelOverride':'big'}");
    chat_send(p, "main", "hi", "k1");
    t_ok(actor_wait(rig, 0));
    t_str(actors[0].model, "big");
    t_ok(actors[0].model_chosen);
    actor_end(0);
    t_has(ask(p, "/model nowhere/thing"), "nowhere"); /* says what is wrong */
    entry_is(p, "{'modelOverride':'big'}");
    t_has(ask(p, "/model default"), "Model echo/echo");
    chat_send(p, "main", "hi", "k2");
    t_ok(actor_wait(rig, 1));
    t_str(actors[1].model, "echo");
    t_ok(!actors[1].model_chosen);
    rig_free(rig);
}

T(the_queue_by_command)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    t_has(ask(p, "/queue"), "Queue: steer, debounce 500 ms, cap 20, drop summarize.");
    t_has(ask(p, "/queue collect debounce:0.5s cap:25 drop:oldest"),
          "Queue: collect, debounce 500 ms, cap 25, drop old.");
    t_has(ask(p, "/queue sideways"), "means nothing here");
    t_has(ask(p, "/queue reset"), "Queue: steer, debounce 500 ms, cap 20, drop summarize.");
    rig_free(rig);
}

T(status_usage_and_help)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    chat_send(p, "main", "hi", "k1");
    t_ok(actor_wait(rig, 0));
    actor_end(0);
    t_has(chat_next(p, "final"), "k1");
    t_has(ask(p, "/status"), "tokens 10 in, 5 out");
    t_has(ask(p, "/usage full"), "full");
    t_has(ask(p, "/usage"), "Under answers: full");
    const char *list, *help = ask(p, "/help");

    for (const struct command *c = commands; c->name; c++) {
        CLEAN(mem_free) char *line = mem_format("/%s", c->name);
        t_ok(strstr(help, line) != NULL);
    }
    list = peer_call(p, "commands.list", NULL);
    for (const struct command *c = commands; c->name; c++) {
        CLEAN(mem_free) char *name = mem_format("\"name\":\"%s\"", c->name);
        t_has(list, name);
    }
    rig_free(rig);
}
