/* What the files of an API call's life share. */
#pragma once

#include "gateway/http/api.h"

#define API_RUN_MAGIC 0x61706972u

/* api_recall.c: was this request answered before (Idempotency-Key)? Goes on to api_submit or to an answer. */
void api_recall(struct api_run *run);
void api_replay_forget(struct api_run *run); /* the run is being freed */

/* api_sessions.c: a request that names no session is about to make one. */
void api_sessions_trim(struct gateway *gw);

/* api_run.c */
void api_submit(struct api_run *run);
