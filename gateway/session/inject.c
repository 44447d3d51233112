/* Injected messages: one batch with the message, the row and the events. An injection belongs to its op
 * and is gone when that ends. */
#include "gateway/session/inject.h"

#include "base/mem.h"
#include "gateway/session/internal.h"
#include "gateway/session/row.h"
#include "gateway/session/transcript.h"

#include <string.h>

struct injection {
    struct op op;
    char message_id[UUID_TEXT];
    inject_fn *fn;
    void *arg;
};

static void inject_on_stored(struct op *op, int result)
{
    struct injection *injection = CONTAINER(op, struct injection, op);
    struct injection kept = *injection;

    if (result < 0 && !kept.op.fault.text[0])
        fault_set(&kept.op.fault, result, "the message could not be stored: %s", err_text(result));
    kept.op.fault.code = result;
    mem_free(injection);
    kept.fn(kept.arg, result, &kept.op.fault, kept.message_id);
}

void inject_message(struct gateway *gw, struct session *session, const char *text, inject_fn *fn,
                    void *arg)
{
    struct injection *injection = NEW(struct injection);
    struct store_batch *batch = store_batch(gw->store);
    CLEAN(mem_free)
    char *message = transcript_answer(&(struct transcript_answer){
        .text = text,
        .length = strlen(text),
        .api = "culvert",
        .provider = "culvert",
        .model = "gateway-injected",
        .stop_reason = "stop",
        .usage = {-1, -1, -1, -1},
        .at = loop_wall(gw->loop),
    });

    injection->fn = fn;
    injection->arg = arg;
    transcript_append(
        gw, session, batch,
        &(struct transcript_message){.role = "assistant", .text = text, .message = message},
        injection->message_id);
    session_put(gw, session, batch, true);
    stream_injected(gw, batch, session, injection->message_id, message);
    op_init(&injection->op, gw->loop, inject_on_stored, 0);
    store_commit(batch, &injection->op);
}
