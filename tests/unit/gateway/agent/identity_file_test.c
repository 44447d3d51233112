/* Who an agent says it is, in its own file. */
#include "gateway/agent/identity_file.h"

#include "base/mem.h"
#include "tests/rig/rig.h"

static void put(struct rig *rig, const char *folder, const char *text)
{
    CLEAN(mem_free) char *path = mem_format("%s/%s/IDENTITY.md", rig->dir, folder);
    FILE *file = fopen(path, "w");

    t_ok(file != NULL);
    (void)fputs(text, file);
    (void)fclose(file);
}

T(lines_are_read_as_people_write_them)
{
    struct identity_file file;
    char *longer = mem_new(400);

    identity_parse(
        "# IDENTITY.md\n\n- **Name:** Ada Lovelace\r\n* _Emoji_: 🦊 \n"
        "- Avatar: https://example.com/a:b.png\nTheme : dark\n- Vibe: calm\nno colon\n:\n",
        &file);
    t_str(file.name, "Ada Lovelace");
    t_str(file.emoji, "🦊");
    t_str(file.avatar, "https://example.com/a:b.png");
    t_str(file.theme, "dark");

    identity_parse("- **Name:** _(pick something you like)_\n- Emoji:\n", &file);
    t_str(file.name, "");
    t_str(file.emoji, "");
    memset(longer, 'n', 399);
    memcpy(longer, "Name: ", 6);
    identity_parse(longer, &file);
    t_str(file.name, "");
    identity_parse("", &file);
    mem_free(longer);
}

T(the_configuration_goes_before_the_file)
{
    struct rig *rig =
        rig_new("{agents:{list:[{id:'main'},{id:'ops',identity:{name:'Ben',emoji:'B'}}]}}");
    struct peer *p = peer_connect(rig, 4, "operator.read"),
                *p3 = peer_connect(rig, 3, "operator.read");

    t_json(peer_call(p, "agent.identity.get", "{}"),
           "{'payload':{'agentId':'main','name':'Assistant','nameSource':'default','avatar':'A'}}");
    put(rig, "workspace", "- Name: Ada\n- Emoji: 🦊\n- Avatar: avatars/me.png\n");
    t_json(peer_call(p, "agent.identity.get", "{}"),
           "{'payload':{'agentId':'main','name':'Ada','nameSource':'workspace','avatar':'🦊','"
           "emoji':"
           "'🦊'}}");
    t_json(peer_call(p3, "agent.identity.get", "{}"),
           "{'payload':{'agentId':'main','name':'Ada','avatar':'🦊'}}");
    t_json(peer_call(p, "agent.identity.get", "{'agentId':'ops'}"),
           "{'payload':{'agentId':'ops','name':'Ben','nameSource':'agent','avatar':'B'}}");
    put(rig, "workspace", "- Name: zoe\xff\n");
    t_json(peer_call(p, "agent.identity.get", "{}"), "{'payload':{'name':'Assistant'}}");
    rig_free(rig);
}

T(a_question_may_outlive_its_connection)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, "operator.read");

    peer_send(p, "{'type':'req','id':'x','method':'agent.identity.get','params':{}}");
    loop_turn(rig->gw->loop, false);
    rig_free(rig);
}
