/* What went wrong at a model's server: one table of codes, words and statuses. */
#include "gateway/model/trouble.h"

#include "gateway/model/pacing.h"

#include <string.h>

struct trouble {
    const char *code;  /* error.code or error.type; NULL: by words or status */
    const char *words; /* in the message, where a server has no code for it */
    int low, high;     /* status */
    int error;
    enum model_error_kind kind;
    enum model_retry retry;
    const char *text;
};

#define BY_CODE(code_, error_, kind_, retry_, text_)                                               \
    {                                                                                              \
        .code = code_, .error = -ERR_##error_, .kind = MODEL_ERROR_##kind_,                        \
        .retry = MODEL_RETRY_##retry_, .text = text_                                               \
    }
#define BY_WORDS(words_, error_, kind_, retry_, text_)                                             \
    {                                                                                              \
        .words = words_, .error = -ERR_##error_, .kind = MODEL_ERROR_##kind_,                      \
        .retry = MODEL_RETRY_##retry_, .text = text_                                               \
    }
#define BY_STATUS(low_, high_, error_, kind_, retry_, text_)                                       \
    {                                                                                              \
        .low = low_, .high = high_, .error = -ERR_##error_, .kind = MODEL_ERROR_##kind_,           \
        .retry = MODEL_RETRY_##retry_, .text = text_                                               \
    }

static const char text_key[] = "the key was refused; check models.providers.<id>.apiKey";
static const char text_credit[] = "the account has no credit left; check plan and billing there";
static const char text_window[] = "what the subscription allows is used up for now";
static const char text_rate[] = "too many requests right now; try again in a moment";
static const char text_long[] =
    "the conversation is longer than the model takes; start a new session";
static const char text_busy[] = "the server is overloaded; try again in a moment";
static const char text_model[] = "no such model there; check its name";
static const char text_denied[] = "the key may not use this model";
static const char text_late[] = "the server did not answer in time";
static const char text_failed[] = "the server failed";
static const char text_refused[] = "the provider's content filter refused";

/* clang-format off */
static const struct trouble troubles[] = {
    BY_WORDS("maximum context length",   TOO_LARGE, CONTEXT,    NEVER,     text_long),
    BY_WORDS("context window",           TOO_LARGE, CONTEXT,    NEVER,     text_long),
    BY_WORDS("context limit",            TOO_LARGE, CONTEXT,    NEVER,     text_long),
    BY_WORDS("prompt is too long",       TOO_LARGE, CONTEXT,    NEVER,     text_long),
    BY_WORDS("credit balance is too low", DENIED,   RATE_LIMIT, NEVER,     text_credit),
    BY_WORDS("usage limit",              BUSY,      RATE_LIMIT, NEVER,     text_window),
    BY_CODE("insufficient_quota",        DENIED,    RATE_LIMIT, NEVER,     text_credit),
    BY_CODE("billing_hard_limit_reached", DENIED,   RATE_LIMIT, NEVER,     text_credit),
    BY_CODE("invalid_api_key",           AUTH,      AUTH,       NEVER,     text_key),
    BY_CODE("authentication_error",      AUTH,      AUTH,       NEVER,     text_key),
    BY_CODE("context_length_exceeded",   TOO_LARGE, CONTEXT,    NEVER,     text_long),
    BY_CODE("exceed_context_size_error", TOO_LARGE, CONTEXT,    NEVER,     text_long),
    BY_CODE("content_filter",            DENIED,    REFUSAL,    NEVER,     text_refused),
    BY_CODE("content_policy_violation",  DENIED,    REFUSAL,    NEVER,     text_refused),
    BY_CODE("model_not_found",           NOT_FOUND, UNKNOWN,    NEVER,     text_model),
    BY_CODE("rate_limit_exceeded",       BUSY,      RATE_LIMIT, RATE,      text_rate),
    BY_CODE("rate_limit_error",          BUSY,      RATE_LIMIT, RATE,      text_rate),
    BY_CODE("overloaded_error",          BUSY,      OVERLOADED, TRANSIENT, text_busy),
    BY_CODE("server_is_overloaded",      BUSY,      OVERLOADED, TRANSIENT, text_busy),
    BY_CODE("slow_down",                 BUSY,      OVERLOADED, TRANSIENT, text_busy),
    BY_CODE("billing_error",             DENIED,    AUTH,       NEVER,     text_credit),
    BY_CODE("permission_error",          DENIED,    AUTH,       NEVER,     text_denied),
    BY_CODE("not_found_error",           NOT_FOUND, UNKNOWN,    NEVER,     text_model),
    BY_CODE("request_too_large",         TOO_LARGE, CONTEXT,    NEVER,     text_long),
    BY_CODE("timeout_error",             TIMEOUT,   TIMEOUT,    TRANSIENT, text_late),
    BY_CODE("api_error",                 IO,        UNKNOWN,    TRANSIENT, text_failed),
    BY_CODE("server_error",              IO,        UNKNOWN,    TRANSIENT, text_failed),
    BY_STATUS(300, 399, INVALID,   UNKNOWN,    NEVER,     "it redirects elsewhere; set models.providers.<id>.baseUrl to the final address"),
    BY_STATUS(401, 401, AUTH,      AUTH,       NEVER,     text_key),
    BY_STATUS(402, 402, DENIED,    AUTH,       NEVER,     text_credit),
    BY_STATUS(403, 403, DENIED,    AUTH,       NEVER,     text_denied),
    BY_STATUS(404, 404, NOT_FOUND, UNKNOWN,    NEVER,     "not found there; check models.providers.<id>.baseUrl and the model's name"),
    BY_STATUS(408, 408, TIMEOUT,   TIMEOUT,    TRANSIENT, "the server gave up waiting"),
    BY_STATUS(409, 409, CONFLICT,  UNKNOWN,    TRANSIENT, "the server had a conflict"),
    BY_STATUS(413, 413, TOO_LARGE, CONTEXT,    NEVER,     text_long),
    BY_STATUS(429, 429, BUSY,      RATE_LIMIT, RATE,      text_rate),
    BY_STATUS(400, 499, INVALID,   UNKNOWN,    NEVER,     "the request was refused"),
    BY_STATUS(503, 503, BUSY,      OVERLOADED, TRANSIENT, text_busy),
    BY_STATUS(504, 504, TIMEOUT,   TIMEOUT,    TRANSIENT, text_late),
    BY_STATUS(529, 529, BUSY,      OVERLOADED, TRANSIENT, text_busy),
    BY_STATUS(500, 599, IO,        UNKNOWN,    TRANSIENT, text_failed),
    BY_STATUS(0,   999, IO,        UNKNOWN,    NEVER,     "the server reported an error"),
};
/* clang-format on */

static bool trouble_is(const struct trouble *t, int status, const char *code, const char *type,
                       const char *message)
{
    if (t->words != NULL)
        return message != NULL && strstr(message, t->words) != NULL;
    if (t->code != NULL)
        return strcmp(t->code, code) == 0 || strcmp(t->code, type) == 0;
    return status >= t->low && status <= t->high;
}

static const struct trouble *trouble_find(int status, const char *code, const char *type,
                                          const char *message)
{
    for (size_t i = 0; i < COUNT(troubles); i++)
        if (trouble_is(&troubles[i], status, code, type, message))
            return &troubles[i];
    return &troubles[COUNT(troubles) - 1];
}

/* {error:{message}}, {error:"…"}, {message}, {detail}, or a list of the first: all are met. */
static const char *error_message(const struct json *body, const struct json *error)
{
    const char *text = json_string(error, NULL);

    if (text == NULL)
        text = json_string(json_get(error, "message"), NULL);
    if (text == NULL)
        text = json_string(json_get(body, "message"), NULL);
    if (text == NULL)
        text = json_string(json_get(body, "detail"), NULL);
    return text;
}

/* "Please try again in 1.2s." */
static int64_t error_pacing(const char *message)
{
    const char *hint = message != NULL ? strstr(message, "try again in ") : NULL;

    return hint != NULL ? pacing_duration(hint + strlen("try again in ")) : -1;
}

static int error_status(int status, const struct json *error)
{
    int64_t told;

    if (status != 0)
        return status;
    told = json_integer(json_get(error, "code"), json_integer(json_get(error, "status"), 0));
    return told >= 400 && told < 600 ? (int)told : 0;
}

/* The row's sentence, with the provider's own name for <id>. */
static void trouble_say(const struct trouble *trouble, const char *provider, struct fault *ret)
{
    const char *id = strstr(trouble->text, "<id>");

    if (id == NULL)
        fault_set(ret, trouble->error, "%.80s: %s", provider, trouble->text);
    else
        fault_set(ret, trouble->error, "%.80s: %.*s%.80s%s", provider, (int)(id - trouble->text),
                  trouble->text, provider, id + strlen("<id>"));
}

/* The row's sentence and the server's own words. */
static void trouble_tell(const struct trouble *trouble, const char *provider, int status,
                         const char *message, struct fault *ret)
{
    struct fault ours;

    trouble_say(trouble, provider, &ours);
    if (status > 0 && message != NULL)
        fault_set(ret, trouble->error, "%s (HTTP %d: %.250s)", ours.text, status, message);
    else if (status > 0)
        fault_set(ret, trouble->error, "%s (HTTP %d)", ours.text, status);
    else if (message != NULL)
        fault_set(ret, trouble->error, "%s (%.250s)", ours.text, message);
    else
        *ret = ours;
}

static bool repeats_a_secret(const char *message, const char *const *secrets)
{
    for (; secrets != NULL && *secrets != NULL; secrets++)
        if (**secrets != '\0' && strstr(message, *secrets) != NULL)
            return true;
    return false;
}

void trouble_read(const char *provider, int status, const struct json *body,
                  const char *const *secrets, struct model_outcome *ret)
{
    const struct json *root = json_kind(body) == JSON_ARRAY ? json_at(body, 0) : body;
    const struct json *nested = json_get(root, "error");
    const struct json *error = json_kind(nested) != JSON_NULL ? nested : root;
    const char *message = error_message(root, error);
    const char *code = json_string(json_get(error, "code"), "");
    const char *type = json_string(json_get(error, "type"), "");
    const struct trouble *trouble;

    status = error_status(status, error);
    trouble = trouble_find(status, code, type, message);
    ret->error_kind = trouble->kind;
    ret->retry = trouble->retry;
    ret->retry_after_ms = error_pacing(message);
    if (message != NULL && repeats_a_secret(message, secrets))
        message = NULL;
    trouble_tell(trouble, provider, status, message, &ret->fault);
}
