/* system-presence, system-event, system.info. protocol.md 4.1, 4.3. */
#include "base/mem.h"
#include "gateway/event/presence.h"
#include "gateway/event/system_queue.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/method.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#define TEXT_MAX 20000

/* ---- system-presence ---- */

static int system_presence_run(struct call *call, const void *params)
{
    (void)params;
    presence_write(call_gateway(call), call_reply(call));
    return call_send(call);
}

/* ---- system-event ---- */

struct system_event {
    const char *text, *deviceId, *instanceId, *host, *ip, *mode, *version, *platform, *deviceFamily,
        *modelIdentifier, *reason;
    int64_t lastInputSeconds;
    const struct json *roles, *scopes, *tags;
};
static const struct field system_event_fields[] = {
    F_STR(system_event, text, REQUIRED | FIELD_NONEMPTY, TEXT_MAX),
    F_STR(system_event, deviceId, OPTIONAL, 128),
    F_STR(system_event, instanceId, OPTIONAL, 128),
    F_STR(system_event, host, OPTIONAL, 256),
    F_STR(system_event, ip, OPTIONAL, 64),
    F_STR(system_event, mode, OPTIONAL, 64),
    F_STR(system_event, version, OPTIONAL, 64),
    F_STR(system_event, platform, OPTIONAL, 64),
    F_STR(system_event, deviceFamily, OPTIONAL, 64),
    F_STR(system_event, modelIdentifier, OPTIONAL, 64),
    F_STR(system_event, reason, OPTIONAL, 128),
    F_INT(system_event, lastInputSeconds, OPTIONAL, 0, 1e12, -1),
    F_STRS(system_event, roles, OPTIONAL, 32),
    F_STRS(system_event, scopes, OPTIONAL, 32),
    F_STRS(system_event, tags, OPTIONAL, 32),
    F_END,
};
static const struct field ok_reply[] = {R_BOOL("ok", REQUIRED), F_END};

static char *list_text(const struct json *list)
{
    return list ? json_print(list, false) : NULL;
}

static void note_presence(struct gateway *gw, const struct system_event *p)
{
    CLEAN(mem_free) char *roles = list_text(p->roles);
    CLEAN(mem_free) char *scopes = list_text(p->scopes);
    CLEAN(mem_free) char *tags = list_text(p->tags);
    const char *key = p->deviceId     ? p->deviceId
                      : p->instanceId ? p->instanceId
                      : p->host       ? p->host
                      : p->ip         ? p->ip
                                      : p->text;

    presence_update(gw,
                    &(struct presence_entry){.key = key,
                                             .host = p->host,
                                             .ip = p->ip,
                                             .version = p->version,
                                             .platform = p->platform,
                                             .device_family = p->deviceFamily,
                                             .model_identifier = p->modelIdentifier,
                                             .mode = p->mode,
                                             .reason = p->reason,
                                             .text = p->text,
                                             .device_id = p->deviceId,
                                             .instance_id = p->instanceId,
                                             .last_input_seconds = p->lastInputSeconds,
                                             .tags = tags,
                                             .roles = roles,
                                             .scopes = scopes},
                    true);
}

/* A node's beacon is presence; it becomes a note for the agent only when it says something new, which
 * periodic ones do not. */
static bool is_quiet_beacon(const struct system_event *p)
{
    return strncmp(p->text, "Node:", 5) == 0 &&
           (!p->reason || strncasecmp(p->reason, "periodic", 8) == 0 ||
            strcasecmp(p->reason, "heartbeat") == 0);
}

static int system_event_run(struct call *call, const void *params)
{
    const struct system_event *p = params;
    struct gateway *gw = call_gateway(call);
    struct json_writer *w;

    note_presence(gw, p);
    if (!is_quiet_beacon(p))
        system_queue_push(gw, p->text);
    w = call_reply(call);
    jw_object(w);
    jw_kbool(w, "ok", true);
    jw_object_end(w);
    return call_send(call);
}

/* ---- system.info ---- */

static const struct field info_reply[] = {
    R_STR("machineName", REQUIRED),
    R_STR("hostname", REQUIRED),
    R_STR("platform", REQUIRED),
    R_STR("release", REQUIRED),
    R_STR("arch", REQUIRED),
    R_STR("osLabel", REQUIRED),
    R_STR("nodeVersion", REQUIRED),
    R_INT("port", OPTIONAL),
    R_INT("pid", REQUIRED),
    R_STR("processInstanceId", OPTIONAL),
    R_INT("uptimeMs", REQUIRED),
    R_INT("cpuCount", REQUIRED),
    R_ARRAY("loadAverage", OPTIONAL),
    R_INT("memoryTotalBytes", REQUIRED),
    R_INT("memoryFreeBytes", REQUIRED),
    R_INT("diskTotalBytes", OPTIONAL),
    R_INT("diskAvailableBytes", OPTIONAL),
    R_STR("diskPath", OPTIONAL),
    F_END,
};

static void write_machine(struct json_writer *w)
{
    struct utsname system;
    char host[65] = "";

    uname(&system);
    gethostname(host, sizeof(host) - 1);
    jw_kstr(w, "machineName", host);
    jw_kstr(w, "hostname", host);
    jw_kstr(w, "platform", "linux");
    jw_kstr(w, "release", system.release);
    jw_kstr(w, "arch",
            strcmp(system.machine, "x86_64") == 0    ? "x64"
            : strcmp(system.machine, "aarch64") == 0 ? "arm64"
                                                     : system.machine);
    jw_kstr(w, "osLabel", system.sysname);
    jw_kstr(w, "nodeVersion", "none"); /* required by the clients' schema; there is no Node in us */
}

static void write_resources(const char *state_dir, struct json_writer *w)
{
    struct sysinfo info;
    struct statvfs disk;

    sysinfo(&info);
    jw_kint(w, "cpuCount", sysconf(_SC_NPROCESSORS_ONLN));
    jw_karray(w, "loadAverage");
    for (int i = 0; i < 3; i++)
        jw_num(w, (double)(info.loads[i] * 100 / (1 << SI_LOAD_SHIFT)) / 100);
    jw_array_end(w);
    jw_kint(w, "memoryTotalBytes", (int64_t)(info.totalram * info.mem_unit));
    jw_kint(w, "memoryFreeBytes", (int64_t)(info.freeram * info.mem_unit));
    if (statvfs(state_dir, &disk) == 0) {
        jw_kint(w, "diskTotalBytes", (int64_t)(disk.f_blocks * disk.f_frsize));
        jw_kint(w, "diskAvailableBytes", (int64_t)(disk.f_bavail * disk.f_frsize));
        jw_kstr(w, "diskPath", state_dir);
    }
}

static int system_info_run(struct call *call, const void *params)
{
    struct gateway *gw = call_gateway(call);
    struct json_writer *w = call_reply(call);

    (void)params;
    jw_object(w);
    write_machine(w);
    if (gw->port)
        jw_kint(w, "port", gw->port);
    jw_kint(w, "pid", getpid());
    jw_kstr(w, "processInstanceId", gw->boot_id);
    jw_kint(w, "uptimeMs", loop_now(gw->loop) - gw->started_mono);
    write_resources(gw->state_dir, w);
    jw_object_end(w);
    return call_send(call);
}

#define PRESENCE_LIST                                                                              \
    {                                                                                              \
        .kind = FIELD_ARRAY                                                                        \
    }

const struct method methods_system[] = {
    M_SHAPE("system-presence", OPERATOR, READ, READ, no_params, PRESENCE_LIST, system_presence_run),
    M("system-event", OPERATOR, ADMIN, ADMIN, system_event, ok_reply, system_event_run),
    M("system.info", OPERATOR, READ, READ, no_params, info_reply, system_info_run),
    {0},
};
