/* The health summary: made at most once per 60 s or on probe, cached as bytes. protocol.md 4.1. */
#pragma once

#include "base/buf.h"
#include "gateway/gateway.h"

struct health *health_new(struct gateway *gw) MUSTCHECK;
struct health *health_free(struct health *health);
/* The newest summary as JSON, borrowed until the next turn. refresh: make a new one now. */
const struct bytes *health_summary(struct gateway *gw, bool refresh);
/* The same as a payload for call_reply_shared; borrowed until the next turn. */
struct bytes *health_payload(struct gateway *gw, bool refresh);
int64_t health_version(const struct gateway *gw);
