/* The configuration: culvert.json (JSON5, $include, ${ENV}), checked whole before any of it is used,
 * with OpenClaw's keys where the meaning is the same. design.md section 3, protocol.md section 10.
 * Loop thread only, except what snapshot.h offers the pool. */
#pragma once

#include "base/json.h"

struct config;
struct snapshot;

/* Every setting we read is a row of knobs.def: KNOB(id, "path", KIND, default, min, max, RELOAD, "help") or
 * KNOB_ENUM(id, "path", "a|b|c", default, RELOAD, "help"). */
enum knob {
#define KNOB(id, path, kind, otherwise, min, max, reload, help) KNOB_##id,
#define KNOB_ENUM(id, path, names, otherwise, reload, help)     KNOB_##id,
#include "gateway/config/knobs.def"
#undef KNOB
#undef KNOB_ENUM
    KNOB_COUNT
};

/* Loads path (absent file: all defaults). Wrong: -ERR_INVALID with file, line, what was expected and the
 * nearest known key. Known OpenClaw keys that we do not use are warnings; those that a reload brings are
 * logged. */
int config_load(const char *path, struct config **ret, struct fault *reterr_fault);
/* The index'th warning of what is loaded, with file and line; NULL past the last. The caller owns it. */
char *config_warning(const struct config *config, size_t index) MUSTCHECK;
struct config *config_free(struct config *config);

/* Typed reads; the row's default when absent. A row of class RESTART keeps the value of the start.
 * Strings live until the next reload: copy what you keep. */
const char *config_str(const struct config *config,
                       enum knob knob);                          /* NULL: absent and no default */
int64_t config_int(const struct config *config, enum knob knob); /* absent, no default: 0 */
bool config_bool(const struct config *config, enum knob knob);
int config_enum(const struct config *config,
                enum knob knob); /* place in the row's names; -1: absent */
bool config_given(const struct config *config, enum knob knob); /* in the file or overridden */
/* A structured part by dotted path ("agents.list"); NULL: absent. Borrowed until the next reload. */
const struct json *config_node(const struct config *config, const char *path);
/* Overrides of the command line: win over the file, survive reload. 0, or -ERR_INVALID and nothing
 * changed when the row does not allow the value (config_check says why). */
int config_override(struct config *config, enum knob knob, const char *value);
int config_check(enum knob knob, const char *value, struct fault *reterr_fault);

const char *config_path(const struct config *config);
/* SHA-256 hex of the raw file text, "" when there is no file (config.get's hash). */
const char *config_hash(const struct config *config);

/* After SIGHUP: load again; on failure the running one is kept and the fault says why. ret_restart (may
 * be NULL): a value differs from the start that needs a restart. Watchers run when something changed.
 * Reads the files at once (small, local). */
int config_reload(struct config *config, bool *ret_restart, struct fault *reterr_fault);
/* The same with a reading made elsewhere (config.set); takes it when valid, else -ERR_INVALID. */
int config_adopt(struct config *config, struct snapshot *snapshot, bool *ret_restart,
                 struct fault *reterr_fault);
/* One change of the file at a time: false while another runs. op is dropped when the configuration is
 * freed before config_write_end. */
struct op;
bool config_write_begin(struct config *config, struct op *op);
void config_write_end(struct config *config);
/* True when some change since the start waits for a restart. */
bool config_restart_pending(const struct config *config);
/* Does a change at this path wait for a restart? Pure. */
bool config_path_restarts(const char *path);

#define CONFIG_WATCHERS_MAX 32
typedef void config_watch_fn(void *arg);
void config_watch(struct config *config, config_watch_fn *fn, void *arg);
void config_unwatch(struct config *config, config_watch_fn *fn, void *arg);
/* Inside a watcher: did anything at or below the path ("channels.telegram") change? Outside: false. */
bool config_changed(const struct config *config, const char *path);
