/* config.get, config.set, config.apply, config.patch, config.schema. protocol.md 4.1. Files are read and
 * written in the pool (gateway/config/change.h); a valid change is taken over on the loop at once, and
 * the reply says truthfully when something of it waits for a restart. */
#define LOG_SUBSYSTEM "config"
#include "gateway/config/config.h"
#include "base/io/work.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/config/change.h"
#include "gateway/config/redact.h"
#include "gateway/config/schema.h"
#include "gateway/event/event.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/method.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CONFIG_READ_MS   10000
#define CONFIG_WRITE_MS  60000
#define CONFIG_REPLY_MAX (16u << 20)

/* ---- config.get ---- */

struct config_get {
    struct op op;
    struct call *call;
    char *path;
    struct buf reply;
};

static int config_get_work(void *arg, struct fault *fault)
{
    struct config_get *get = arg;
    struct json_writer w;
    CLEAN(snapshot_free) struct snapshot *snapshot = snapshot_read(get->path);

    jw_init(&w, &get->reply);
    change_write_snapshot(snapshot, &w);
    return get->reply.bad ? fault_set(fault, -ERR_TOO_LARGE, "the configuration is too large") : 0;
}

static void config_get_done(struct op *op, int result)
{
    struct config_get *get = CONTAINER(op, struct config_get, op);

    if (result < 0) {
        op->fault.code = result;
        call_fail_fault(get->call, &op->fault);
        return;
    }
    call_reply_text(get->call, get->reply.data, get->reply.length);
}

static void config_get_free(void *arg)
{
    struct config_get *get = arg;

    mem_free(get->path);
    buf_done(&get->reply);
    mem_free(get);
}

static void config_get_gone(void *arg)
{
    struct config_get *get = arg;

    op_cancel(&get->op);
}

static int config_get_run(struct call *call, const void *params)
{
    struct gateway *gw = call_gateway(call);
    struct config_get *get = NEW(struct config_get);

    (void)params;
    get->call = call;
    get->path = mem_string(config_path(gw->config));
    buf_init(&get->reply, CONFIG_REPLY_MAX);
    op_init(&get->op, gw->loop, config_get_done, CONFIG_READ_MS);
    call_on_gone(call, config_get_gone, get);
    work_run(&get->op, config_get_work, get, config_get_free);
    return 0;
}

/* ---- config.set, config.apply, config.patch ---- */

struct config_write {
    const char *raw, *baseHash, *sessionKey, *note;
    int64_t restartDelayMs;
    const struct json *replacePaths, *deliveryContext;
};
static const struct field config_write_fields[] = {
    F_STR(config_write, raw, REQUIRED, 1048576),
    F_STR(config_write, baseHash, OPTIONAL, 256),
    F_STR(config_write, sessionKey, OPTIONAL, 512),
    F_STR(config_write, note, OPTIONAL, 4096),
    F_INT(config_write, restartDelayMs, OPTIONAL, 0, 60000, 2000),
    F_STRS(config_write, replacePaths, OPTIONAL, 256),
    F_ANY(config_write, deliveryContext, OPTIONAL),
    F_END,
};

struct config_job {
    struct op op;
    struct gateway *gw;
    struct call *call; /* NULL: answered, or the connection is gone */
    struct defer forget;
    const char *kind; /* "config-patch"; NULL: config.set has no sentinel */
    const char *mode; /* "config.patch" */
    char *session_key, *note;
    struct change change;
    /* what the reply says, made in the pool */
    char *config_json;
    struct buf changed;  /* JSON array of paths */
    struct buf restarts; /* ", "-joined paths that need a restart */
    bool any_change;
};

struct changed_paths {
    struct config_job *job;
    struct json_writer w;
};

static void on_changed_path(void *arg, const char *path)
{
    struct changed_paths *paths = arg;

    paths->job->any_change = true;
    jw_str(&paths->w, path);
    if (config_path_restarts(path))
        buf_addf(&paths->job->restarts, "%s%s", paths->job->restarts.length ? ", " : "", path);
}

static int config_job_work(void *arg, struct fault *fault)
{
    struct config_job *job = arg;
    struct changed_paths paths = {.job = job};

    (void)fault;
    change_run(&job->change);
    if (job->change.verdict != CHANGE_DONE)
        return 0;
    CLEAN(json_free) struct json *shown = redact(job->change.after->merged, NULL);
    job->config_json = json_print(shown, false);
    jw_init(&paths.w, &job->changed);
    jw_array(&paths.w);
    snapshot_changes(job->change.before->merged, job->change.after->merged, on_changed_path,
                     &paths);
    jw_array_end(&paths.w);
    return 0;
}

static void config_job_free(void *arg)
{
    struct config_job *job = arg;

    change_done(&job->change);
    mem_free(job->session_key);
    mem_free(job->note);
    mem_free(job->config_json);
    buf_done(&job->changed);
    buf_done(&job->restarts);
    mem_free(job);
}

static void config_job_refuse(struct config_job *job)
{
    CLEAN(mem_free) char *details = change_details(&job->change);
    bool refused = job->change.verdict == CHANGE_REFUSED;

    call_fail_with(job->call,
                   &(struct call_error){.code = refused ? WIRE_INVALID_REQUEST : WIRE_UNAVAILABLE,
                                        .message = job->change.message,
                                        .details = details,
                                        .retry_after_ms = -1});
}

/* What the reference writes for its own restart: we restart nothing by ourselves, so nothing is kept. */
static void config_job_sentinel(struct config_job *job, bool restart, struct json_writer *w)
{
    jw_kobject(w, "sentinel");
    jw_kbool(w, "persisted", false);
    jw_kobject(w, "payload");
    jw_kstr(w, "kind", job->kind);
    jw_kstr(w, "status", "ok");
    jw_kint(w, "ts", loop_wall(job->gw->loop));
    jw_kstr(w, "sessionKey", job->session_key);
    jw_kstr(w, "message", job->note);
    jw_kstr(w, "doctorHint", "To check the gateway, run: culvert doctor");
    jw_kobject(w, "stats");
    jw_kstr(w, "mode", job->mode);
    jw_kstr(w, "root", job->change.path);
    jw_kbool(w, "requiresRestart", restart);
    jw_object_end(w);
    jw_object_end(w);
    jw_object_end(w);
}

static void config_job_restart(struct config_job *job, struct json_writer *w)
{
    CLEAN(mem_free)
    char *reason = mem_format("restart the gateway to apply: %s",
                              job->restarts.bad ? "several settings" : job->restarts.data);

    jw_kobject(w, "restart");
    jw_kbool(w, "ok", false); /* none was started: the person decides when */
    jw_kint(w, "pid", getpid());
    jw_kint(w, "delayMs", 0);
    jw_kstr(w, "reason", reason);
    jw_object_end(w);
}

static void config_job_reply(struct config_job *job, const char *hash)
{
    struct json_writer *w = call_reply(job->call);
    bool restart = job->restarts.bad || job->restarts.length > 0;

    jw_object(w);
    jw_kbool(w, "ok", true);
    jw_kstr(w, "path", job->change.path);
    jw_kstr(w, "hash", hash);
    jw_kraw(w, "config", job->config_json);
    jw_kraw(w, "changedPaths", job->changed.bad ? "[]" : job->changed.data);
    if (restart)
        config_job_restart(job, w);
    if (job->kind)
        config_job_sentinel(job, restart, w);
    jw_object_end(w);
    call_send(job->call);
}

/* The new reading becomes the running one; whoever shows the configuration is told. */
static int config_job_adopt(struct config_job *job, struct fault *reterr_fault)
{
    struct gateway *gw = job->gw;
    int r = config_adopt(gw->config, TAKE(job->change.after), NULL, reterr_fault);

    if (r < 0)
        return r;
    if (job->restarts.length > 0)
        log_info("%s: restart the gateway to apply: %s", job->mode, job->restarts.data);
    if (job->any_change) {
        CLEAN(mem_free) char *text = mem_format("{\"hash\":\"%s\"}", config_hash(gw->config));
        CLEAN(bytes_unref) struct bytes *payload = bytes_new(text, strlen(text));
        event_emit(gw, &(struct event){.id = EVENT_config_changed, .payload = payload});
    }
    return 0;
}

static void config_job_done(struct op *op, int result)
{
    struct config_job *job = CONTAINER(op, struct config_job, op);
    bool written = result == 0 && job->change.verdict == CHANGE_DONE;

    config_write_end(job->gw->config);
    if (written)
        result = config_job_adopt(job, &op->fault);
    defer_stop(job->gw->loop, &job->forget);
    if (!job->call)
        return;
    call_on_gone(job->call, NULL, NULL);
    if (result < 0) {
        op->fault.code = result;
        call_fail_fault(job->call, &op->fault);
    } else if (written) {
        config_job_reply(job, config_hash(job->gw->config));
    } else {
        config_job_refuse(job);
    }
}

/* Nobody waits for the answer any more, but the change goes on. */
static void config_job_forget(void *arg)
{
    struct config_job *job = arg;
    struct call *call = TAKE(job->call);

    call_fail(call, WIRE_UNAVAILABLE, "the connection is gone");
}

static void config_job_gone(void *arg)
{
    struct config_job *job = arg;

    defer_start(job->gw->loop, &job->forget, config_job_forget, job);
}

static int config_change(struct call *call, const struct config_write *p, enum change_kind kind,
                         const char *sentinel, const char *mode)
{
    struct gateway *gw = call_gateway(call);
    struct config_job *job = NEW(struct config_job);

    op_init(&job->op, gw->loop, config_job_done, CONFIG_WRITE_MS);
    if (!config_write_begin(gw->config, &job->op)) {
        mem_free(job);
        return call_fail_with(
            call, &(struct call_error){.code = WIRE_UNAVAILABLE,
                                       .message = "another change of the configuration is running",
                                       .retryable = true,
                                       .retry_after_ms = 100});
    }
    job->gw = gw;
    job->call = call;
    job->kind = sentinel;
    job->mode = mode;
    job->session_key = mem_string(p->sessionKey);
    job->note = mem_string(p->note);
    job->change = (struct change){.kind = kind,
                                  .path = mem_string(config_path(gw->config)),
                                  .raw = mem_string(p->raw),
                                  .base_hash = mem_string(p->baseHash)};
    buf_init(&job->changed, CONFIG_REPLY_MAX);
    buf_init(&job->restarts, 4096);
    call_on_gone(call, config_job_gone, job);
    work_run(&job->op, config_job_work, job, config_job_free);
    return 0;
}

static int config_set_run(struct call *call, const void *params)
{
    return config_change(call, params, CHANGE_SET, NULL, "config.set");
}

static int config_apply_run(struct call *call, const void *params)
{
    return config_change(call, params, CHANGE_SET, "config-apply", "config.apply");
}

static int config_patch_run(struct call *call, const void *params)
{
    return config_change(call, params, CHANGE_PATCH, "config-patch", "config.patch");
}

/* ---- config.schema ---- */

/* "2026-02-03T04:05:06.789Z" */
static void utc_text(int64_t wall_ms, char *out, size_t size)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    char day[24];

    gmtime_r(&seconds, &tm);
    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, size, "%s.%03dZ", day, (int)(wall_ms % 1000));
}

static int config_schema_run(struct call *call, const void *params)
{
    struct json_writer *w = call_reply(call);
    char now[32];

    (void)params;
    utc_text(loop_wall(call_gateway(call)->loop), now, sizeof(now));
    jw_object(w);
    jw_key(w, "schema");
    schema_write(w);
    jw_key(w, "uiHints");
    schema_write_hints(w);
    jw_kstr(w, "version", CULVERT_VERSION);
    jw_kstr(w, "generatedAt", now);
    jw_object_end(w);
    return call_send(call);
}

/* ---- rows ---- */

static const struct field issue_reply[] = {
    R_STR("path", REQUIRED), R_STR("message", REQUIRED), R_STR("file", 0), R_INT("line", 0), F_END,
};
static const struct field config_get_reply[] = {
    R_STR("path", REQUIRED),
    R_BOOL("exists", REQUIRED),
    R_STR("raw", REQUIRED | FIELD_NULLABLE),
    R_ANY("parsed", REQUIRED),
    R_BOOL("valid", REQUIRED),
    R_ANY("config", REQUIRED),
    R_ANY("sourceConfig", 0),
    R_ANY("resolved", 0),
    R_ANY("runtimeConfig", 0),
    R_STR("hash", 0),
    R_OBJECTS("issues", REQUIRED, issue_reply),
    R_OBJECTS("warnings", REQUIRED, issue_reply),
    R_ARRAY("legacyIssues", REQUIRED),
    R_STRS("includedPaths", 0),
    F_END,
};
static const struct field restart_reply[] = {
    R_BOOL("ok", REQUIRED),
    R_INT("pid", REQUIRED),
    R_INT("delayMs", REQUIRED),
    R_STR("reason", REQUIRED),
    F_END,
};
static const struct field config_write_reply[] = {
    R_BOOL("ok", REQUIRED),    R_STR("path", REQUIRED),
    R_STR("hash", REQUIRED),   R_ANY("config", REQUIRED),
    R_STRS("changedPaths", 0), R_OBJECT("restart", 0, restart_reply),
    R_ANY("sentinel", 0),      F_END,
};
static const struct field config_schema_reply[] = {
    R_ANY("schema", REQUIRED),
    R_ANY("uiHints", REQUIRED),
    R_STR("version", REQUIRED),
    R_STR("generatedAt", REQUIRED),
    F_END,
};

const struct method methods_config[] = {
    M("config.get", OPERATOR, ADMIN, READ, no_params, config_get_reply, config_get_run),
    M("config.schema", OPERATOR, ADMIN, READ, no_params, config_schema_reply, config_schema_run),
    M_F("config.set", OPERATOR, ADMIN, ADMIN, config_write, config_write_reply, config_set_run,
        METHOD_CONTROL),
    M_F("config.apply", OPERATOR, ADMIN, ADMIN, config_write, config_write_reply, config_apply_run,
        METHOD_CONTROL),
    M_F("config.patch", OPERATOR, ADMIN, ADMIN, config_write, config_write_reply, config_patch_run,
        METHOD_CONTROL),
    {0},
};
