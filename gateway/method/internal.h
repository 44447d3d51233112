/* Between method.c and call.c. */
#pragma once

#include "gateway/conn/conn.h"
#include "gateway/method/call.h"
#include "gateway/method/method.h"

/* One more open request on a connection is UNAVAILABLE: nobody waits for a thousand answers at once. */
#define CALLS_PER_CONN_MAX       1024
/* A call keeps what it was called with while it is open. Bytes of all that are, likewise: two of the largest
 * messages per connection, and the whole process. */
#define CALLS_BYTES_PER_CONN_MAX ((size_t)2 * CONN_MESSAGE_MAX)
#define CALLS_BYTES_MAX          CONN_OUTPUT_TOTAL_MAX

/* NULL: over the ceiling, already answered. row may be NULL (unknown method). */
struct call *call_new(struct conn *conn, const struct method *row, const struct frame *frame);
/* The row's struct filled from the body; owned by the call. NULL and a fault when it does not fit. */
const void *call_decode(struct call *call, const struct method *row, const struct json_slice *body,
                        struct fault *reterr_fault);
