/* The configuration: culvert.json (JSON5, $include, ${ENV}), checked whole before any of it is used,
 * with OpenClaw's keys where the meaning is the same. design.md section 3, protocol.md section 10. */
#pragma once

#include "base/json.h"

struct config;

/* Every setting we read is a row of knobs.def: KNOB(id, "path", KIND, default, min, max, RELOAD, "help"). */
enum knob {
#define KNOB(id, path, kind, otherwise, min, max, reload, help) KNOB_##id,
#include "gateway/config/knobs.def"
#undef KNOB
    KNOB_COUNT
};

/* Loads path (absent file: all defaults). Wrong: -ERR_INVALID with file, line, what was expected and the
 * nearest known key. Known OpenClaw keys that we do not use are warnings (logged once). */
int config_load(const char *path, struct config **ret, struct fault *reterr_fault);
struct config *config_free(struct config *config);

/* Typed reads; the row's default when absent. Strings live until the next reload: copy what you keep. */
const char *config_str(const struct config *config, enum knob knob); /* NULL: absent and no default */
int64_t config_int(const struct config *config, enum knob knob);
bool config_bool(const struct config *config, enum knob knob);
/* A structured part by dotted path ("agents.list"); NULL: absent. Borrowed until the next reload. */
const struct json *config_node(const struct config *config, const char *path);
/* Overrides of the command line: win over the file, survive reload. */
void config_override(struct config *config, enum knob knob, const char *value);

const char *config_path(const struct config *config);
/* SHA-256 hex of the raw file text, "" when there is no file (config.get's hash). */
const char *config_hash(const struct config *config);

/* After SIGHUP or a write: load again; on failure the running one is kept and the fault says why.
 * ret_restart (may be NULL): a changed key needs a restart. Watchers run when something changed. */
int config_reload(struct config *config, bool *ret_restart, struct fault *reterr_fault);
typedef void config_watch_fn(void *arg);
void config_watch(struct config *config, config_watch_fn *fn, void *arg); /* at most 32 */
