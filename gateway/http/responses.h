/* POST /v1/responses: what its body asks, and its answers. */
#pragma once

#include "gateway/http/api_request.h"

/* Pure. -ERR_x and a fault for the client. */
int responses_request(const struct json *body, struct api_request *ret, struct fault *reterr_fault);
