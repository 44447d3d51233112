/* chat.*: paging, shapes of both versions, injection, attachments, refusals. protocol.md 4.1, 4.3, 6. */
#include "tests/unit/gateway/session/script_model.h"

/* n messages by chat.inject: "m1" … */
static void fill(struct peer *p, const char *key, int n)
{
    for (int i = 1; i <= n; i++) {
        CLEAN(mem_free) char *params = mem_format("{'sessionKey':'%s','message':'m%d'}", key, i);
        t_has(peer_call(p, "chat.inject", params), "\"ok\":true");
    }
}

static struct json *history(struct peer *p, const char *params)
{
    const char *text = peer_call(p, "chat.history", params);
    CLEAN(json_free) struct json *tree = json_parse(text, strlen(text), NULL);

    return json_copy(json_get(tree, "payload"));
}

static int64_t seq_at(const struct json *page, size_t i)
{
    return json_integer(json_path(json_at(json_get(page, "messages"), i), "__openclaw.seq"), -1);
}

T(history_pages_from_the_newest)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    t_has(peer_call(p, "sessions.create", "{'key':'h'}"), "\"ok\":true");
    fill(p, "h", 10);
    CLEAN(json_free) struct json *first = history(p, "{'sessionKey':'h','limit':4}");
    t_eq(json_count(json_get(first, "messages")), 4);
    t_eq(seq_at(first, 0), 7);
    t_eq(seq_at(first, 3), 10);
    t_ok(json_boolean(json_get(first, "hasMore"), false));
    t_eq(json_integer(json_get(first, "nextOffset"), -1), 4);
    t_eq(json_integer(json_get(first, "totalMessages"), -1), 10);

    CLEAN(json_free) struct json *second = history(p, "{'sessionKey':'h','limit':4,'offset':4}");
    t_eq(seq_at(second, 0), 3);
    t_eq(json_integer(json_get(second, "offset"), -1), 4);
    t_eq(json_integer(json_get(second, "nextOffset"), -1), 8);
    CLEAN(json_free) struct json *third = history(p, "{'sessionKey':'h','limit':4,'offset':8}");
    t_eq(json_count(json_get(third, "messages")), 2);
    t_ok(!json_boolean(json_get(third, "hasMore"), true));
    t_ok(!json_get(third, "nextOffset"));
    CLEAN(json_free) struct json *past = history(p, "{'sessionKey':'h','offset':99}");
    t_eq(json_count(json_get(past, "messages")), 0);
    t_ok(!json_boolean(json_get(past, "hasMore"), true));
    rig_free(rig);
}

T(history_of_what_is_not_there)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);
    struct peer *p3 = peer_connect(rig, 3, SCOPES);

    t_json(peer_call(p, "chat.history", "{'sessionKey':'nobody'}"),
           "{'ok':true,'payload':{'sessionKey':'nobody','messages':[],'hasMore':false,'"
           "totalMessages':0,'sessionInfo':"
           "{'key':'agent:main:nobody','updatedAt':null,'hasActiveRun':false,'activeRunIds':[]}}}");
    t_json(peer_call(p3, "chat.history", "{'sessionKey':'nobody'}"),
           "{'ok':true,'payload':{'sessionKey':'nobody','messages':[],'thinkingLevel':'off'}}");
    t_json(peer_call(p, "chat.history", "{'sessionKey':'nobody','limit':1001}"),
           "{'ok':false,'error':{'code':'INVALID_REQUEST'}}");
    t_has(peer_call(p, "chat.history", "{}"),
          "invalid chat.history params: must have required property 'sessionKey'");
    t_json(peer_call(p, "chat.history", "{'sessionKey':'agent:ops:x','agentId':'main'}"),
           "{'ok':false,'error':{'message':'agent \\\"main\\\" does not match session key agent "
           "\\\"ops\\\"'}}");
    rig_free(rig);
}

T(v3_history_is_bare)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);
    struct peer *p3 = peer_connect(rig, 3, SCOPES);
    const char *text;

    t_has(peer_call(p, "sessions.create", "{'key':'h'}"), "\"ok\":true");
    fill(p, "h", 2);
    text = peer_call(p3, "chat.history", "{'sessionKey':'h'}");
    t_json(text, "{'payload':{'messages':[{'role':'assistant','content':[{'text':'m1'}]},'*']}}");
    t_ok(!strstr(text, "__openclaw"));
    t_ok(!strstr(text, "sessionInfo"));
    rig_free(rig);
}

T(long_texts_are_cut_on_demand)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    t_has(peer_call(p, "sessions.create", "{'key':'h'}"), "\"ok\":true");
    t_has(peer_call(p, "chat.inject",
                    "{'sessionKey':'h','message':'\xc3\xa4\xc3\xb6\xc3\xbc 0123456789 and so on'}"),
          "\"ok\":true");
    t_has(peer_call(p, "chat.history", "{'sessionKey':'h','maxChars':5}"),
          "\"\xc3\xa4\xc3\xb6\xc3\xbc 0\\n...(truncated)...\"");
    t_ok(!strstr(peer_call(p, "chat.history", "{'sessionKey':'h'}"), "truncated"));
    rig_free(rig);
}

T(startup_has_what_the_first_page_needs)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    const char *first =
        peer_call(p, "chat.startup", "{'sessionKey':'main','limit':80,'maxBytes':100000}");
    t_has(first, "\"commands\":[{\"name\":\"help\"");
    t_json(first,
           "{'payload':{'messages':[],'agentsList':{'defaultId':'main','mainKey':'main','scope':'"
           "per-sender','agents':"
           "[{'id':'main'}]},'metadata':{'models':['*']}}}");
    t_json(peer_call(p, "chat.metadata", "{}"), "{'payload':{'models':['*']}}");
    rig_free(rig);
}

T(one_message_by_its_id)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);
    CLEAN(mem_free) char *id = NULL, *params = NULL;

    t_has(peer_call(p, "sessions.create", "{'key':'h'}"), "\"ok\":true");
    fill(p, "h", 3);
    CLEAN(json_free) struct json *page = history(p, "{'sessionKey':'h'}");
    id = mem_string(
        json_string(json_path(json_at(json_get(page, "messages"), 1), "__openclaw.id"), ""));
    params = mem_format("{'sessionKey':'h','messageId':'%s'}", id);
    t_json(peer_call(p, "chat.message.get", params),
           "{'payload':{'ok':true,'message':{'content':[{'text':'m2'}],'__openclaw':{'seq':2}}}}");
    t_json(peer_call(p, "chat.message.get", "{'sessionKey':'h','messageId':'no'}"),
           "{'payload':{'ok':false,'unavailableReason':'not_found'}}");
    rig_free(rig);
}

T(inject_is_told_as_a_final)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    t_json(peer_call(p, "chat.inject", "{'sessionKey':'h','message':'x'}"),
           "{'ok':false,'error':{'message':'session not found'}}");
    t_has(peer_call(p, "sessions.create", "{'key':'h'}"), "\"ok\":true");
    peer_send(p, "{'type':'req','id':'i','method':'chat.inject','params':{'sessionKey':'h','"
                 "message':'note','label':'L'}}");
    t_json(peer_event(p, "chat"),
           "{'payload':{'seq':0,'state':'final','sessionKey':'agent:main:h','message':{'role':"
           "'assistant','content':[{'text':'[L]\\n\\nnote'}]}}}");
    t_has(peer_response(p, "i"), "\"ok\":true");
    rig_free(rig);
}

T(attachments)
{
    /* 1 × 1 PNG */
    static const char png[] = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+"
                              "M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);
    CLEAN(mem_free)
    char *good = mem_format("{'sessionKey':'h','message':'look','idempotencyKey':'k1','attachments'"
                            ":[{'fileName':'a.png',"
                            "'content':'data:image/png;base64,%s'}]}",
                            png);

    script_reset();
    t_has(peer_call(p, "chat.send", good), "started");
    t_ok(script_wait(rig, 0));
    t_json(script_runs[0].messages, "[{'role':'user','content':[{'type':'text','text':'look'},{'"
                                    "type':'image','mimeType':'image/png','data':'*'}]}]");
    t_json(
        peer_call(p, "chat.send",
                  "{'sessionKey':'h','message':'','idempotencyKey':'k2','attachments':[{'fileName':"
                  "'b.zip','content':'UEsDBAAA'}]}"),
        "{'ok':false,'error':{'code':'INVALID_REQUEST','message':'attachment b.zip: only PNG, "
        "JPEG, GIF and WebP images and text files (UTF-8) are supported'}}");
    t_has(
        peer_call(p, "chat.send",
                  "{'sessionKey':'h','message':'','idempotencyKey':'k2','attachments':[{'fileName':"
                  "'b.pdf','content':'JVBERi0xLjcK'}]}"),
        "does not read PDF");
    t_has(peer_call(p, "chat.send",
                    "{'sessionKey':'h','message':'','idempotencyKey':'k3','attachments':[{'content'"
                    ":'!!'}]}"),
          "invalid base64");
    t_has(peer_call(p, "chat.send", "{'sessionKey':'h','message':'  ','idempotencyKey':'k4'}"),
          "message or attachment required");

    script_end(0);
    CLEAN(mem_free)
    char *anew = mem_format("{'sessionKey':'h','message':'/new look','idempotencyKey':'k5',"
                            "'attachments':[{'fileName':'a.png','content':'%s'}]}",
                            png);
    t_has(peer_call(p, "chat.send", anew), "started");
    t_ok(script_wait(rig, 1));
    t_json(script_runs[1].messages, "[{'role':'user','content':[{'type':'text','text':'look'},{'"
                                    "type':'image','mimeType':'image/png','data':'*'}]}]");
    rig_free(rig);
}

T(scopes)
{
    struct rig *rig = rig_new(NULL);
    struct peer *reader = peer_connect(rig, 4, "operator.read");
    struct peer *writer = peer_connect(rig, 4, "operator.write");

    t_json(chat_send(reader, "main", "hi", "k1"),
           "{'ok':false,'error':{'code':'FORBIDDEN','details':{'missingScope':"
           "'operator.write'}}}");
    t_json(peer_call(reader, "chat.history", "{'sessionKey':'main'}"), "{'ok':true}");
    t_json(peer_call(writer, "chat.inject", "{'sessionKey':'main','message':'x'}"),
           "{'ok':false,'error':{'details':{'missingScope':'operator.admin'}}}");
    rig_free(rig);
}

T(text_files_are_put_into_the_message)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);
    CLEAN(mem_free) char *big = mem_array(800 * 1024 + 1, 1), *params = NULL;

    script_reset();
    /* "# Hi\n```\nx\n```\n", under a name with a line break */
    t_has(peer_call(
              p, "chat.send",
              "{'sessionKey':'h','message':'read','idempotencyKey':'k1','attachments':[{"
              "'fileName':'a\\n.md','mimeType':'image/png','content':'IyBIaQpgYGAKeApgYGAK'}]}"),
          "started");
    t_ok(script_wait(rig, 0));
    t_json(
        script_runs[0].messages,
        "[{'role':'user','content':[{'type':'text','text':'read'},{'type':'text','text':'Attached "
        "file a_.md:\\n````\\n# Hi\\n```\\nx\\n```\\n````'}]}]");
    script_end(0);
    for (size_t i = 0; i < 800 * 1024; i += 8) /* "hello\n", 600 KiB of it */
        memcpy(big + i, "aGVsbG8K", 8);
    params = mem_format("{'sessionKey':'h','message':'','idempotencyKey':'k2','attachments':[{"
                        "'fileName':'big.txt','content':'%s'}]}",
                        big);
    t_has(peer_call(p, "chat.send", params), "exceeds size limit");
    t_has(peer_call(p, "chat.send",
                    "{'sessionKey':'h','message':'/status','idempotencyKey':'k3','attachments':[{"
                    "'fileName':'s.txt','content':'aGVsbG8K'}]}"),
          "started"); /* about the file, not a command */
    t_ok(script_wait(rig, 1));
    script_end(1);
    t_has(peer_call(p, "chat.send",
                    "{'sessionKey':'h','message':'/help','idempotencyKey':'k4',"
                    "'suppressCommandInterpretation':true}"),
          "started");
    t_ok(script_wait(rig, 2));
    script_end(2);
    /* HTML that calls itself an image is text */
    t_has(peer_call(p, "chat.send",
                    "{'sessionKey':'html','message':'look','idempotencyKey':'k5','attachments':[{"
                    "'fileName':'evil.html','mimeType':'image/png','content':'PHNjcmlwdD4='}]}"),
          "started");
    t_ok(script_wait(rig, 3));
    t_json(
        script_runs[3].messages,
        "[{'role':'user','content':[{'type':'text','text':'look'},{'type':'text','text':'Attached "
        "file evil.html:\\n```\\n<script>\\n```'}]}]");
    script_end(3);
    rig_free(rig);
}
