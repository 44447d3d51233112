/* What is heard and kept of a run that does more than talk: messages on the way, tools, thoughts, the
 * model that really answered. protocol.md 6.2, 6.3, 6.6. */
#include "tests/unit/gateway/session/script_agent.h"

#include "gateway/session/turn.h"

static const char call_message[] =
    "{'role':'assistant','content':[{'type':'text','text':'Let me look.'},{'type':'toolCall','id':"
    "'c1','name':'read','arguments':{'path':'a'}}],'api':'echo','provider':'echo','model':'echo',"
    "'stopReason':'toolUse','timestamp':1}";
static const char result_message[] = "{'role':'toolResult','toolCallId':'c1','toolName':'read','"
                                     "content':[{'type':'text','text':'AAA'}]"
                                     ",'isError':false,'timestamp':2}";

T(messages_on_the_way_are_kept_and_the_answer_begins_anew)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    peer_call(p, "sessions.messages.subscribe", "{'key':'main'}");
    chat_send(p, "main", "go", "k1");
    t_ok(actor_wait(rig, 0));
    actor_say(0, "Let me ");
    t_json(chat_next(p, "delta"), "{'payload':{'deltaText':'Let me '}}");
    actor_say(0, "look.");
    actor_message(0, "assistant", "Let me look.", call_message);
    t_json(chat_next(p, "delta"), "{'payload':{'deltaText':'look.'}}"); /* not left behind */
    t_json(peer_event(p, "session.message"),
           "{'payload':{'messageSeq':2,'message':{'role':'assistant','stopReason':'toolUse',"
           "'__openclaw':{'seq':2,'runId':'k1'}}}}");
    actor_message(0, "toolResult", NULL, result_message);
    t_json(peer_event(p, "session.message"),
           "{'payload':{'messageSeq':3,'message':{'role':'toolResult','toolCallId':'c1'}}}");
    rig_advance(rig, 200);
    actor_say(0, "It says A.");
    t_json(chat_next(p, "delta"),
           "{'payload':{'deltaText':'It says A.','replace':true,'message':{'content':[{'text':'It "
           "says A.'}]}}}");
    rig_advance(rig, 200);
    actor_say(0, "..");
    const char *more = chat_next(p, "delta");
    t_json(more, "{'payload':{'deltaText':'..','message':{'content':[{'text':'It says A...'}]}}}");
    t_ok(!strstr(more, "replace"));
    actor_end(0);
    t_json(chat_next(p, "final"),
           "{'payload':{'message':{'content':[{'text':'It says A...'}]},'stopReason':'stop'}}");
    t_json(peer_call(p, "chat.history", "{'sessionKey':'main'}"),
           "{'payload':{'totalMessages':4,'messages':[{'role':'user'},{'role':'assistant'},{'role':"
           "'toolResult','toolName':'read'},{'role':'assistant','provider':'echo','model':'second',"
           "'content':[{'text':'It says A...'}]}]}}");
    rig_free(rig);
}

T(what_the_model_thought_is_streamed_and_kept)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES), *p3 = peer_connect(rig, 3, SCOPES);

    actor_reset();
    chat_send(p, "main", "go", "k1");
    t_ok(actor_wait(rig, 0));
    actor_think(0, "Hm");
    t_json(agent_next(p, "thinking"),
           "{'payload':{'seq':2,'data':{'text':'Hm','delta':'Hm'},'runId':'k1'}}");
    actor_think(0, ", so");
    actor_think(0, " be it");
    actor_say(0, "Yes");
    rig_advance(rig, 149);
    t_eq(peer_pending(p), 0); /* one throttle for both */
    rig_advance(rig, 1);
    t_json(agent_next(p, "thinking"),
           "{'payload':{'seq':3,'data':{'text':'Hm, so be it','delta':', so be it'}}}");
    t_json(agent_next(p, "assistant"), "{'payload':{'seq':4,'data':{'text':'Yes'}}}");
    t_json(chat_next(p, "delta"), "{'payload':{'seq':4,'deltaText':'Yes'}}");
    actor_end_with(0, "stop",
                   "[{'type':'thinking','thinking':'Hm, so be it','thinkingSignature':'s'},{'type':"
                   "'text','text':'Yes'}]",
                   (struct model_usage){1, 1, 0, 0});
    t_json(chat_next(p, "final"), "{'payload':{'message':{'content':[{'text':'Yes'}]}}}");
    t_json(peer_call(p, "chat.history", "{'sessionKey':'main'}"),
           "{'payload':{'messages':[{},{'content':[{'type':'thinking','thinkingSignature':'s'},{"
           "'type':'text','text':'Yes'}]}]}}");
    t_ok(!agent_next(p3, "thinking")[0]); /* v3 has no such stream */
    rig_free(rig);
}

T(tools_are_heard_by_who_asked_for_them)
{
    struct rig *rig = rig_new(NULL);
    struct peer *tools = peer_with_caps(rig, "'tool-events'"), *plain = peer_with_caps(rig, "");
    struct peer *p3 = peer_connect(rig, 3, SCOPES);

    actor_reset();
    chat_send(tools, "main", "go", "k1");
    t_ok(actor_wait(rig, 0));
    actor_stream(0, "tool", "{'phase':'start','name':'read','toolCallId':'c1','args':{}}");
    t_json(agent_next(tools, "tool"), "{'payload':{'data':{'phase':'start','toolCallId':'c1'}}}");
    t_ok(!agent_next(plain, "tool")[0]);
    t_ok(!agent_next(p3, "tool")[0]);
    t_has(peer_call(p3, "sessions.patch", "{'key':'main','verboseLevel':'on'}"), "\"ok\":true");
    actor_stream(
        0, "tool",
        "{'phase':'result','name':'read','toolCallId':'c1','isError':false,'result':'AAA'}");
    t_json(agent_next(tools, "tool"), "{'payload':{'data':{'phase':'result','result':'AAA'}}}");
    const char *heard = agent_next(p3, "tool");
    t_json(heard, "{'payload':{'data':{'phase':'result','name':'read'}}}");
    t_ok(!strstr(heard, "AAA"));
    peer_call(p3, "sessions.patch", "{'key':'main','verboseLevel':'full'}");
    actor_stream(0, "tool",
                 "{'phase':'update','name':'read','toolCallId':'c2','partialResult':'BB'}");
    t_has(agent_next(p3, "tool"), "\"partialResult\":\"BB\"");
    actor_stream(0, "plan", "{'phase':'update','steps':[]}");
    t_json(agent_next(plain, "plan"), "{'payload':{'data':{'phase':'update'}}}");
    t_ok(!agent_next(plain, "tool")[0]);
    rig_free(rig);
}

T(a_tool_that_never_answered_is_given_an_answer)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    chat_send(p, "main", "go", "k1");
    t_ok(actor_wait(rig, 0));
    actor_message(0, "assistant", NULL, call_message);
    t_has(peer_call(p, "chat.abort", "{'sessionKey':'main'}"), "k1");
    t_has(chat_next(p, "aborted"), "k1");
    t_json(peer_call(p, "chat.history", "{'sessionKey':'main'}"),
           "{'payload':{'messages':[{},{'stopReason':'toolUse'},{'role':'toolResult','toolCallId':"
           "'c1','toolName':'read','isError':true}]}}");
    rig_free(rig);
}

struct listener {
    char said[64];
    struct json *outcome;
};

static void listener_accepted(void *arg, int result, const struct fault *fault)
{
    (void)arg;
    (void)fault;
    t_eq(result, 0);
}

static void listener_text(void *arg, const char *delta, size_t length)
{
    struct listener *l = arg;
    size_t used = strlen(l->said);

    if (length < sizeof(l->said) - used)
        memcpy(l->said + used, delta, length);
}

static void listener_ended(void *arg, const struct json *outcome, const char *text)
{
    (void)text;
    ((struct listener *)arg)->outcome = json_copy(outcome);
}

static bool listener_done(void *arg)
{
    return ((struct listener *)arg)->outcome != NULL;
}

T(the_callers_own_tools_end_the_run)
{
    static const struct turn_events events = {
        .accepted = listener_accepted, .text = listener_text, .ended = listener_ended};
    struct rig *rig = rig_new(NULL);
    CLEAN(json_free) struct json *tools = json_new_array();
    struct listener listener = {0};
    struct fault fault = {0};

    actor_reset();
    json_append(tools, json_new_object());
    t_eq(turn_submit(rig->gw,
                     &(struct turn_request){.method = TURN_AGENT,
                                            .run_id = "k1",
                                            .session_key = "agent:main:main",
                                            .caller_key = "main",
                                            .message = "go",
                                            .client_tools = tools,
                                            .thinking = "high",
                                            .timeout_ms = -1},
                     &events, &listener, &fault),
         0);
    t_ok(actor_wait(rig, 0));
    t_eq(json_count(actors[0].client_tools), 1);
    t_eq(actors[0].thinking, THINKING_HIGH);
    actor_say(0, "a");
    actor_say(0, "b");
    t_str(listener.said, "ab"); /* not throttled */
    actor_end_with(0, "toolUse",
                   "[{'type':'text','text':'ab'},{'type':'toolCall','id':'c9','name':"
                   "'theirs','arguments':{}}]",
                   (struct model_usage){1, 1, 0, 0});
    t_ok(rig_until(rig, listener_done, &listener));
    CLEAN(mem_free) char *text = json_print(listener.outcome, false);
    t_json(text,
           "{'status':'ok','stopReason':'toolUse','content':[{},{'type':'toolCall','id':'c9'}]}");
    json_free(listener.outcome);
    rig_free(rig);
}

/* Reads deltas until the final; how many there were, how many held the whole text, all their bytes. */
struct tally {
    int deltas, whole;
    size_t bytes;
    struct buf text; /* put together from increments */
};

static void tally_read(struct peer *p, struct tally *ret)
{
    *ret = (struct tally){0};
    buf_init(&ret->text, 4 << 20);
    for (;;) {
        const char *text = peer_event(p, "chat");
        CLEAN(json_free) struct json *frame = json_parse(text, strlen(text), NULL);
        const struct json *payload = json_get(frame, "payload");
        const char *delta = json_string(json_get(payload, "deltaText"), "");

        if (strcmp(json_string(json_get(payload, "state"), ""), "delta") != 0)
            return;
        if (json_boolean(json_get(payload, "replace"), false))
            buf_clear(&ret->text);
        buf_add_str(&ret->text, delta);
        ret->deltas++;
        ret->whole += json_get(payload, "message") != NULL;
        ret->bytes += strlen(text);
    }
}

T(a_long_answer_costs_a_multiple_of_its_length)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES), *p3 = peer_connect(rig, 3, SCOPES);
    CLEAN(mem_free) char *piece = mem_array(1025, 1);
    struct tally v4, v3;

    actor_reset();
    chat_send(p, "main", "go", "k1");
    t_ok(actor_wait(rig, 0));
    memset(piece, 'x', 1024);
    for (int i = 0; i < 256; i++) {
        actor_say(0, piece);
        rig_advance(rig, 150);
    }
    actor_end(0);
    tally_read(p, &v4);
    tally_read(p3, &v3);
    t_ok(v4.deltas > 200); /* as smooth as ever; a slow reader merges some */
    t_eq(v4.text.length, 256 * 1024);
    t_ok(v4.whole < 60 && v4.whole > 16);
    t_ok(v3.deltas > 16 && v3.deltas < 60); /* v3 knows the whole text alone */
    t_ok(v4.bytes < 10 * 256 * 1024);       /* 128 times without */
    buf_done(&v4.text);
    buf_done(&v3.text);
    rig_free(rig);
}

T(who_missed_deltas_of_a_long_answer_is_told_it_whole)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);
    CLEAN(mem_free) char *piece = mem_array(64 * 1024 + 1, 1);
    struct tally tally;

    actor_reset();
    chat_send(p, "main", "go", "k1");
    t_ok(actor_wait(rig, 0));
    memset(piece, 'x', 64 * 1024);
    peer_pause(p, true);
    for (int i = 0; i < 12; i++) {
        piece[0] = (char)('a' + i);
        actor_say(0, piece);
        rig_advance(rig, 150);
    }
    peer_pause(p, false);
    rig_advance(rig, 1000);
    actor_end(0);
    tally_read(p, &tally);
    t_ok(tally.deltas < 12);
    t_eq(tally.text.length, 12 * 64 * 1024);
    for (int i = 0; i < 12; i++)
        t_eq(tally.text.data[i * 64 * 1024], 'a' + i);
    buf_done(&tally.text);
    rig_free(rig);
}

T(who_comes_in_the_middle_sees_what_was_told)
{
    struct rig *rig = rig_new("{agents:{defaults:{thinkingDefault:'low'}}}");
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    t_json(peer_call(p, "chat.history", "{'sessionKey':'main'}"),
           "{'payload':{'thinkingLevel':'low'}}");
    chat_send(p, "main", "go", "k1");
    t_ok(actor_wait(rig, 0));
    actor_say(0, "told");
    t_json(chat_next(p, "delta"), "{'payload':{'deltaText':'told'}}");
    actor_say(0, ", not yet");
    const char *page = peer_call(p, "chat.history", "{'sessionKey':'main'}");
    t_json(page, "{'payload':{'inFlightRun':{'runId':'k1','text':'told','sessionAbortable':true},"
                 "'sessionInfo':{'effectiveQueueMode':'steer'}}}");
    rig_advance(rig, 150);
    t_json(chat_next(p, "delta"), "{'payload':{'deltaText':', not yet'}}"); /* fits behind it */
    actor_end(0);
    t_has(chat_next(p, "final"), "k1");
    page = peer_call(p, "chat.history", "{'sessionKey':'main'}");
    t_ok(!strstr(page, "inFlightRun"));
    rig_free(rig);
}
