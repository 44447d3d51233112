/* Turns: a session key names a lane, turns in a lane are serial, lanes run side by side under a global
 * cap. A turn streams, ends exactly once (also after a crash: interrupted), and a repeated idempotency
 * key never runs twice. design.md section 8, protocol.md section 6. */
#pragma once

#include "gateway/session/session.h"

struct turns;

#define TURN_QUEUE_MAX 64 /* waiting turns per lane; one more is UNAVAILABLE */

struct turns *turns_new(struct gateway *gw, struct fault *reterr_fault) MUSTCHECK; /* ends interrupted turns */
/* Ends every turn as interrupted (shutdown), then frees. */
struct turns *turns_free(struct turns *turns);
size_t turn_count(const struct gateway *gw); /* running now */
