/* The structured parts: what stands in lists and maps, as field rows. Their readers take them with
 * config_node and field_decode or json_get. A key that OpenClaw knows and we do not use is a row of
 * unused.def, not of these tables. */
#include "gateway/config/rows.h"

// clang-format off
#define TEXT_MAX 4096
#define P(k, kind_, flags_, ...) {.key = k, .kind = FIELD_##kind_, .flags = (flags_), .set_at = FIELD_NO_SET, __VA_ARGS__}
#define P_STR(k)             P(k, STR, 0, .max = TEXT_MAX)
#define P_NAME(k)            P(k, STR, FIELD_REQUIRED | FIELD_NONEMPTY, .max = 256)
#define P_SECRET(k)          P(k, STR, FIELD_SECRET, .max = 65536)
#define P_BOOL(k)            P(k, BOOL, 0)
#define P_INT(k, lo, hi)     P(k, INT, 0, .min = (lo), .max = (hi))
#define P_NUM(k, lo, hi)     P(k, NUM, 0, .min = (lo), .max = (hi))
#define P_ENUM(k, list)      P(k, ENUM, 0, .names = (list))
#define P_STRS(k, cap)       P(k, STRS, 0, .max = (cap))
#define P_IDS(k, cap)        P(k, STRS, FIELD_NUMBERS, .max = (cap))
#define P_OBJECT(k, rows)    P(k, OBJECT, 0, .sub = (rows))
#define P_OBJECTS(k, rows, cap) P(k, OBJECTS, 0, .sub = (rows), .max = (cap))
#define P_MAP(k, row)        P(k, MAP, 0, .sub = (row))
#define P_ANY(k)             P(k, ANY, 0)
#define ONE_OF(...)          ((const char *const[]){__VA_ARGS__, NULL})

static const struct field any_secret[] = {P_SECRET("")};
static const struct field string_lists[] = {P_STRS("", 1000)};

static const char *const scope_names[] = {
#define SCOPE(name, wire, implied) wire,
#include "gateway/conn/scope.def"
#undef SCOPE
    NULL,
};

/* ---- agents ---- */
static const struct field model_choice[] = {
    P_STR("primary"),
    P_STRS("fallbacks", 16),
    F_END,
};
static const struct field agent_identity[] = {
    P_STR("name"), P_STR("theme"), P_STR("emoji"), P_STR("avatar"),
    F_END,
};
/* Who answers: the built-in loop ("embedded" is OpenClaw's name of it), or an Agent Client Protocol program
 * as a child. */
static const struct field agent_runtime_acp[] = {
    P_STR("agent"), P_STR("cwd"), P_ENUM("mode", ONE_OF("persistent", "oneshot")),
    P("backend", STR, FIELD_UNUSED, .max = 256),
    F_END,
};
static const struct field agent_runtime[] = {
    P_ENUM("type", ONE_OF("builtin", "embedded", "acp")),
    P_OBJECT("acp", agent_runtime_acp),
    F_END,
};
/* The programs behind acp agents, where OpenClaw's ACP back end has them; env and authMethod are ours. */
static const struct field acp_program_rows[] = {
    P("command", STR, FIELD_REQUIRED | FIELD_NONEMPTY, .max = TEXT_MAX),
    P_STRS("args", 256), P_MAP("env", any_secret), P_STR("authMethod"),
    F_END,
};
static const struct field acp_program[] = {P_OBJECT("", acp_program_rows)};
#define TOOL_LISTS P_STRS("allow", 256), P_STRS("alsoAllow", 256), P_STRS("deny", 256)
static const struct field agent_exec[] = {
    P_ENUM("mode", ONE_OF("deny", "allowlist", "ask", "auto", "full")),
    P_ENUM("security", ONE_OF("deny", "allowlist", "full")),
    P_ENUM("ask", ONE_OF("off", "on-miss", "always")),
    P_INT("timeoutSeconds", 1, 86400),
    F_END,
};
static const struct field agent_tools[] = {
    P_ENUM("profile", ONE_OF("minimal", "coding", "messaging", "full")),
    TOOL_LISTS,
    P_OBJECT("exec", agent_exec),
    F_END,
};
#define AGENT_ROWS                                                                                 \
    P_BOOL("default"), P_STR("name"), P_STR("workspace"),                                          \
    P("model", OBJECT, FIELD_OR_STRING, .sub = model_choice),                                      \
    P_OBJECT("identity", agent_identity), P_OBJECT("runtime", agent_runtime),                      \
    P_OBJECT("tools", agent_tools),                                                                \
    P_ENUM("thinkingDefault", ONE_OF("off", "minimal", "low", "medium", "high", "xhigh")),         \
    P_ENUM("verboseDefault", ONE_OF("off", "on", "full")),                                         \
    P_ENUM("reasoningDefault", ONE_OF("off", "on", "stream"))
static const struct field agent_list[] = {P("id", STR, FIELD_REQUIRED | FIELD_ID, .max = 64), AGENT_ROWS, F_END};
static const struct field agent_entry_rows[] = {AGENT_ROWS, F_END};
static const struct field agent_entry[] = {P_OBJECT("", agent_entry_rows)};

/* ---- models ---- */
/* US dollars per million tokens. */
static const struct field model_price[] = {
    P_NUM("input", 0, 1e6), P_NUM("output", 0, 1e6), P_NUM("cacheRead", 0, 1e6), P_NUM("cacheWrite", 0, 1e6),
    F_END,
};
static const struct field model_rows[] = {
    P_OBJECT("cost", model_price),
    P_NAME("id"), P_STR("name"),
    P_INT("contextWindow", 1, 1e9), P_INT("maxTokens", 1, 1e9),
    P_BOOL("reasoning"), P_STRS("input", 8),
    F_END,
};
static const struct field model_alias_rows[] = {P_STR("alias"), F_END};
static const struct field model_alias[] = {P_OBJECT("", model_alias_rows)};
static const struct field model_compat[] = {P_BOOL("supportsUsageInStreaming"), F_END};
static const struct field model_provider_rows[] = {
    P_BOOL("enabled"), P_BOOL("authHeader"),
    P_STR("baseUrl"),
    P_SECRET("apiKey"),
    P_ENUM("api", ONE_OF("openai-completions", "openai-responses", "openai-chatgpt-responses", "openai-codex-responses",
           "azure-openai-responses", "anthropic-messages", "google-generative-ai", "google-vertex",
           "github-copilot", "bedrock-converse-stream", "pi-messages", "ollama", "echo")),
    P_INT("timeoutSeconds", 1, 86400),
    P_INT("maxTokens", 1, 1e9),
    P_MAP("headers", any_secret),
    P_OBJECT("compat", model_compat),
    P_OBJECTS("models", model_rows, 1000),
    F_END,
};
static const struct field model_provider[] = {P_OBJECT("", model_provider_rows)};

/* ---- bindings ---- */
static const struct field binding_peer[] = {
    P_ENUM("kind", ONE_OF("dm", "direct", "group", "channel")),
    P_STR("id"),
    F_END,
};
static const struct field binding_match[] = {
    P_NAME("channel"), P_STR("accountId"), P_OBJECT("peer", binding_peer), P_STR("guildId"), P_STR("teamId"),
    F_END,
};
static const struct field binding_rows[] = {
    P_NAME("agentId"), P_STR("comment"),
    P("match", OBJECT, FIELD_REQUIRED, .sub = binding_match),
    F_END,
};

/* ---- session ---- */
static const struct field reset_rows[] = {
    P_ENUM("mode", ONE_OF("none", "daily", "idle")),
    P_INT("atHour", 0, 23), P_INT("idleMinutes", 1, 525600),
    F_END,
};
static const struct field reset_row[] = {P_OBJECT("", reset_rows)};
static const struct field reset_types[] = {
    P_OBJECT("dm", reset_rows), P_OBJECT("direct", reset_rows), P_OBJECT("group", reset_rows),
    P_OBJECT("thread", reset_rows),
    F_END,
};
static const struct field send_match[] = {
    P_STR("channel"), P_STR("chatType"), P_STR("keyPrefix"),
    F_END,
};
static const struct field send_rules[] = {
    P("action", ENUM, FIELD_REQUIRED, .names = ONE_OF("allow", "deny")),
    P_OBJECT("match", send_match),
    F_END,
};
static const struct field send_policy[] = {
    P_ENUM("default", ONE_OF("allow", "deny")),
    P_OBJECTS("rules", send_rules, 256),
    F_END,
};

/* ---- messages ---- */
static const struct field queue_mode_row[] = {
    P_ENUM("", ONE_OF("steer", "followup", "collect", "interrupt", "queue", "steer-backlog", "steer+backlog")),
};
static const struct field debounce_row[] = {P_INT("", 0, 3600000)};

/* ---- channels: what all have, then each one's own ---- */
static const struct field group_rows[] = {
    P_BOOL("requireMention"), P_BOOL("enabled"), P_IDS("allowFrom", 1000), P_STR("agentId"),
    F_END,
};
static const struct field group_row[] = {P_OBJECT("", group_rows)};
#define CHANNEL_ROWS                                                                               \
    P_BOOL("enabled"), P_STR("name"),                                                              \
    P_ENUM("dmPolicy", ONE_OF("pairing", "allowlist", "open", "disabled")),                        \
    P_IDS("allowFrom", 10000),                                                                     \
    P_ENUM("groupPolicy", ONE_OF("open", "disabled", "allowlist")),                                \
    P_IDS("groupAllowFrom", 10000), P_MAP("groups", group_row),                                    \
    P_INT("historyLimit", 0, 1000), P_INT("dmHistoryLimit", 0, 1000),                              \
    P_INT("textChunkLimit", 1, 100000), P_NUM("mediaMaxMb", 0, 1024), P_STR("defaultAccount")
/* A channel's table, and the same again for each of its accounts. */
#define CHANNEL(name, ...)                                                                         \
    static const struct field name##_account_rows[] = {CHANNEL_ROWS, __VA_ARGS__, F_END};          \
    static const struct field name##_account[] = {P_OBJECT("", name##_account_rows)};              \
    static const struct field name##_rows[] = {CHANNEL_ROWS, __VA_ARGS__,                          \
                                               P_MAP("accounts", name##_account), F_END}
CHANNEL(webchat, P_STR("agentId"));
CHANNEL(telegram, P_SECRET("botToken"), P_STR("tokenFile"), P_STR("apiRoot"), P_STR("webhookUrl"),
        P_SECRET("webhookSecret"), P_STR("webhookPath"));
CHANNEL(discord, P_SECRET("token"), P_ANY("guilds"));
CHANNEL(slack, P_SECRET("botToken"), P_SECRET("appToken"), P_SECRET("signingSecret"),
        P_ENUM("mode", ONE_OF("socket", "http", "relay")), P_STR("webhookPath"), P_ANY("channels"));
CHANNEL(signal, P_STR("account"), P_STR("httpUrl"), P_STR("httpHost"), P_INT("httpPort", 1, 65535),
        P_STR("cliPath"), P_BOOL("autoStart"));
CHANNEL(imessage, P_STR("cliPath"), P_STR("dbPath"), P_STR("remoteHost"),
        P_ENUM("service", ONE_OF("imessage", "sms", "auto")), P_STR("region"));
CHANNEL(whatsapp, P_BOOL("selfChatMode"), P_BOOL("sendReadReceipts"), P_STR("authDir"));

/* ---- hooks ---- */
static const struct field hook_match[] = {P_STR("path"), P_STR("source"), F_END};
static const struct field hook_mappings[] = {
    P_STR("id"), P_OBJECT("match", hook_match),
    P_ENUM("action", ONE_OF("wake", "agent")),
    P_ENUM("wakeMode", ONE_OF("now", "next-heartbeat")),
    P_STR("name"), P_STR("agentId"), P_STR("sessionKey"),
    P("messageTemplate", STR, 0, .max = 65536), P("textTemplate", STR, 0, .max = 65536),
    P_BOOL("deliver"), P_STR("channel"), P_STR("to"), P_STR("model"), P_STR("thinking"),
    P_INT("timeoutSeconds", 1, 86400),
    F_END,
};

/* ---- tunnels ---- */
static const struct field trust_rows[] = {
    P_ENUM("role", ONE_OF("operator", "node", "both")),
    P("scopes", STRS, FIELD_NO_ADMIN, .max = 64, .names = &scope_names[1] /* operator.admin is the first */),
    F_END,
};
static const struct field trust_row[] = {P_OBJECT("", trust_rows)};
static const struct field publish_rows[] = {
    P_NAME("target"),
    P_INT("remotePort", 0, 65535), P_STR("bindHost"),
    P_ENUM("service", ONE_OF("gateway", "canvas")),
    P_STR("identity"), P_BOOL("acceptNew"),
    F_END,
};

#define PART(path_, reload_, help_, ...) {.path = path_, .field = __VA_ARGS__, .reload = RELOAD_##reload_, .help = help_}
const struct part_row part_rows[] = {
    PART("gateway.trustedProxies",       HOT, "proxies (IP or CIDR) whose forwarded headers count", P_STRS("", 256)),
    PART("gateway.controlUi.allowedOrigins", HOT, "browser origins allowed besides the gateway's own", P_STRS("", 256)),
    PART("gateway.auth.secretScopes",    HOT, "operator scopes that the shared secret carries", P("", STRS, 0, .max = 64, .names = scope_names)),
    PART("gateway.auth.trustedProxy.requiredHeaders", HOT, "headers the trusted proxy must send", P_STRS("", 64)),
    PART("gateway.auth.trustedProxy.allowUsers", HOT, "users the trusted proxy may name; empty: all", P_STRS("", 1000)),
    PART("gateway.nodes.commands.allow", NONE, "node commands allowed besides the defaults", P_STRS("", 256)),
    PART("gateway.nodes.commands.deny",  NONE, "node commands never allowed", P_STRS("", 256)),
    PART("gateway.nodes.allowCommands",  NONE, "older name of gateway.nodes.commands.allow", P_STRS("", 256)),
    PART("gateway.nodes.denyCommands",   NONE, "older name of gateway.nodes.commands.deny", P_STRS("", 256)),
    PART("agents.list",                  HOT, "the agents, in order", P_OBJECTS("", agent_list, 256)),
    PART("agents.entries",               HOT, "the agents by id", P("", MAP, FIELD_ID, .sub = agent_entry)),
    PART("agents.defaults.models",       HOT, "models by provider/model, with a short name each", P_MAP("", model_alias)),
    PART("agents.defaults.model.fallbacks", HOT, "provider/model tried when the primary fails", P_STRS("", 16)),
    PART("models.providers",             HOT, "model back ends by id", P_MAP("", model_provider)),
    PART("plugins.entries.acpx.config.agents", HOT, "programs that speak the Agent Client Protocol, by name", P_MAP("", acp_program)),
    PART("bindings",                     NONE, "which agent answers whom; the first match wins", P_OBJECTS("", binding_rows, 1000)),
    PART("tools.allow",                  HOT, "tools, \"*\" patterns and group:<id> that agents may use; empty: all of the profile", P_STRS("", 256)),
    PART("tools.alsoAllow",              HOT, "tools that agents may use besides those of the profile", P_STRS("", 256)),
    PART("tools.deny",                   HOT, "tools that no agent may use; wins", P_STRS("", 256)),
    PART("tools.exec.allowlist",         HOT, "programs that may run, by their absolute path without links; \"*\" is any name", P_STRS("", 1000)),
    PART("tools.web.fetch.ssrfPolicy.allowedHostnames", HOT, "hosts that are fetched from although their addresses are not public", P_STRS("", 256)),
    PART("tools.web.fetch.ssrfPolicy.blockedHostnames", HOT, "hosts that are never fetched from; *.x is all below x", P_STRS("", 256)),
    PART("tools.agentToAgent.allow",     HOT, "agents that may reach one another; absent: all", P_STRS("", 256)),
    PART("gateway.tools.allow",          HOT, "tools offered over HTTP although they are not by default", P_STRS("", 256)),
    PART("gateway.tools.deny",           HOT, "tools never offered over HTTP", P_STRS("", 256)),
    PART("session.identityLinks",        NONE, "one person's ids on several channels", P_MAP("", string_lists)),
    PART("session.resetTriggers",        NONE, "messages that start a session afresh", P_STRS("", 32)),
    PART("session.resetByType",          HOT, "reset rules by kind of chat", P_OBJECT("", reset_types)),
    PART("session.resetByChannel",       HOT, "reset rules by channel", P_MAP("", reset_row)),
    PART("session.sendPolicy",           HOT, "which sessions may send", P_OBJECT("", send_policy)),
    PART("messages.queue.byChannel",     HOT, "queue mode by channel", P_MAP("", queue_mode_row)),
    PART("messages.queue.debounceMsByChannel", HOT, "quiet moment by channel", P_MAP("", debounce_row)),
    PART("tunnel.trust.unix",            HOT, "what unix users may do who come by a bridge of theirs, or from this host to gateway.socketDirectory", P_MAP("", trust_row)),
    PART("tunnel.trust.keys",            HOT, "what SSH keys may do, by fingerprint (SHA256:...), at a bridge of our own user", P_MAP("", trust_row)),
    PART("tunnel.trust.names",           HOT, "what the names of forced commands may do: culvert bridge --as NAME", P_MAP("", trust_row)),
    PART("tunnel.trust.logins",          HOT, "what tailnet logins may do", P_MAP("", trust_row)),
    PART("tunnel.trust.tags",            HOT, "what nodes with a tailnet tag may do", P_MAP("", trust_row)),
    PART("tunnel.publish",               RESTART, "SSH hosts on which the gateway publishes itself", P_OBJECTS("", publish_rows, 8)),
    PART("channels.webchat",             NONE, "WebChat",  P_OBJECT("", webchat_rows)),
    PART("channels.telegram",            NONE, "Telegram", P_OBJECT("", telegram_rows)),
    PART("channels.discord",             NONE, "Discord",  P_OBJECT("", discord_rows)),
    PART("channels.slack",               NONE, "Slack",    P_OBJECT("", slack_rows)),
    PART("channels.signal",              NONE, "Signal",   P_OBJECT("", signal_rows)),
    PART("channels.imessage",            NONE, "iMessage", P_OBJECT("", imessage_rows)),
    PART("channels.whatsapp",            NONE, "WhatsApp", P_OBJECT("", whatsapp_rows)),
    PART("hooks.mappings",               NONE, "what hooks do", P_OBJECTS("", hook_mappings, 256)),
    PART("hooks.presets",                NONE, "built-in hook mappings", P_STRS("", 16)),
    PART("hooks.allowedAgentIds",        NONE, "agents that hooks may name", P_STRS("", 256)),
    PART("hooks.allowedSessionKeyPrefixes", NONE, "session keys that hooks may name", P_STRS("", 256)),
    {0},
};
