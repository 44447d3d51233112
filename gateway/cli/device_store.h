/* The command line's own device: its key, and the tokens gateways gave it, under <state>/identity. */
#pragma once

#include "gateway/cli/target.h"

struct identity;

/* <state>/identity/cli.json, made at first use together with its folder (0700). */
int device_store_identity(const struct target *target, struct identity **ret,
                          struct fault *reterr_fault);
/* The device token this target gave us; caller owns; NULL: none. File cli-tokens.json, 0600. */
char *device_store_get(const struct target *target) MUSTCHECK;
bool device_store_has(const struct target *target);
void device_store_put(const struct target *target, const char *token); /* NULL: nothing to keep */
void device_store_forget(const struct target *target);
/* What the local gateway of this state directory uses as its shared secret: the token it made, else its
 * configuration. Caller owns both; NULL: none. */
char *device_store_local_secret(const struct target *target, char **ret_password) MUSTCHECK;
