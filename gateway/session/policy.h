/* What the configuration says of a session as a whole: whether messages may go to it (session.sendPolicy)
 * and when it is begun anew by itself (session.reset). protocol.md 6.1, 10.4. */
#pragma once

#include "gateway/session/session.h"

/* session NULL: one that is not there yet. Its own sendPolicy, else the rules in order (a deny that matches
 * ends it), else the default. */
bool policy_allows(struct gateway *gw, const char *canonical_key, const struct session *session);
/* Too old to go on: the day has turned (atHour, in the host's time zone) or nobody spoke for idleMinutes. */
bool policy_stale(struct gateway *gw, const struct session *session);
/* Milliseconds of the last time it was that hour of the day; time zone of the host. Pure. */
int64_t policy_hour_before(int64_t wall_ms, int hour);
