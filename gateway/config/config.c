/* The running configuration. Two readings are held: that of the start, from which rows of class
 * RESTART are read, and the current one for all others. A new reading replaces the current one only
 * when it is valid. Scalars are turned into values once per reading, so that reads are array look-ups. */
#define LOG_SUBSYSTEM "config"
#include "gateway/config/config.h"

#include "base/io/op.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/config/rows.h"
#include "gateway/config/snapshot.h"

#include <string.h>

struct value {
    char *text; /* owned; NULL: absent and no default */
    int64_t number;
    bool given;
};

struct watcher {
    config_watch_fn *fn; /* NULL: free place */
    void *arg;
};

struct config {
    char *path;
    struct snapshot *started, *current; /* the same one until the first change */
    struct snapshot *previous;          /* while watchers run */
    struct value values[KNOB_COUNT];
    char *overrides[KNOB_COUNT];
    struct watcher watchers[CONFIG_WATCHERS_MAX];
    bool restart_pending;
    struct op *writing; /* borrowed; NULL: nobody changes the file */
};

static void value_done(struct value *value)
{
    mem_wipe_free(value->text, value->text ? strlen(value->text) : 0);
    *value = (struct value){0};
}

static char *node_text(const struct json *node)
{
    if (json_kind(node) == JSON_NUMBER)
        return mem_format("%lld", (long long)json_integer(node, 0));
    if (json_kind(node) == JSON_BOOL)
        return mem_string(json_boolean(node, false) ? "true" : "false");
    return mem_string(json_string(node, NULL));
}

static void value_set(struct config *config, enum knob knob)
{
    const struct knob_row *row = &knob_rows[knob];
    struct value *value = &config->values[knob];
    const struct snapshot *from = row->reload == RELOAD_RESTART ? config->started : config->current;
    char *text = mem_string(config->overrides[knob]);

    if (!text)
        text = node_text(json_path(from->tree, row->path));
    value_done(value);
    value->given = text != NULL;
    value->text = text ? text : mem_string(row->otherwise);
    value->number = row->kind == KIND_ENUM ? -1 : 0;
    bool parsed = !value->text || knob_parse(row, value->text, &value->number);
    require(parsed); /* the check, the override and the table itself only let good values in */
}

static void values_set(struct config *config)
{
    for (unsigned knob = 0; knob < KNOB_COUNT; knob++)
        value_set(config, knob);
}

static bool issue_listed(const struct issues *issues, const struct issue *issue)
{
    for (size_t i = 0; i < issues->count; i++) {
        if (strcmp(issues->items[i].path, issue->path) == 0)
            return true;
    }
    return false;
}

char *config_warning(const struct config *config, size_t index)
{
    const struct issues *warnings = &config->current->warnings;

    if (index < warnings->count)
        return issue_text(&warnings->items[index]);
    if (index == warnings->count && warnings->total > warnings->count)
        return mem_format("%zu more keys that this gateway does not use",
                          warnings->total - warnings->count);
    return NULL;
}

/* Those that the reading before did not have. */
static void warnings_log(const struct snapshot *snapshot, const struct snapshot *before)
{
    for (size_t i = 0; i < snapshot->warnings.count; i++) {
        const struct issue *warning = &snapshot->warnings.items[i];
        if (issue_listed(&before->warnings, warning))
            continue;
        CLEAN(mem_free) char *text = issue_text(warning);
        log_warn("%s", text);
    }
}

int config_load(const char *path, struct config **ret, struct fault *reterr_fault)
{
    CLEAN(snapshot_free) struct snapshot *snapshot = snapshot_read(path);

    if (!snapshot_valid(snapshot))
        return issues_fault(&snapshot->issues, reterr_fault);
    struct config *config = NEW(struct config);
    config->path = mem_string(path);
    config->started = config->current = TAKE(snapshot);
    values_set(config);
    *ret = config;
    return 0;
}

struct config *config_free(struct config *config)
{
    if (!config)
        return NULL;
    if (config->writing)
        op_drop(config->writing);
    for (size_t knob = 0; knob < KNOB_COUNT; knob++) {
        char *override = config->overrides[knob];
        value_done(&config->values[knob]);
        mem_wipe_free(override, override ? strlen(override) : 0);
    }
    if (config->current != config->started)
        snapshot_free(config->current);
    snapshot_free(config->started);
    mem_free(config->path);
    return mem_free(config);
}

const char *config_str(const struct config *config, enum knob knob)
{
    return config->values[knob].text;
}

int64_t config_int(const struct config *config, enum knob knob)
{
    return config->values[knob].number;
}

bool config_bool(const struct config *config, enum knob knob)
{
    return config->values[knob].number != 0;
}

int config_enum(const struct config *config, enum knob knob)
{
    return (int)config->values[knob].number;
}

bool config_given(const struct config *config, enum knob knob)
{
    return config->values[knob].given;
}

const struct json *config_node(const struct config *config, const char *path)
{
    const struct part_row *part = rows_part_of(path);
    bool frozen = part && part->reload == RELOAD_RESTART;

    return json_path(frozen ? config->started->tree : config->current->tree, path);
}

int config_check(enum knob knob, const char *value, struct fault *reterr_fault)
{
    const struct knob_row *row = &knob_rows[knob];
    int64_t number;

    if (knob_parse(row, value, &number))
        return 0;
    CLEAN(mem_free) char *expected = knob_expected(row);
    return fault_set(reterr_fault, -ERR_INVALID, "%s: expected %s", row->path, expected);
}

int config_override(struct config *config, enum knob knob, const char *value)
{
    int r = config_check(knob, value, NULL);

    if (r < 0)
        return r;
    mem_free(config->overrides[knob]);
    config->overrides[knob] = mem_string(value);
    value_set(config, knob);
    return 0;
}

const char *config_path(const struct config *config)
{
    return config->path;
}

const char *config_hash(const struct config *config)
{
    return config->current->hash;
}

bool config_write_begin(struct config *config, struct op *op)
{
    if (config->writing)
        return false;
    config->writing = op;
    return true;
}

void config_write_end(struct config *config)
{
    config->writing = NULL;
}

bool config_restart_pending(const struct config *config)
{
    return config->restart_pending;
}

/* ---- reload ---- */

bool config_path_restarts(const char *path)
{
    const struct knob_row *knob = rows_knob(path);
    const struct part_row *part = rows_part_of(path);

    return (knob && knob->reload == RELOAD_RESTART) || (part && part->reload == RELOAD_RESTART);
}

static void on_change(void *arg, const char *path)
{
    bool *restart = arg;

    *restart = *restart || config_path_restarts(path);
}

static void watchers_run(struct config *config)
{
    for (size_t i = 0; i < CONFIG_WATCHERS_MAX; i++) {
        if (config->watchers[i].fn)
            config->watchers[i].fn(config->watchers[i].arg);
    }
}

int config_adopt(struct config *config, struct snapshot *snapshot, bool *ret_restart,
                 struct fault *reterr_fault)
{
    CLEAN(snapshot_free) struct snapshot *taken = snapshot;

    if (!snapshot_valid(taken))
        return issues_fault(&taken->issues, reterr_fault);
    warnings_log(taken, config->current);
    bool changed = !json_equal(taken->tree, config->current->tree);
    config->restart_pending = false;
    snapshot_changes(config->started->tree, taken->tree, on_change, &config->restart_pending);
    if (ret_restart)
        *ret_restart = config->restart_pending;
    config->previous = config->current;
    config->current = TAKE(taken);
    values_set(config);
    if (changed)
        watchers_run(config);
    if (config->previous != config->started)
        snapshot_free(config->previous);
    config->previous = NULL;
    return 0;
}

int config_reload(struct config *config, bool *ret_restart, struct fault *reterr_fault)
{
    return config_adopt(config, snapshot_read(config->path), ret_restart, reterr_fault);
}

void config_watch(struct config *config, config_watch_fn *fn, void *arg)
{
    for (size_t i = 0; i < CONFIG_WATCHERS_MAX; i++) {
        if (!config->watchers[i].fn) {
            config->watchers[i] = (struct watcher){fn, arg};
            return;
        }
    }
    bool watchers_full = true;
    require(!watchers_full);
}

void config_unwatch(struct config *config, config_watch_fn *fn, void *arg)
{
    for (size_t i = 0; i < CONFIG_WATCHERS_MAX; i++) {
        if (config->watchers[i].fn == fn && config->watchers[i].arg == arg)
            config->watchers[i] = (struct watcher){0};
    }
}

bool config_changed(const struct config *config, const char *path)
{
    if (!config->previous)
        return false;
    const struct json *before = json_path(config->previous->tree, path);
    const struct json *now = json_path(config->current->tree, path);
    return (before != NULL) != (now != NULL) || (now && !json_equal(before, now));
}
