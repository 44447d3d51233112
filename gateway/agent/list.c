/* Agents as rows for clients. */
#include "gateway/agent/list.h"

#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"

static void agent_write_identity(const struct json *node, struct json_writer *w)
{
    static const char *const names[] = {"name", "theme", "emoji", "avatar", "avatarUrl"};
    const struct json *identity = json_get(node, "identity");

    if (json_kind(identity) != JSON_OBJECT)
        return;
    jw_kobject(w, "identity");
    for (size_t i = 0; i < COUNT(names); i++)
        jw_kstr(w, names[i], json_string(json_get(identity, names[i]), NULL));
    jw_object_end(w);
}

static void agent_write_row(struct gateway *gw, const char *id, int version, struct json_writer *w)
{
    const struct json *node = agent_node(gw, id);
    struct model_name model;

    jw_object(w);
    jw_kstr(w, "id", id);
    jw_kstr(w, "name", json_string(json_get(node, "name"), NULL));
    agent_write_identity(node, w);
    if (version >= 4) {
        struct buf b;

        CLEAN(mem_free) char *workspace = agent_workspace_path(gw, id);
        agent_model(gw, NULL, id, &model);
        buf_init(&b, 2 * MODEL_NAME_MAX + 8);
        buf_addf(&b, "%s/%s", model.provider, model.model);
        jw_kstr(w, "workspace", workspace);
        jw_kobject(w, "model");
        jw_kstr(w, "primary", b.data);
        jw_object_end(w);
        buf_done(&b);
        jw_kobject(w, "agentRuntime");
        jw_kstr(w, "id", agent_kind_of(gw, id) ? agent_kind_of(gw, id)->name : "unknown");
        jw_kstr(w, "source", "implicit");
        jw_object_end(w);
    }
    jw_object_end(w);
}

void agent_list_write(struct gateway *gw, int version, struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "defaultId", agent_at(gw, 0));
    jw_kstr(w, "mainKey", config_str(gw->config, KNOB_session_main_key));
    jw_kstr(w, "scope", config_str(gw->config, KNOB_session_scope));
    if (version >= 4) {
        jw_kstr(w, "ownership", agent_at(gw, 1) ? "explicit" : "sole");
        jw_kbool(w, "selectionRequired", false);
    }
    jw_karray(w, "agents");
    for (size_t i = 0; agent_at(gw, i); i++)
        agent_write_row(gw, agent_at(gw, i), version, w);
    jw_array_end(w);
    jw_object_end(w);
}

void agent_identity_write(struct gateway *gw, const char *agent_id, int version,
                          struct json_writer *w)
{
    const struct json *node = agent_node(gw, agent_id);
    const char *name = agent_name(gw, agent_id);
    const char *avatar = json_string(json_path(node, "identity.avatar"),
                                     json_string(json_path(node, "identity.emoji"), NULL));
    char letter[8] = "A";

    if (name && ((name[0] >= 'a' && name[0] <= 'z') || (name[0] >= 'A' && name[0] <= 'Z')))
        letter[0] = (char)(name[0] & ~0x20);
    jw_object(w);
    jw_kstr(w, "agentId", agent_id);
    jw_kstr(w, "name", name ? name : "Assistant");
    if (version >= 4)
        jw_kstr(w, "nameSource", name ? "config" : "default");
    jw_kstr(w, "avatar", avatar ? avatar : letter);
    jw_object_end(w);
}
