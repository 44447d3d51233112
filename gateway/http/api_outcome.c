/* What the end of a turn means to a client of the API: how it ended, the calls it is to make, what it used,
 * or which HTTP error says best why there is no answer. */
#include "base/mem.h"
#include "gateway/http/api.h"

#include <string.h>

static const char *text_of(const struct json *object, const char *key)
{
    return json_string(json_get(object, key), "");
}

/* errorKind of turn.h. A limit of the provider's is worth another try; whether anything else is, the caller
 * must know: the run may have done things. */
static const struct {
    const char *kind;
    struct api_error error;
} error_rows[] = {
    {"rate_limit", {429, "rate_limit_error", NULL, true}},
    {"timeout", {504, "api_error", NULL, false}},
    {"context_length", {400, "invalid_request_error", NULL, false}},
    {"refusal", {400, "invalid_request_error", NULL, false}},
};

bool api_outcome_error(const struct json *outcome, struct api_error *ret)
{
    const char *status = text_of(outcome, "status"), *kind = text_of(outcome, "errorKind");

    if (strcmp(status, "ok") == 0)
        return false;
    *ret = (struct api_error){502, "api_error", text_of(outcome, "error"), false};
    if (strcmp(status, "aborted") == 0) {
        bool late = strcmp(text_of(outcome, "stopReason"), "timeout") == 0;
        ret->status = late ? 504 : 409;
        ret->message = late ? "the run took longer than it may (agents.defaults.timeoutSeconds)"
                            : "the run was stopped";
        return true;
    }
    for (size_t i = 0; i < COUNT(error_rows); i++) {
        if (strcmp(kind, error_rows[i].kind) != 0)
            continue;
        const char *message = ret->message;
        *ret = error_rows[i].error;
        ret->message = message;
    }
    if (!*ret->message)
        ret->message = "the run failed";
    return true;
}

/* ---- a good end ---- */

static struct json *calls_of(const struct json *content)
{
    struct json *calls = json_new_array();

    json_each (part, content) {
        if (strcmp(text_of(part, "type"), "toolCall") != 0)
            continue;
        const struct json *arguments = json_get(part, "arguments");
        CLEAN(mem_free) char *text = arguments ? json_print(arguments, false) : mem_string("{}");
        struct json *call = json_new_object();
        json_put(call, "id", json_new_string(text_of(part, "id")));
        json_put(call, "name", json_new_string(text_of(part, "name")));
        json_put(call, "arguments", json_new_string(text));
        json_append(calls, call);
    }
    return json_count(calls) ? calls : json_free(calls);
}

static int64_t count_of(const struct json *usage, const char *key)
{
    int64_t n = json_integer(json_get(usage, key), 0);
    return n > 0 ? n : 0;
}

void api_outcome_read(struct api_run *run)
{
    const struct json *usage = json_get(run->outcome, "usage");
    const char *reason = text_of(run->outcome, "stopReason");

    run->usage.cached = count_of(usage, "cacheRead");
    run->usage.input = count_of(usage, "input") + run->usage.cached + count_of(usage, "cacheWrite");
    run->usage.output = count_of(usage, "output");
    run->usage.total = run->usage.input + run->usage.output;
    run->finish = strcmp(reason, "length") == 0 ? "length" : "stop";
    if (strcmp(reason, "toolUse") == 0)
        run->tool_calls = calls_of(json_get(run->outcome, "content"));
    if (run->tool_calls)
        run->finish = "tool_calls";
}
