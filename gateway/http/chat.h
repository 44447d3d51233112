/* POST /v1/chat/completions: what its body asks, and its answers. */
#pragma once

#include "gateway/http/api_request.h"

/* Pure. -ERR_x and a fault for the client. */
int chat_request(const struct json *body, struct api_request *ret, struct fault *reterr_fault);
