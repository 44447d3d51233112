/* Questions wait in a row; the terminal is asked for the first of them. */
#include "gateway/cli/ask.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

void ask_init(struct ask *ask, struct loop *loop, ask_answer_fn *answer, void *arg)
{
    *ask = (struct ask){.loop = loop, .answer = answer, .arg = arg};
}

static void ask_next(struct ask *ask);

static void on_answered(struct op *op, int result)
{
    struct ask *ask = CONTAINER(op, struct ask, op);
    struct tunnel_question *question = ask->waiting[0];
    char *text = result == 0 ? TAKE(ask->text) : NULL;

    ask->asking = false;
    memmove(&ask->waiting[0], &ask->waiting[1], --ask->count * sizeof(ask->waiting[0]));
    ask->answer(ask->arg, question, text);
    mem_wipe_free(text, text ? strlen(text) : 0);
    ask_next(ask);
}

static void ask_next(struct ask *ask)
{
    char prompt[sizeof(ask->waiting[0]->prompt) + 2];
    size_t length = 0;

    if (ask->asking || ask->count == 0)
        return;
    ask->asking = true;
    /* The far end's words may be in it. */
    for (const char *c = ask->waiting[0]->prompt; *c; c++)
        prompt[length++] = (unsigned char)*c < ' ' || *c == 0x7f ? ' ' : *c;
    if (length > 0 && prompt[length - 1] != ' ')
        prompt[length++] = ' ';
    prompt[length] = '\0';
    tty_line(stderr, "");
    op_init(&ask->op, ask->loop, on_answered, 0);
    tty_ask(&ask->op, prompt, ask->waiting[0]->echo, &ask->text);
}

void ask_put(struct ask *ask, struct tunnel_question *question)
{
    if (ask->count == ASK_WAITING_MAX) {
        ask->answer(ask->arg, question, NULL);
        return;
    }
    ask->waiting[ask->count++] = question;
    ask_next(ask);
}

void ask_done(struct ask *ask)
{
    if (ask->asking)
        op_drop(&ask->op);
    ask->asking = false;
    ask->count = 0;
}
