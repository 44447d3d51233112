/* A message of the assistant that no run made: put into the transcript and told as a chat final.
 * protocol.md 4.1 chat.inject. */
#pragma once

#include "gateway/session/session.h"

/* Once, on a later turn, when it is on disk or could not be put there. */
typedef void inject_fn(void *arg, int result, const struct fault *fault, const char *message_id);
void inject_message(struct gateway *gw, struct session *session, const char *text, inject_fn *fn,
                    void *arg);
