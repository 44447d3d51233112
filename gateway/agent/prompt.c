/* From transcript rows to a model's messages. prompt_load reads the rows run by run; within a run the
 * results follow their calls, what stood between them comes after. */
#include "gateway/agent/prompt.h"

#include "base/mem.h"
#include "gateway/agent/budget.h"

#include <string.h>

#define OPEN_CALLS_MAX 64 /* of one answer that wait for their results; more are not tracked */
#define ENTRY_MAX      (1024u * 1024)
#define SHORT_BYTES    2048 /* what prompt_shorten leaves of a result's text */

static const char summary_before[] =
    "[This conversation became too long to be shown whole. What was said before, in short:]\n\n";
static const char summary_after[] = "\n\n[From here on it is shown as it was said.]";
static const char left_out[] =
    "[This conversation is too long to be shown whole: earlier messages are left out here.]";

/* ---- one message more ---- */

void prompt_init(struct prompt *prompt)
{
    *prompt = (struct prompt){.messages = json_new_array()};
}

void prompt_done(struct prompt *prompt)
{
    json_free(prompt->messages);
    mem_free(prompt->items);
    *prompt = (struct prompt){0};
}

static enum prompt_kind prompt_kind_of(const struct json *message)
{
    const char *role = json_string(json_get(message, "role"), "");

    return strcmp(role, "assistant") == 0    ? PROMPT_ASSISTANT
           : strcmp(role, "toolResult") == 0 ? PROMPT_RESULT
                                             : PROMPT_USER;
}

void prompt_add(struct prompt *prompt, struct json *message, int64_t seq)
{
    struct prompt_item item = {prompt_kind_of(message), seq, budget_message(message)};

    if ((prompt->count & (prompt->count - 1)) == 0) /* room doubles at powers of two */
        prompt->items =
            mem_grow(prompt->items, prompt->count ? 2 * prompt->count : 1, sizeof(item));
    prompt->items[prompt->count++] = item;
    prompt->tokens += item.tokens;
    json_append(prompt->messages, message);
}

static struct json *prompt_user(const char *text)
{
    struct json *message = json_new_object();

    json_put(message, "role", json_new_string("user"));
    json_put(message, "content", json_new_string(text));
    return message;
}

static void prompt_add_summary(struct prompt *prompt, const char *summary)
{
    CLEAN(mem_free)
    char *text = summary ? mem_format("%s%s%s", summary_before, summary, summary_after)
                         : mem_string(left_out);

    prompt_add(prompt, prompt_user(text), 0);
    prompt->summarized = summary != NULL;
}

/* ---- compaction entries ---- */

char *prompt_compaction_entry(const struct prompt_compaction *compaction)
{
    struct json_writer w;
    struct buf b;
    char *text;

    buf_init(&b, ENTRY_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "role", "system");
    jw_karray(&w, "content");
    jw_object(&w);
    jw_kstr(&w, "type", "text");
    jw_kstr(&w, "text", "Compaction");
    jw_object_end(&w);
    jw_array_end(&w);
    jw_kobject(&w, "compaction");
    jw_kstr(&w, "summary", compaction->summary);
    jw_kint(&w, "throughSeq", compaction->through_seq);
    jw_kint(&w, "tokensBefore", compaction->tokens_before);
    jw_kint(&w, "tokensAfter", compaction->tokens_after);
    jw_object_end(&w);
    jw_kint(&w, "timestamp", compaction->at);
    jw_object_end(&w);
    text = buf_take(&b);
    require(text != NULL); /* SUMMARY_MAX keeps it far below ENTRY_MAX */
    return text;
}

const char *prompt_summary_of(const struct json *message, int64_t *ret_through_seq)
{
    const struct json *compaction = json_get(message, "compaction");
    int64_t through = json_integer(json_get(compaction, "throughSeq"), 0);
    const char *summary = json_string(json_get(compaction, "summary"), NULL);

    if (!summary || through <= 0 ||
        strcmp(json_string(json_get(message, "role"), ""), "system") != 0)
        return NULL;
    *ret_through_seq = through;
    return summary;
}

/* ---- loading ---- */

struct loader {
    struct prompt *prompt;
    const struct store_row *rows;
    size_t count;
    struct json **messages; /* parsed; NULL: taken, or nothing for a model */
    uint64_t *runs;         /* hash of the run id; 0: none */
    int64_t user_seq;
    const char *open[OPEN_CALLS_MAX]; /* calls without a result yet; they live in the prompt */
    size_t open_count;
    size_t *held; /* rows that wait until every call has its result */
    size_t held_count;
};

static uint64_t loader_hash(const char *text)
{
    uint64_t hash = 14695981039346656037u;

    if (!text)
        return 0;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash ? hash : 1;
}

/* A message that says nothing (an answer that was cut before its first word) is not for the model. */
static bool loader_wants(const struct loader *loader, size_t i, const struct json *message)
{
    const struct json *content = json_get(message, "content");
    const char *role = json_string(json_get(message, "role"), "");
    bool user = strcmp(role, "user") == 0;

    if (loader->user_seq && loader->rows[i].seq > loader->user_seq &&
        (!loader->rows[i].run_id || user))
        return false;
    if (user)
        return true;
    if (strcmp(role, "assistant") != 0 && strcmp(role, "toolResult") != 0)
        return false;
    return json_kind(content) == JSON_STRING ? *json_string(content, "") != '\0'
                                             : json_count(content) > 0;
}

/* Parses the rows; the newest summary stands for what it covers. */
static void loader_read(struct loader *loader)
{
    int64_t through = 0;
    const char *summary;

    for (size_t i = loader->count; i-- > 0;) {
        const struct store_row *row = &loader->rows[i];
        struct json *message =
            row->seq > through ? json_parse(row->message, strlen(row->message), NULL) : NULL;

        loader->runs[i] = loader_hash(row->run_id);
        summary = message && through == 0 ? prompt_summary_of(message, &through) : NULL;
        if (summary)
            prompt_add_summary(loader->prompt, summary);
        if (message && loader_wants(loader, i, message))
            loader->messages[i] = message;
        else
            json_free(message);
    }
}

static void loader_take(struct loader *loader, size_t i)
{
    prompt_add(loader->prompt, TAKE(loader->messages[i]), loader->rows[i].seq);
}

static void loader_release(struct loader *loader)
{
    for (size_t i = 0; i < loader->held_count; i++)
        loader_take(loader, loader->held[i]);
    loader->held_count = 0;
}

static void loader_answer(struct loader *loader, size_t i)
{
    const struct json *message = loader->messages[i];

    loader_release(loader);
    loader->open_count = 0;
    json_each (part, json_get(message, "content")) {
        const char *id = json_string(json_get(part, "id"), NULL);

        if (id && strcmp(json_string(json_get(part, "type"), ""), "toolCall") == 0 &&
            loader->open_count < OPEN_CALLS_MAX)
            loader->open[loader->open_count++] = id;
    }
    loader_take(loader, i);
}

/* A result without its call (the call lies before what was read) cannot be shown. */
static void loader_result(struct loader *loader, size_t i)
{
    const char *id = json_string(json_get(loader->messages[i], "toolCallId"), "");

    for (size_t k = 0; k < loader->open_count; k++) {
        if (strcmp(loader->open[k], id) != 0)
            continue;
        loader->open[k] = loader->open[--loader->open_count];
        loader_take(loader, i);
        if (loader->open_count == 0)
            loader_release(loader);
        return;
    }
    loader->messages[i] = json_free(loader->messages[i]);
}

static void loader_step(struct loader *loader, size_t i)
{
    switch (prompt_kind_of(loader->messages[i])) {
    case PROMPT_ASSISTANT: loader_answer(loader, i); break;
    case PROMPT_RESULT: loader_result(loader, i); break;
    case PROMPT_USER:
        if (loader->open_count > 0)
            loader->held[loader->held_count++] = i;
        else
            loader_take(loader, i);
        break;
    }
}

/* The transcript is in the order of arrival: messages sent while an answer was being written stand before
 * it. The model reads each answer behind its question. */
static void loader_order(struct loader *loader)
{
    for (size_t i = 0; i < loader->count; i++) {
        uint64_t run = loader->runs[i];

        if (!loader->messages[i])
            continue;
        loader_step(loader, i);
        for (size_t j = i + 1; run && j < loader->count; j++) {
            if (loader->messages[j] && loader->runs[j] == run &&
                strcmp(loader->rows[j].run_id, loader->rows[i].run_id) == 0)
                loader_step(loader, j);
        }
        loader_release(loader);
    }
}

void prompt_load(struct prompt *prompt, const struct store_row *rows, size_t count,
                 int64_t user_seq)
{
    struct loader loader = {
        .prompt = prompt,
        .rows = rows,
        .count = count,
        .messages = mem_array(count + 1, sizeof(struct json *)),
        .runs = mem_array(count + 1, sizeof(uint64_t)),
        .held = mem_array(count + 1, sizeof(size_t)),
        .user_seq = user_seq,
    };

    prompt->question_seq = prompt->question_first = user_seq;
    loader_read(&loader);
    loader_order(&loader);
    mem_free(loader.messages);
    mem_free(loader.runs);
    mem_free(loader.held);
}

/* ---- cutting ---- */

static bool prompt_may_start(const struct prompt *prompt, size_t i, bool user)
{
    return prompt->items[i].kind == PROMPT_USER ||
           (!user && prompt->items[i].kind == PROMPT_ASSISTANT);
}

size_t prompt_cut(const struct prompt *prompt, size_t keep)
{
    size_t from = prompt->count, sum = 0, least = prompt->summarized ? 2 : 1;

    if (prompt->count <= least)
        return 0;
    while (from > least && sum + prompt->items[from - 1].tokens <= keep)
        sum += prompt->items[--from].tokens;
    if (from == prompt->count)
        from--; /* the last one alone is more than that */
    for (int any = 0; any < 2; any++) {
        for (size_t i = from; i < prompt->count; i++) {
            if (prompt_may_start(prompt, i, !any))
                return i;
        }
    }
    for (size_t i = from; i-- > least;) { /* the end is one long answer's results */
        if (prompt_may_start(prompt, i, false))
            return i;
    }
    return 0;
}

int64_t prompt_through(const struct prompt *prompt, size_t cut)
{
    int64_t first = 0;

    for (size_t i = cut; i < prompt->count; i++) {
        int64_t seq = prompt->items[i].seq;

        if (seq > 0 && (first == 0 || seq < first))
            first = seq;
    }
    if (prompt->question_seq && (first == 0 || first > prompt->question_first))
        first = prompt->question_first;
    return first > 0 ? first - 1 : 0;
}

void prompt_replace(struct prompt *prompt, size_t cut, const char *summary)
{
    struct prompt old = *prompt;
    size_t i = 0;

    prompt_init(prompt);
    prompt->question_seq = old.question_seq;
    prompt->question_first = old.question_first;
    prompt_add_summary(prompt, summary);
    json_each (message, old.messages) {
        const struct prompt_item *item = &old.items[i];
        bool question = old.question_seq && item->kind == PROMPT_USER &&
                        item->seq >= old.question_first && item->seq <= old.question_seq;

        if (i >= cut || question)
            prompt_add(prompt, json_copy(message), item->seq);
        i++;
    }
    prompt_done(&old);
}

/* A result's text parts become one short one. */
static void prompt_shorten_result(struct json *message)
{
    struct json *content = json_edit(message, "content");
    size_t parts = json_count(content);

    for (size_t i = 0; i < parts; i++) {
        struct json *part = json_edit_at(content, i);
        const char *text = json_string(json_get(part, "text"), "");
        size_t length = strlen(text), end = SHORT_BYTES;

        if (length <= 2 * SHORT_BYTES)
            continue;
        while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
            end--;
        CLEAN(mem_free)
        char *cut = mem_format("%.*s\n[… %zu more bytes of this old result are left out here]",
                               (int)end, text, length - end);
        json_put(part, "text", json_new_string(cut));
    }
}

void prompt_shorten(struct prompt *prompt, size_t room, size_t keep)
{
    for (size_t i = 0; i + keep < prompt->count && prompt->tokens > room; i++) {
        struct prompt_item *item = &prompt->items[i];
        struct json *message;

        if (item->kind != PROMPT_RESULT || item->tokens <= SHORT_BYTES / 2)
            continue;
        message = json_edit_at(prompt->messages, i);
        prompt_shorten_result(message);
        prompt->tokens -= item->tokens;
        item->tokens = budget_message(message);
        prompt->tokens += item->tokens;
    }
}
