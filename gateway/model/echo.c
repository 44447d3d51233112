/* The embedded model: repeats the message, word by word, needs no key and says what it is. The null
 * implementation of the vtable, and what a fresh gateway answers with. */
#include "gateway/gateway.h"
#include "gateway/model/ops.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>

#define ECHO_EVERY_MS 5
#define ECHO_DELTAS   200 /* a long message comes in larger pieces, so that it ends within a second */

static const char echo_notice[] =
    "This is Culvert's embedded echo model: it repeats what you say. For a real one set "
    "agents.defaults.model.primary and models.providers.\n\n";

struct echo {
    struct buf text;
    size_t said, piece;
    int64_t words_in;
    struct timer timer;
};

static int64_t echo_words(const char *text, size_t length)
{
    int64_t words = 0;
    bool inside = false;

    for (size_t i = 0; i < length; i++) {
        bool blank = isspace((unsigned char)text[i]) != 0;

        words += !blank && !inside;
        inside = !blank;
    }
    return words;
}

static void echo_add(struct buf *text, const char *part)
{
    buf_add_str(text, part);
}

/* A message's text: the content itself or its text parts. */
static void echo_add_content(struct buf *text, const struct json *content)
{
    if (json_kind(content) == JSON_STRING) {
        echo_add(text, json_string(content, ""));
        return;
    }
    json_each (part, content)
        if (strcmp(json_string(json_get(part, "type"), ""), "text") == 0)
            echo_add(text, json_string(json_get(part, "text"), ""));
}

static int echo_init(struct model_run *run, const struct model_provider *provider,
                     const struct model_request *request, struct fault *reterr_fault)
{
    struct echo *echo = model_run_state(run);
    const struct json *last = NULL;
    CLEAN(buf_done) struct buf heard;

    (void)provider;
    buf_init(&heard, MODEL_TEXT_MAX);
    buf_init(&echo->text, MODEL_TEXT_MAX);
    buf_add_str(&echo->text, echo_notice);
    json_each (message, request->messages) {
        const struct json *content = json_get(message, "content");

        buf_clear(&heard);
        echo_add_content(&heard, content);
        echo->words_in += echo_words(heard.data != NULL ? heard.data : "", heard.length);
        if (strcmp(json_string(json_get(message, "role"), ""), "user") == 0)
            last = content;
    }
    if (last != NULL)
        echo_add_content(&echo->text, last);
    if (echo->text.bad || heard.bad)
        return fault_set(reterr_fault, -ERR_TOO_LARGE, "the message is too long to be repeated");
    echo->piece = echo->text.length / ECHO_DELTAS;
    return 0;
}

/* The end of the next delta: at least `piece` bytes, to the end of a word and of a character. */
static size_t echo_next(const struct echo *echo)
{
    size_t end = echo->said + echo->piece;

    while (end < echo->text.length && isspace((unsigned char)echo->text.data[end]))
        end++;
    while (end < echo->text.length && !isspace((unsigned char)echo->text.data[end]) &&
           end - echo->said < echo->piece + 4096)
        end++;
    while (end < echo->text.length && ((unsigned char)echo->text.data[end] & 0xc0) == 0x80)
        end++;
    return end < echo->text.length ? end : echo->text.length;
}

static void echo_on_timer(void *arg)
{
    struct model_run *run = arg;
    struct echo *echo = model_run_state(run);
    struct model_outcome outcome = model_outcome_none();
    size_t from = echo->said;
    int r;

    echo->said = echo_next(echo);
    r = model_run_text(run, echo->text.data + from, echo->said - from);
    if (r == -ERR_CANCELLED)
        return;
    if (r == 0 && echo->said < echo->text.length)
        return;
    timer_stop(model_run_gateway(run)->loop, &echo->timer);
    if (r < 0)
        fault_set(&outcome.fault, r, "the answer is too long");
    outcome.stop_reason = "stop";
    outcome.usage = (struct model_usage){
        .input = echo->words_in,
        .output = echo_words(echo->text.data, echo->said),
        .cache_read = 0,
        .cache_write = 0,
    };
    model_run_end(run, &outcome);
}

static void echo_start(struct model_run *run)
{
    struct echo *echo = model_run_state(run);

    timer_start(model_run_gateway(run)->loop, &echo->timer, ECHO_EVERY_MS, ECHO_EVERY_MS,
                echo_on_timer, run);
}

static void echo_close(struct model_run *run)
{
    struct echo *echo = model_run_state(run);

    timer_stop(model_run_gateway(run)->loop, &echo->timer);
}

static void echo_fini(struct model_run *run)
{
    struct echo *echo = model_run_state(run);

    echo_close(run);
    buf_done(&echo->text);
}

const struct model_ops model_echo = {
    .name = "echo",
    .api = "echo",
    .size = sizeof(struct echo),
    .init = echo_init,
    .start = echo_start,
    .close = echo_close,
    .fini = echo_fini,
};
