/* What a Chat Completions server said went wrong, as an outcome: kind, retry class and a sentence.
 * The error's code or type decides before the HTTP status. providers.md 8.2, 8.3, 8.5. Pure. */
#include "gateway/model/openai_parts.h"

#include <string.h>

struct openai_trouble {
    const char *code; /* error.code or error.type; NULL: by status */
    int low, high;    /* status */
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
#define BY_STATUS(low_, high_, error_, kind_, retry_, text_)                                       \
    {                                                                                              \
        .low = low_, .high = high_, .error = -ERR_##error_, .kind = MODEL_ERROR_##kind_,           \
        .retry = MODEL_RETRY_##retry_, .text = text_                                               \
    }

static const char text_key[] = "the key was refused; check models.providers.<id>.apiKey";
static const char text_credit[] = "the account has no credit left; check plan and billing there";
static const char text_rate[] = "too many requests right now; try again in a moment";
static const char text_long[] =
    "the conversation is longer than the model takes; start a new session";
static const char text_busy[] = "the server is overloaded; try again in a moment";
static const char text_model[] = "no such model there; check its name";
static const char text_refused[] = "the provider's content filter refused";

/* clang-format off */
static const struct openai_trouble openai_troubles[] = {
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
    BY_STATUS(300, 399, INVALID,   UNKNOWN,    NEVER,     "it redirects elsewhere; set models.providers.<id>.baseUrl to the final address"),
    BY_STATUS(401, 401, AUTH,      AUTH,       NEVER,     text_key),
    BY_STATUS(402, 402, DENIED,    AUTH,       NEVER,     text_credit),
    BY_STATUS(403, 403, DENIED,    AUTH,       NEVER,     "the key may not use this model"),
    BY_STATUS(404, 404, NOT_FOUND, UNKNOWN,    NEVER,     "not found there; check models.providers.<id>.baseUrl and the model's name"),
    BY_STATUS(408, 408, TIMEOUT,   TIMEOUT,    TRANSIENT, "the server gave up waiting"),
    BY_STATUS(409, 409, CONFLICT,  UNKNOWN,    TRANSIENT, "the server had a conflict"),
    BY_STATUS(413, 413, TOO_LARGE, CONTEXT,    NEVER,     text_long),
    BY_STATUS(429, 429, BUSY,      RATE_LIMIT, RATE,      text_rate),
    BY_STATUS(400, 499, INVALID,   UNKNOWN,    NEVER,     "the request was refused"),
    BY_STATUS(503, 503, BUSY,      OVERLOADED, TRANSIENT, text_busy),
    BY_STATUS(504, 504, TIMEOUT,   TIMEOUT,    TRANSIENT, "the server did not answer in time"),
    BY_STATUS(529, 529, BUSY,      OVERLOADED, TRANSIENT, text_busy),
    BY_STATUS(500, 599, IO,        UNKNOWN,    TRANSIENT, "the server failed"),
    BY_STATUS(0,   999, IO,        UNKNOWN,    NEVER,     "the server reported an error"),
};
/* clang-format on */

static const struct openai_trouble *trouble_find(int status, const char *code, const char *type)
{
    for (size_t i = 0; i < COUNT(openai_troubles); i++) {
        const struct openai_trouble *t = &openai_troubles[i];

        if (t->code != NULL ? strcmp(t->code, code) == 0 || strcmp(t->code, type) == 0
                            : status >= t->low && status <= t->high)
            return t;
    }
    return &openai_troubles[COUNT(openai_troubles) - 1];
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

/* Servers without codes say it in words. */
static bool says_too_long(const char *message)
{
    return message != NULL && (strstr(message, "maximum context length") != NULL ||
                               strstr(message, "context window") != NULL);
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
static void trouble_say(const struct openai_trouble *trouble, const char *provider,
                        struct fault *ret)
{
    const char *id = strstr(trouble->text, "<id>");

    if (id == NULL)
        fault_set(ret, trouble->error, "%.80s: %s", provider, trouble->text);
    else
        fault_set(ret, trouble->error, "%.80s: %.*s%.80s%s", provider, (int)(id - trouble->text),
                  trouble->text, provider, id + strlen("<id>"));
}

void openai_read_error(const char *provider, int status, const struct json *body, const char *key,
                       struct model_outcome *ret)
{
    const struct json *root = json_kind(body) == JSON_ARRAY ? json_at(body, 0) : body;
    const struct json *error = json_get(root, "error");
    const char *message = error_message(root, error);
    const char *code = json_string(json_get(error, "code"), "");
    const struct openai_trouble *trouble;

    status = error_status(status, error);
    if (says_too_long(message))
        code = "context_length_exceeded";
    trouble = trouble_find(status, code, json_string(json_get(error, "type"), ""));
    ret->error_kind = trouble->kind;
    ret->retry = trouble->retry;
    if (message != NULL && key != NULL && strstr(message, key) != NULL)
        message = NULL;
    trouble_say(trouble, provider, &ret->fault);
    if (status > 0 || message != NULL) {
        struct fault whole = ret->fault;

        if (status > 0 && message != NULL)
            fault_set(&ret->fault, trouble->error, "%s (HTTP %d: %.250s)", whole.text, status,
                      message);
        else if (status > 0)
            fault_set(&ret->fault, trouble->error, "%s (HTTP %d)", whole.text, status);
        else
            fault_set(&ret->fault, trouble->error, "%s (%.250s)", whole.text, message);
    }
}

void openai_read_usage(const struct json *usage, struct model_usage *ret)
{
    int64_t prompt, cached;

    if (json_kind(usage) != JSON_OBJECT)
        return;
    prompt = json_integer(json_get(usage, "prompt_tokens"), -1);
    cached = json_integer(json_path(usage, "prompt_tokens_details.cached_tokens"), 0);
    if (cached < 0 || cached > prompt)
        cached = 0;
    ret->input = prompt >= 0 ? prompt - cached : -1;
    ret->output = json_integer(json_get(usage, "completion_tokens"), -1);
    ret->cache_read = prompt >= 0 ? cached : -1;
    ret->cache_write = prompt >= 0 ? 0 : -1;
}
