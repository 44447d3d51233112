/* Which agents exist and who they are, from the configuration; which kind answers for them, from
 * agents.def. Owns nothing: every question reads the configuration in use. */
#include "gateway/agent/agent.h"

#include "gateway/config/config.h"
#include "gateway/gateway.h"

#include <stdio.h>
#include <string.h>

#define AGENT(file) extern const struct agent_kind agent_kind_##file;
#include "gateway/agent/agents.def"
#undef AGENT

static const struct agent_kind *const agent_kinds[] = {
#define AGENT(file) &agent_kind_##file,
#include "gateway/agent/agents.def"
#undef AGENT
};

/* ---- which agents ---- */

static const struct json *agent_list(struct gateway *gw)
{
    return config_node(gw->config, "agents.list");
}

/* The entry that is the default: marked so, else the first. */
static const struct json *agent_default_node(struct gateway *gw)
{
    json_each (item, agent_list(gw)) {
        if (json_boolean(json_get(item, "default"), false))
            return item;
    }
    return json_first(agent_list(gw));
}

/* The configuration's check keeps ids in their normal form (knobs.def, agents.list[].id). */
static const char *agent_node_id(const struct json *node)
{
    return json_string(json_get(node, "id"), "main");
}

const char *agent_at(struct gateway *gw, size_t index)
{
    const struct json *first = agent_default_node(gw);

    if (!first)
        return index == 0 ? "main" : NULL;
    if (index == 0)
        return agent_node_id(first);
    json_each (item, agent_list(gw)) {
        if (item != first && --index == 0)
            return agent_node_id(item);
    }
    return NULL;
}

bool agent_exists(struct gateway *gw, const char *agent_id)
{
    for (size_t i = 0; agent_at(gw, i); i++) {
        if (strcmp(agent_at(gw, i), agent_id) == 0)
            return true;
    }
    return false;
}

const struct json *agent_node(struct gateway *gw, const char *agent_id)
{
    json_each (item, agent_list(gw)) {
        if (strcmp(agent_node_id(item), agent_id) == 0)
            return item;
    }
    return NULL;
}

const char *agent_name(struct gateway *gw, const char *agent_id)
{
    const struct json *node = agent_node(gw, agent_id);
    const char *name = json_string(json_path(node, "identity.name"), NULL);

    return name ? name : json_string(json_get(node, "name"), NULL);
}

const struct agent_kind *agent_kind_of(struct gateway *gw, const char *agent_id)
{
    const char *name = json_string(json_path(agent_node(gw, agent_id), "runtime.type"), "builtin");

    for (size_t i = 0; i < COUNT(agent_kinds); i++) {
        if (strcmp(agent_kinds[i]->name, name) == 0)
            return agent_kinds[i];
    }
    return NULL;
}

/* ---- which model ---- */

/* agents.list[].model is "provider/model" or {primary}. */
static const char *agent_own_model(struct gateway *gw, const char *agent_id)
{
    const struct json *model = json_get(agent_node(gw, agent_id), "model");

    return json_string(json_kind(model) == JSON_OBJECT ? json_get(model, "primary") : model, NULL);
}

void agent_model(struct gateway *gw, const struct session *session, const char *agent_id,
                 struct model_name *ret)
{
    const char *provider = session ? session_text(session, "providerOverride", NULL) : NULL;
    const struct agent_kind *kind = agent_kind_of(gw, session ? session->agent_id : agent_id);
    const char *own;

    if (kind && kind->model) {
        kind->model(gw, session ? session->agent_id : agent_id, ret);
        return;
    }
    if (provider) {
        snprintf(ret->provider, sizeof(ret->provider), "%s", provider);
        snprintf(ret->model, sizeof(ret->model), "%s", session_text(session, "modelOverride", ""));
        return;
    }
    own = agent_own_model(gw, session ? session->agent_id : agent_id);
    if (own && model_resolve(gw, own, ret, NULL) == 0)
        return;
    if (model_resolve(gw, NULL, ret, NULL) < 0)
        *ret = (struct model_name){"echo", "echo"};
}

void agent_fallbacks(struct gateway *gw, const char *agent_id,
                     const char *ret[AGENT_FALLBACKS_MAX + 1])
{
    const struct json *own = json_get(agent_node(gw, agent_id), "model");
    const struct json *list = own ? json_get(own, "fallbacks")
                                  : config_node(gw->config, "agents.defaults.model.fallbacks");
    size_t count = 0;

    json_each (name, list) {
        if (count < AGENT_FALLBACKS_MAX && json_kind(name) == JSON_STRING)
            ret[count++] = json_string(name, "");
    }
    ret[count] = NULL;
}
