/* The routes of a Control UI in a folder: files, its page for every address of its own (it finds its way by
 * the path), what it asks before it connects, and the agents' pictures. The page itself is written by
 * control_ui_page.c. Owns struct control_ui. protocol.md 4.4, 8.2, 8.3. */
#include "gateway/http/control_ui.h"

#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/gateway.h"
#include "gateway/http/control_ui_page.h"
#include "gateway/http/pages.h"
#include "gateway/http/static.h"

#include <stdio.h>
#include <string.h>

#define AGENT_NAME_MAX 64

struct control_ui {
    unsigned streams;                 /* answers in parts that are open */
    char build[CONTROL_UI_BUILD_MAX]; /* "" : not known */
};

struct control_ui *control_ui_new(void)
{
    return NEW(struct control_ui);
}

struct control_ui *control_ui_free(struct control_ui *ui)
{
    return mem_free(ui);
}

const char *control_ui_build(const struct gateway *gw)
{
    return gw->control_ui->build[0] ? gw->control_ui->build : NULL;
}

/* ---- the page and its files ---- */

static void not_there(struct web_call *call)
{
    web_text(call, 404, "Not Found");
}

static void on_page(struct web_call *call, const char *text, size_t length)
{
    CLEAN(mem_free) char *base = pages_base(call->gw), *folder = pages_folder(call->gw);
    struct control_ui_page page;

    if (!text) {
        web_error(call, 503, "unavailable",
                  "no usable index.html in %s, which gateway.controlUi.root names: put a built "
                  "Control UI there, or unset it to get WebChat",
                  folder ? folder : "(nothing)");
        return;
    }
    control_ui_page_write(text, length, base, &page);
    snprintf(call->gw->control_ui->build, sizeof(page.build), "%s", page.build);
    CLEAN(bytes_unref) struct bytes *body = bytes_from_buf(&page.html);
    web_reply(call, body ? 200 : 500, "text/html; charset=utf-8", page.headers, body);
    control_ui_page_done(&page);
}

static void send_page(struct web_call *call)
{
    CLEAN(mem_free) char *folder = pages_folder(call->gw);

    static_load(call, folder, "index.html", on_page);
}

/* The page's own addresses look like no file of a kind we know: /chat/agent:main:main. */
static void page_or_nothing(struct web_call *call)
{
    call->gone = NULL;
    if (static_type(call->rest) || !static_may_show(call->rest + 1))
        not_there(call);
    else
        send_page(call);
}

static void redirect_to_base(struct web_call *call)
{
    CLEAN(mem_free) char *base = pages_base(call->gw);
    CLEAN(mem_free) char *headers = mem_format("location: %s/\r\n", base);

    web_reply(call, 302, "text/plain; charset=utf-8", headers, NULL);
}

void route_control_ui(struct web_call *call)
{
    CLEAN(mem_free) char *folder = pages_folder(call->gw);
    CLEAN(mem_free) char *headers = control_ui_headers(NULL);
    const char *path = pages_path(call->gw, call->request->path);

    if (!*path) {
        redirect_to_base(call);
    } else if (strcmp(path, "/") == 0 || strcmp(path, "/index.html") == 0) {
        send_page(call);
    } else {
        bool hashed = strncmp(path, "/assets/", 8) == 0; /* the build names them by content */
        static_send(call, &call->gw->control_ui->streams,
                    &(struct static_file){.root = folder,
                                          .path = path + 1,
                                          .headers = headers,
                                          .immutable = hashed,
                                          .missing = hashed ? not_there : page_or_nothing});
    }
}

/* ---- pictures of agents ---- */

struct avatar {
    const char *text;   /* as configured; NULL: none */
    const char *kind;   /* "none", "local", "remote", "data" */
    const char *reason; /* of "none" */
    char path[160];     /* "local": where we serve it */
};

static bool begins(const char *text, const char *head)
{
    return strncmp(text, head, strlen(head)) == 0;
}

/* A picture's name in the workspace looks like one; an emoji does not. */
static bool is_picture_file(const char *text)
{
    const char *type = static_type(text);

    return type && begins(type, "image/");
}

static struct avatar avatar_of(struct gateway *gw, const char *agent_id)
{
    CLEAN(mem_free) char *base = pages_base(gw);
    const char *text = json_string(json_path(agent_node(gw, agent_id), "identity.avatar"), NULL);
    struct avatar avatar = {.text = text, .kind = "none", .reason = "missing"};

    if (!text || !*text)
        return (struct avatar){.kind = "none", .reason = "missing"};
    if (begins(text, "https://") || begins(text, "http://"))
        avatar.kind = "remote";
    else if (begins(text, "data:image/"))
        avatar.kind = "data";
    else if (is_picture_file(text) && static_may_show(text) && text[0] != '/') {
        avatar.kind = "local";
        snprintf(avatar.path, sizeof(avatar.path), "%.64s/avatar/%.64s", base, agent_id);
    }
    if (strcmp(avatar.kind, "none") != 0)
        avatar.reason = NULL;
    return avatar;
}

static void jw_text_or_null(struct json_writer *w, const char *key, const char *text)
{
    if (text) {
        jw_kstr(w, key, text);
    } else {
        jw_key(w, key);
        jw_null(w);
    }
}

static void write_avatar_facts(struct json_writer *w, const struct avatar *avatar,
                               const char *const names[3])
{
    bool shown = avatar->text && strcmp(avatar->kind, "none") != 0;

    jw_text_or_null(w, names[0], shown ? avatar->text : NULL);
    jw_text_or_null(w, names[1], avatar->text ? avatar->kind : NULL);
    jw_text_or_null(w, names[2], avatar->text ? avatar->reason : NULL);
}

static void send_avatar_facts(struct web_call *call, const struct avatar *avatar)
{
    static const char *const names[3] = {"avatarSource", "avatarStatus", "avatarReason"};
    bool outside = strcmp(avatar->kind, "remote") == 0 || strcmp(avatar->kind, "data") == 0;
    struct json_writer w;
    struct buf b;

    buf_init(&b, 1 << 20);
    jw_init(&w, &b);
    jw_object(&w);
    jw_text_or_null(&w, "avatarUrl",
                    avatar->path[0] ? avatar->path
                    : outside       ? avatar->text
                                    : NULL);
    write_avatar_facts(&w, avatar, names);
    jw_object_end(&w);
    web_json(call, 200, &b);
    buf_done(&b);
}

void route_avatar(struct web_call *call)
{
    struct gateway *gw = call->gw;
    const char *agent = call->rest[0] == '/' ? call->rest + 1 : "";

    if (!*agent || strlen(agent) > AGENT_NAME_MAX || !agent_exists(gw, agent)) {
        web_error(call, 404, "not_found", "no such agent");
        return;
    }
    struct avatar avatar = avatar_of(gw, agent);
    if (strstr(call->request->query, "meta=1")) {
        send_avatar_facts(call, &avatar);
        return;
    }
    if (!avatar.path[0]) {
        web_error(call, 404, "not_found", "this agent has no picture of its own");
        return;
    }
    CLEAN(mem_free) char *folder = agent_workspace_path(gw, agent);
    /* Whatever the file holds, it is shown and never runs. */
    static_send(call, &gw->control_ui->streams,
                &(struct static_file){
                    .root = folder,
                    .path = avatar.text,
                    .headers = "content-security-policy: default-src 'none'; sandbox\r\n",
                    .missing = not_there,
                });
}

/* ---- what the page asks before it connects ---- */

void route_control_ui_config(struct web_call *call)
{
    static const char *const names[3] = {"assistantAvatarSource", "assistantAvatarStatus",
                                         "assistantAvatarReason"};
    struct gateway *gw = call->gw;
    const char *agent = agent_at(gw, 0), *name = agent_name(gw, agent);
    const char *emoji = json_string(json_path(agent_node(gw, agent), "identity.emoji"), NULL);
    struct avatar avatar = avatar_of(gw, agent);
    CLEAN(mem_free) char *base = pages_base(gw);
    struct json_writer w;
    struct buf b;

    buf_init(&b, 1 << 20);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "basePath", base);
    jw_kstr(&w, "assistantName", name ? name : "Assistant");
    jw_kstr(&w, "assistantAvatar",
            avatar.path[0]                     ? avatar.path
            : strcmp(avatar.kind, "none") != 0 ? avatar.text
            : emoji                            ? emoji
                                               : "A");
    write_avatar_facts(&w, &avatar, names);
    jw_kstr(&w, "assistantAgentId", agent);
    jw_kstr(&w, "serverVersion", CULVERT_VERSION);
    jw_kstr(&w, "embedSandbox", "scripts");
    jw_kbool(&w, "allowExternalEmbedUrls", false);
    jw_kbool(&w, "automaticallyFetchFavicons", false);
    jw_kbool(&w, "communityInvite", false);
    jw_kbool(&w, "terminalEnabled", false);
    jw_kbool(&w, "cliAgentsEnabled", false);
    jw_kbool(&w, "pluginAssetsRequireAuth", true);
    jw_karray(&w, "pluginFrameGrants");
    jw_array_end(&w);
    jw_object_end(&w);
    web_json(call, 200, &b);
    buf_done(&b);
}
