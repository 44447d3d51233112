/* config.*, logs.tail and gateway.identity.get over a connection. */
#include "base/log.h"
#include "base/mem.h"
#include "gateway/config/config.h"
#include "tests/rig/rig.h"

#include <sys/stat.h>
#include <unistd.h>

static struct rig *rig;
static struct peer *admin, *reader;

static void start(const char *config)
{
    rig = rig_new(config);
    admin = peer_connect(rig, 4, "operator.admin");
    reader = peer_connect(rig, 4, "operator.read");
}

/* A request and its response, however long the disk takes (at most about 10 s). */
static const char *ask(struct peer *peer, const char *method, const char *params)
{
    static unsigned count;
    char id[32];
    const char *text = "";

    snprintf(id, sizeof(id), "ask%u", count++);
    CLEAN(mem_free)
    char *frame = mem_format("{\"type\":\"req\",\"id\":\"%s\",\"method\":\"%s\",\"params\":%s}", id,
                             method, params);
    peer_send_raw(peer, frame, strlen(frame));
    for (int i = 0; i < 250 && !text[0]; i++)
        text = peer_response(peer, id);
    return text;
}

/* Calls with the base hash of the file as it is now put in for %s. */
static const char *change(const char *method, const char *params)
{
    const char *now = ask(reader, "config.get", "{}");
    CLEAN(json_free) struct json *got = json_parse(now, strlen(now), NULL);
    const char *hash = json_string(json_path(got, "payload.hash"), "");
    const char *at = strstr(params, "%s");
    CLEAN(mem_free)
    char *text =
        at ? mem_format("%.*s%s%s", (int)(at - params), params, hash, at + 2) : mem_string(params);

    return ask(admin, method, text);
}

T(get_schema_and_identity_for_readers)
{
    start("{models:{providers:{x:{apiKey:'hunter2',baseUrl:'http://127.0.0.1:1'}}}}");
    const char *got = ask(reader, "config.get", "{}");
    t_json(got, "{'ok':true,'payload':{'exists':true,'valid':true,'raw':null,"
                "'config':{'models':{'providers':{'x':{'apiKey':'__OPENCLAW_REDACTED__'}}}}}}");
    t_ok(!strstr(got, "hunter2"));
    t_json(ask(reader, "config.schema", "{}"),
           "{'ok':true,'payload':{'schema':{'type':'object'},'version':'*','generatedAt':'*'}}");
    t_json(ask(reader, "gateway.identity.get", "{}"),
           "{'ok':true,'payload':{'deviceId':'*','publicKey':'*'}}");
    rig_free(rig);
}

T(changes_need_admin)
{
    start("{}");
    t_json(ask(reader, "config.set", "{\"raw\":\"{}\"}"), "{'ok':false}");
    t_json(ask(reader, "config.patch", "{\"raw\":\"{}\"}"), "{'ok':false}");
    rig_free(rig);
}

T(patch_applies_at_once_and_tells)
{
    start("{session:{mainKey:'m'}}");
    const char *reply =
        change("config.patch",
               "{\"raw\":\"{session:{mainKey:'n'}}\",\"baseHash\":\"%s\",\"note\":\"hi\"}");
    t_json(reply, "{'ok':true,'payload':{'ok':true,'config':{'session':{'mainKey':'n'}},"
                  "'changedPaths':['session.mainKey'],'sentinel':{'persisted':false,'payload':"
                  "{'kind':'config-patch','status':'ok','message':'hi',"
                  "'stats':{'mode':'config.patch','requiresRestart':false}}}}}");
    t_ok(!strstr(reply, "\"restart\""));
    t_str(config_str(rig->gw->config, KNOB_session_main_key), "n");
    t_json(peer_event(reader, "config.changed"), "{'payload':{'hash':'*'}}");
    rig_free(rig);
}

T(what_needs_a_restart_is_said)
{
    start("{}");
    t_json(change("config.apply", "{\"raw\":\"{gateway:{port:4242}}\",\"baseHash\":\"%s\"}"),
           "{'ok':true,'payload':{'changedPaths':['gateway.port'],'restart':{'ok':false,"
           "'reason':'restart the gateway to apply: gateway.port'},"
           "'sentinel':{'payload':{'kind':'config-apply','stats':{'requiresRestart':true}}}}}");
    t_ok(config_restart_pending(rig->gw->config));
    rig_free(rig);
}

T(refusals_on_the_wire)
{
    start("{session:{mainKey:'m'}}");
    t_json(change("config.set", "{\"raw\":\"{}\"}"),
           "{'ok':false,'error':{'code':'INVALID_REQUEST',"
           "'message':'config base hash required; re-run config.get and retry'}}");
    t_json(change("config.set", "{\"raw\":\"{}\",\"baseHash\":\"x\"}"),
           "{'error':{'message':'config changed since last load; re-run config.get and retry'}}");
    t_json(change("config.set", "{\"raw\":\"{zzz:1}\",\"baseHash\":\"%s\"}"),
           "{'error':{'code':'INVALID_REQUEST','details':{'issues':[{'path':'zzz'}]}}}");
    t_has(change("config.set", "{}"), "must have required property 'raw'");
    t_str(config_str(rig->gw->config, KNOB_session_main_key), "m");
    rig_free(rig);
}

T(two_changes_at_once_one_waits_outside)
{
    start("{}");
    peer_send(admin,
              "{'type':'req','id':'a','method':'config.set','params':{'raw':'{}','baseHash':'x'}}");
    peer_send(admin,
              "{'type':'req','id':'b','method':'config.set','params':{'raw':'{}','baseHash':'x'}}");
    t_json(peer_response(admin, "b"),
           "{'ok':false,'error':{'code':'UNAVAILABLE','retryable':true}}");
    t_json(peer_response(admin, "a"), "{'ok':false,'error':{'code':'INVALID_REQUEST'}}");
    rig_free(rig);
}

T(a_change_outlives_its_connection)
{
    start("{session:{mainKey:'m'}}");
    const char *text = ask(reader, "config.get", "{}");
    CLEAN(json_free) struct json *got = json_parse(text, strlen(text), NULL);
    peer_send(admin,
              "{'type':'req','id':'a','method':'config.set','params':{'raw':'{}','baseHash':'%s'}}",
              json_string(json_path(got, "payload.hash"), ""));
    peer_close(admin);
    for (int i = 0; i < 50 && strcmp(config_str(rig->gw->config, KNOB_session_main_key), "m") == 0;
         i++)
        ask(reader, "config.get", "{}");
    t_str(config_str(rig->gw->config, KNOB_session_main_key), "main");
    rig_free(rig);
}

/* ---- logs.tail ---- */

static void log_text(const char *text)
{
    char path[4096];

    log_file_path(path, sizeof(path));
    FILE *f = fopen(path, "w");
    t_ok(f != NULL);
    fputs(text, f);
    fclose(f);
}

T(logs_tail_cursor_limit_and_reset)
{
    start("{}");
    CLEAN(mem_free) char *dir = mem_format("%s/logs", t_tmpdir());
    mkdir(dir, 0700);
    t_eq(log_setup(&(struct log_config){.level = LOG_ERROR, .quiet = true, .directory = dir}, NULL),
         0);
    log_text("one\ntwo\nthree\n");
    static const struct {
        const char *params, *reply;
    } rows[] = {
        {"{}",
         "{'cursor':14,'size':14,'lines':['one','two','three'],'truncated':false,'reset':false}"},
        {"{\"limit\":2}", "{'lines':['two','three'],'truncated':true}"},
        {"{\"cursor\":8}", "{'lines':['three'],'truncated':false,'reset':false}"},
        {"{\"cursor\":9}", "{'lines':[]}"}, /* begins inside a line */
        {"{\"cursor\":14}", "{'lines':[],'cursor':14,'reset':false}"},
        {"{\"cursor\":99}", "{'lines':['one','two','three'],'reset':true}"},
        {"{\"maxBytes\":8}", "{'lines':['three'],'truncated':true}"},
        {"{\"cursor\":0,\"maxBytes\":10}",
         "{'lines':['two','three'],'reset':true,'truncated':true}"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEAN(mem_free) char *wanted = mem_format("{'ok':true,'payload':%s}", rows[i].reply);
        t_json(ask(reader, "logs.tail", rows[i].params), wanted);
    }
    t_json(ask(reader, "logs.tail", "{\"limit\":0}"), "{'ok':false}");
    char path[4096];
    log_file_path(path, sizeof(path));
    unlink(path);
    t_json(ask(reader, "logs.tail", "{}"), "{'payload':{'size':0,'lines':[]}}");
    log_close();
    rig_free(rig);
}
