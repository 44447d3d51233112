/* Agents as rows for clients. */
#include "gateway/agent/list.h"

#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/agent/identity_file.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"

#include <string.h>

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

/* The first of them that says something; NULL: none. */
static const char *agent_first_of(const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (texts[i] && *texts[i])
            return texts[i];
    }
    return NULL;
}

/* A picture that a client can show as it stands; a file of the workspace is none. */
static const char *agent_picture(const char *text)
{
    return strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0 ||
                   strncmp(text, "data:image/", 11) == 0
               ? text
               : NULL;
}

static void agent_letter(const char *name, char ret[2])
{
    char c = name ? name[0] : 'A';

    ret[0] = c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c >= 'A' && c <= 'Z' ? c : 'A';
    ret[1] = '\0';
}

void agent_identity_write(struct gateway *gw, const char *agent_id,
                          const struct identity_file *file, int version, struct json_writer *w)
{
    const struct json *node = agent_node(gw, agent_id);
    const char *configured = agent_name(gw, agent_id);
    const char *own = json_string(json_path(node, "identity.emoji"), NULL);
    const char *pictures[] = {json_string(json_path(node, "identity.avatar"), NULL), own,
                              agent_picture(file->avatar), file->emoji};
    const char *avatar = agent_first_of(pictures, COUNT(pictures));
    const char *emoji = agent_first_of((const char *const[]){own, file->emoji}, 2);
    const char *name = agent_first_of((const char *const[]){configured, file->name}, 2);
    char letter[2];

    agent_letter(name, letter);
    jw_object(w);
    jw_kstr(w, "agentId", agent_id);
    jw_kstr(w, "name", name ? name : "Assistant");
    if (version >= 4)
        jw_kstr(w, "nameSource", configured ? "agent" : name ? "workspace" : "default");
    jw_kstr(w, "avatar", avatar ? avatar : letter);
    if (version >= 4)
        jw_kstr(w, "emoji", emoji);
    jw_object_end(w);
}
