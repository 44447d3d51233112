/* ACP agents that behave: what they tell, what they ask, what they remember. Real programs. */
#include "tests/rig/acp_rig.h"

#include <sys/stat.h>

/* ---- telling ---- */

T(words_thoughts_tools_plan_and_usage_in_order)
{
    struct agent_rig *ar = acp_rig();

    t_str(acp_say(ar, "work"), "First I read. Then I answer: größer ✓.");
    t_eq(ar->result, 0);
    t_str(ar->stop_reason, "stop");
    t_str(ar->provider, "acp");
    t_str(ar->model, "script");
    t_str(ar->thinking.data, "Let me think.");
    t_eq(ar->usage.input, 10);
    t_eq(ar->usage.output, 5);
    t_json(agent_rig_print(ar->messages),
           "[{'role':'assistant','stopReason':'toolUse','content':["
           "{'type':'thinking','thinking':'Let me think.'},{'type':'text','text':'First I read. '},"
           "{'type':'toolCall','id':'t1','name':'read','arguments':{'path':'a.txt'}},"
           "{'type':'toolCall','id':'t2','name':'search','arguments':{'query':'b'}}]},"
           "{'role':'toolResult','toolCallId':'t2','toolName':'search','isError':true,"
           "'content':[{'type':'text','text':'*'}]},"
           "{'role':'toolResult','toolCallId':'t1','isError':false,"
           "'content':[{'type':'text','text':'the file'}]}]");
    t_json(agent_rig_print(ar->content), "[{'type':'text','text':'Then I answer: größer ✓.'}]");
    t_json(agent_rig_print(ar->streams),
           "[{'stream':'plan','data':{'steps':[{'step':'look','status':'pending'}]}},"
           "{'stream':'tool','data':{'phase':'start','name':'read','toolCallId':'t1'}},"
           "{'stream':'tool','data':{'phase':'start','toolCallId':'t2','args':{'query':'b'}}},"
           "{'stream':'tool','data':{'phase':'result','toolCallId':'t2','isError':true}},"
           "{'stream':'tool','data':{'phase':'result','toolCallId':'t1','isError':false,"
           "'result':{'content':[{'text':'the file'}]}}},"
           "{'stream':'usage','data':{'contextTokens':1200,'contextWindow':200000}}]");
    agent_rig_free(ar);
}

T(one_program_serves_the_turns_of_a_session)
{
    struct agent_rig *ar = acp_rig();

    acp_say(ar, "memory one");
    t_has(acp_say(ar, "memory two"), "2 things: memory one; memory two");
    session_renew(ar->rig->gw, ar->session);
    t_has(acp_say(ar, "memory three"), "1 things: memory three"); /* after a reset: a fresh one */
    agent_rig_free(ar);
}

/* Only one that can go on with its session later, or whose session was reset: another would forget. */
T(idle_programs_are_stopped)
{
    static const struct {
        const char *options;
        bool reset, stops;
    } cases[] = {{"'--load','/dev/null'", false, true}, {"", false, false}, {"", true, true}};

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct agent_rig *ar = acp_rig_as(cases[i].options, "", "");
        int pid = 0, other = 0;

        t_eq(sscanf(acp_say(ar, "grandchild"), "pids %d %d", &pid, &other), 2);
        if (cases[i].reset)
            session_renew(ar->rig->gw, ar->session);
        loop_advance(ar->rig->gw->loop, 10 * 60000 + 1);
        agent_rig_settle(ar);
        if (cases[i].stops) {
            t_ok(acp_dies(ar, pid) && acp_dies(ar, other));
            t_has(acp_say(ar, "memory x"), "1 things"); /* and started again */
        } else {
            t_has(acp_say(ar, "memory x"), "2 things");
        }
        agent_rig_free(ar);
    }
}

T(a_session_is_gone_on_with_where_the_program_can)
{
    CLEAN(mem_free) char *options = mem_format("'--load','%s/load.json'", t_tmpdir());
    struct agent_rig *ar = acp_rig_as(options, "", "");

    acp_say(ar, "memory one");
    loop_advance(ar->rig->gw->loop, 10 * 60000 + 1);
    t_str(acp_say(ar, "memory two"), "I was told 2 things: memory one; memory two");
    agent_rig_free(ar);
}

/* The whole gateway starts again over the same folder: the program's session id was kept. */
T(a_restart_of_the_gateway_goes_on_with_the_session)
{
    CLEAN(mem_free) char *options = mem_format("'--load','%s/restart.json'", t_tmpdir());
    CLEAN(mem_free) char *config = acp_config(options, "", "");
    CLEAN(mem_free) char *dir = mem_format("%s/restart", t_tmpdir());
    struct agent_rig *ar;

    t_eq(mkdir(dir, 0700), 0);
    for (int i = 0; i < 2; i++) {
        ar = agent_rig_new_in(rig_new_at(dir, config), ACP_KEY);
        acp_say(ar, i == 0 ? "memory one" : "memory two");
        t_has(ar->text.data, i == 0 ? "1 things" : "2 things: memory one; memory two");
        agent_rig_free(ar);
    }
}

/* What cannot remember is told. */
T(a_fresh_program_hears_what_was_said)
{
    struct agent_rig *ar = acp_rig();

    agent_rig_say(ar, "before", "My name is Ada.");
    agent_rig_put(ar, "assistant", "before",
                  "{'role':'assistant','content':[{'type':'text','text':'Good day, Ada.'}]}");
    acp_say(ar, "memory x");
    t_has(ar->text.data, "User: My name is Ada.");
    t_has(ar->text.data, "You: Good day, Ada.");
    acp_say(ar, "memory y");
    t_ok(!strstr(strstr(ar->text.data, "memory x"), "Ada")); /* once */
    agent_rig_free(ar);
}

T(the_last_idle_program_makes_place)
{
    struct agent_rig *ar = acp_rig_as("", "", "acp:{maxConcurrentSessions:1}");
    struct session *first = ar->session;
    int pid = 0, other = 0;

    t_eq(sscanf(acp_say(ar, "grandchild"), "pids %d %d", &pid, &other), 2);
    ar->session = session_ensure(ar->rig->gw, "agent:main:second", NULL);
    t_has(acp_say(ar, "memory x"), "1 things");
    t_ok(acp_dies(ar, pid));
    ar->session = first;
    t_has(acp_say(ar, "memory y"), "1 things");
    agent_rig_free(ar);
}

T(images_only_where_they_are_taken)
{
    static const char *const options[] = {"'--image'", ""};
    const char *image =
        "[{\"type\":\"image\",\"mimeType\":\"image/png\",\"data\":\"iVBORw0KGgo=\"}]";

    for (size_t i = 0; i < COUNT(options); i++) {
        struct agent_rig *ar = acp_rig_as(options[i], "", "");
        struct agent_request request = agent_rig_request(ar, "x");
        CLEAN(mem_free) char *message = transcript_user("image", image, "run", 1);

        request.user_seq = agent_rig_put(ar, "user", "run", message);
        agent_rig_start_as(ar, &request);
        agent_rig_end(ar, 20);
        if (*options[i])
            t_str(ar->text.data, "I see 1 image/png");
        else
            t_has(ar->fault.text, "takes no images");
        agent_rig_free(ar);
    }
}

T(what_the_program_may_see)
{
    struct agent_rig *ar;
    const char *said;

    setenv("CULVERT_GATEWAY_TOKEN", "do-not-tell", 1);
    setenv("SOME_API_KEY", "do-not-tell", 1);
    ar = acp_rig();
    said = acp_say(ar, "env");
    t_has(said, "MY_KEY");
    t_has(said, "PATH");
    t_has(said, "/workspace");
    t_ok(!strstr(said, "CULVERT") && !strstr(said, "SOME_API_KEY"));
    agent_rig_free(ar);
    unsetenv("CULVERT_GATEWAY_TOKEN");
    unsetenv("SOME_API_KEY");
}

/* A cancel before it was ready: the next turn finds it started. */
T(a_start_is_not_wasted)
{
    struct agent_rig *ar = acp_rig();
    int pid = 0, other = 0;

    for (int i = 0; i < 3; i++) {
        agent_rig_start(ar, "hello");
        for (int turn = 0; turn < 20 * i; turn++)
            loop_turn(ar->rig->gw->loop, false);
        if (ar->run)
            ar->kind->cancel(ar->run);
        agent_rig_end(ar, 1);
        t_eq(ar->result, -ERR_CANCELLED);
    }
    t_eq(sscanf(acp_say(ar, "grandchild"), "pids %d %d", &pid, &other), 2);
    agent_rig_free(ar);
    t_ok(acp_dies(NULL, pid));
}

T(oneshot_forgets)
{
    CLEAN(mem_free) char *here = getcwd(NULL, 0);
    CLEAN(mem_free)
    char *config = mem_format(
        "{agents:{list:[{id:'main',runtime:{type:'acp',acp:{agent:'s',mode:'oneshot',cwd:'/'}}}]},"
        "plugins:{entries:{acpx:{config:{agents:{s:{command:'python3',args:["
        "'%s/tests/tool/acp_agent.py']}}}}}}}",
        here);
    struct agent_rig *ar = agent_rig_new(config, ACP_KEY);

    acp_say(ar, "memory one");
    t_has(acp_say(ar, "memory two"), "1 things");
    t_has(acp_say(ar, "env"), " in /");
    agent_rig_free(ar);
}

/* ---- asking ---- */

T(a_person_decides)
{
    static const struct {
        const char *offered, *decision, *said;
    } cases[] = {
        {"", "allow-once", "o-allow_once"},
        {"", "allow-always", "o-allow_always"},
        {"", "deny", "o-reject_once"},
        {"allow_once,reject_always", "deny", "o-reject_always"},
        {"allow_always,reject_once", "deny", "o-reject_once"},
        {"allow_once", "deny", "cancelled"},
        {"allow_always", "allow-once", "cancelled"}, /* once is not for ever */
    };
    struct agent_rig *ar = acp_rig();
    struct peer *reviewer = peer_connect(ar->rig, 4, "operator.approvals");

    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEAN(mem_free) char *message = mem_format("permit %s", cases[i].offered);
        CLEAN(mem_free) char *said = mem_format("The answer was %s.", cases[i].said);

        agent_rig_start(ar, message);
        acp_decide(reviewer, acp_pending(ar, reviewer), cases[i].decision);
        agent_rig_end(ar, 20);
        t_eq(ar->result, 0);
        t_has(ar->text.data, said);
        t_has(agent_rig_print(ar->streams), "\"phase\":\"requested\",\"kind\":\"exec\"");
        t_has(agent_rig_print(ar->streams), strncmp(cases[i].decision, "allow", 5) == 0
                                                ? "\"status\":\"approved\""
                                                : "\"status\":\"denied\"");
    }
    agent_rig_free(ar);
}

T(the_reviewer_sees_what_is_asked)
{
    struct agent_rig *ar = acp_rig();
    struct peer *reviewer = peer_connect(ar->rig, 4, "operator.approvals");
    const char *event;

    agent_rig_start(ar, "permit allow_once,reject_once");
    acp_pending(ar, reviewer);
    event = peer_call(reviewer, "exec.approval.list", "{}");
    t_json(event,
           "{'payload':[{'request':{'agentId':'main','sessionKey':'" ACP_KEY "','runId':'run',"
           "'toolCallId':'edit-1','allowedDecisions':['allow-once','deny']}}]}");
    t_has(event, "Write the file\\n{\\\"path\\\":\\\"/etc/hosts\\\"");
    agent_rig_free(ar);
}

T(nobody_decides)
{
    struct agent_rig *ar = acp_rig();
    struct peer *reviewer = peer_connect(ar->rig, 4, "operator.approvals");

    agent_rig_start(ar, "permit");
    t_ok(*acp_pending(ar, reviewer));
    loop_advance(ar->rig->gw->loop, APPROVAL_TIMEOUT_MS + 1);
    agent_rig_end(ar, 20);
    t_eq(ar->result, 0);
    t_has(ar->text.data, "The answer was o-reject_once.");
    t_has(agent_rig_print(ar->streams), "\"status\":\"expired\"");
    agent_rig_free(ar);
}

T(the_policy_decides)
{
    static const struct {
        const char *config, *security, *ask, *said;
    } cases[] = {
        {"permissionMode:'approve-all',", NULL, NULL, "o-allow_once"},
        {"permissionMode:'deny-all',", NULL, NULL, "o-reject_once"},
        {"", "full", "off", "o-allow_once"},
        {"permissionMode:'approve-all',", "deny", NULL, "o-reject_once"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct agent_rig *ar = acp_rig_as("", cases[i].config, "");
        CLEAN(mem_free) char *said = mem_format("The answer was %s.", cases[i].said);

        session_set_text(ar->session, "execSecurity", cases[i].security);
        session_set_text(ar->session, "execAsk", cases[i].ask);
        t_has(acp_say(ar, "permit"), said);
        agent_rig_free(ar);
    }
}

T(files_beneath_its_folder_only)
{
    struct agent_rig *ar = acp_rig_as("", "permissionMode:'approve-all',", "");
    CLEAN(mem_free) char *root = agent_workspace(ar->rig->gw, "main", NULL);
    const struct {
        const char *verb, *path, *said;
    } cases[] = {
        {"write", "/sub/a.txt one two", "{}"},
        {"read", "/sub/a.txt", "{\"content\": \"one two\"}"},
        {"read", "/../culvert.json", "-32603"},
        {"read", "/link", "-32603"},
        {"write", "/../x y", "-32603"},
        {"read", "/none", "there is no such file"},
    };
    CLEAN(mem_free) char *link = mem_format("%s/link", root);

    t_eq(symlink("/etc/hostname", link), 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEAN(mem_free)
        char *message = mem_format("%s %s%s", cases[i].verb, root, cases[i].path);
        t_has(acp_say(ar, message), cases[i].said);
    }
    t_has(acp_say(ar, "read /etc/hostname"), "-32603");
    agent_rig_free(ar);
}

T(writing_is_asked_for)
{
    struct agent_rig *ar = acp_rig();
    struct peer *reviewer = peer_connect(ar->rig, 4, "operator.approvals");
    CLEAN(mem_free) char *root = agent_workspace(ar->rig->gw, "main", NULL);
    CLEAN(mem_free) char *message = mem_format("write %s/b.txt content", root);
    CLEAN(mem_free) char *path = mem_format("%s/b.txt", root);
    static const char *const decisions[] = {"deny", "allow-once"};

    for (size_t i = 0; i < COUNT(decisions); i++) {
        agent_rig_start(ar, message);
        acp_decide(reviewer, acp_pending(ar, reviewer), decisions[i]);
        agent_rig_end(ar, 20);
        t_eq(access(path, F_OK), i == 0 ? -1 : 0);
    }
    t_has(ar->text.data, "{}");
    agent_rig_free(ar);
}

/* What the reviewer reads of "ask METHOD PARAMS"; the answer is no. Caller owns. */
static char *text_asked(struct agent_rig *ar, struct peer *reviewer, const char *message)
{
    CLEAN(json_free) struct json *reply = NULL;
    const char *id, *list;

    agent_rig_start(ar, message);
    id = acp_pending(ar, reviewer);
    t_ok(*id);
    list = peer_call(reviewer, "exec.approval.list", "{}");
    reply = json_parse(list, strlen(list), NULL);
    CLEAN(mem_free)
    char *text = mem_string(
        json_string(json_path(json_at(json_get(reply, "payload"), 0), "request.command"), ""));
    acp_decide(reviewer, id, "deny");
    agent_rig_end(ar, 20);
    return TAKE(text);
}

static char *repeated(char c, size_t count)
{
    char *text = mem_new(count + 1);

    memset(text, c, count);
    return text;
}

/* Nothing the program adds takes the place of what will be written. */
T(writing_shows_what_will_be_written)
{
    struct agent_rig *ar = acp_rig();
    struct peer *reviewer = peer_connect(ar->rig, 4, "operator.approvals");
    CLEAN(mem_free) char *junk = repeated('j', 40000);
    CLEAN(mem_free) char *path = repeated('p', 2048);
    CLEAN(mem_free)
    char *message = mem_format("ask fs/write_text_file {\"junk\":\"%s\",\"command\":\"ls\","
                               "\"path\":\"/%s\",\"content\":\"rm -rf \\u002f\"}",
                               junk, path + 1);
    CLEAN(mem_free) char *expected = mem_format("Write /%s\n{\"content\":\"rm -rf /\"}", path + 1);
    CLEAN(mem_free) char *text = text_asked(ar, reviewer, message);
    CLEAN(mem_free)
    char *large = mem_format("ask fs/write_text_file {\"path\":\"/a\",\"content\":\"%s\"}", junk);
    CLEAN(mem_free) char *cut = text_asked(ar, reviewer, large);

    t_str(text, expected);
    t_has(cut, "Write /a\n{\"content\":\"jjj");
    t_has(cut, "\n(and 7246 bytes more, which are not shown)");
    agent_rig_free(ar);
}

T(writing_without_what_can_be_shown_is_refused)
{
    struct agent_rig *ar = acp_rig();
    CLEAN(mem_free) char *path = repeated('p', 2048);
    CLEAN(mem_free)
    char *message = mem_format("ask fs/write_text_file {\"path\":\"/%s\",\"content\":\"x\"}", path);

    t_has(acp_say(ar, message), "Invalid params");
    t_has(acp_say(ar, "ask fs/write_text_file {\"content\":\"x\"}"), "Invalid params");
    t_has(acp_say(ar, "ask fs/write_text_file {\"path\":\"/a\",\"content\":[\"x\"]}"),
          "Invalid params");
    agent_rig_free(ar);
}

T(a_command_does_not_hide_what_is_beside_it)
{
    static const char *const cases[][2] = {
        {"{\"command\":\"ls -l\"}", "Run\nls -l"},
        {"{\"cwd\":\"/etc\",\"command\":\"ls\",\"args\":[\"-l\"]}",
         "Run\n{\"command\":\"ls\",\"cwd\":\"/etc\",\"args\":[\"-l\"]}"},
        {"{\"command\":[\"ls\"],\"cwd\":\"/\"}", "Run\n{\"command\":[\"ls\"],\"cwd\":\"/\"}"},
        {"\"rm x\"", "Run\n\"rm x\""},
        {"{}", "Run"},
        {"null", "Run"},
    };
    struct agent_rig *ar = acp_rig();
    struct peer *reviewer = peer_connect(ar->rig, 4, "operator.approvals");
    CLEAN(mem_free) char *title = repeated('t', 5000);
    CLEAN(mem_free)
    char *message = mem_format(
        "ask session/request_permission {\"toolCall\":{\"toolCallId\":\"long\",\"title\":\"%s\"},"
        "\"options\":[]}",
        title);
    CLEAN(mem_free) char *text = text_asked(ar, reviewer, message);

    t_has(text, "t\n(and 904 bytes more, which are not shown)");
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEAN(mem_free)
        char *asked =
            mem_format("ask session/request_permission {\"toolCall\":{\"toolCallId\":\"c%zu\","
                       "\"title\":\"Run\",\"rawInput\":%s},\"options\":[]}",
                       i, cases[i][0]);
        CLEAN(mem_free) char *shown = text_asked(ar, reviewer, asked);
        t_str(shown, cases[i][1]);
    }
    agent_rig_free(ar);
}

T(cancelled_while_it_asks)
{
    struct agent_rig *ar = acp_rig();
    struct peer *reviewer = peer_connect(ar->rig, 4, "operator.approvals");

    agent_rig_start(ar, "permit");
    t_ok(*acp_pending(ar, reviewer));
    ar->kind->cancel(ar->run);
    agent_rig_end(ar, 1); /* it has its time */
    t_eq(ar->result, -ERR_CANCELLED);
    t_json(peer_event(reviewer, "exec.approval.resolved"), "{'payload':{'reason':'withdrawn'}}");
    t_json(peer_call(reviewer, "exec.approval.list", "{}"), "{'payload':[]}");
    t_has(acp_say(ar, "memory x"), "2 things"); /* the same program goes on */
    agent_rig_free(ar);
}

T(cancelled_it_keeps_its_program)
{
    struct agent_rig *ar = acp_rig();

    agent_rig_start(ar, "wait");
    agent_rig_words(ar);
    ar->kind->cancel(ar->run);
    agent_rig_end(ar, 1); /* it has its time */
    t_eq(ar->result, -ERR_CANCELLED);
    t_has(ar->text.data, "I stop."); /* what it says until its answer is read */
    t_has(acp_say(ar, "memory x"), "2 things");
    agent_rig_free(ar);
}
