/* What the files of pairing share. */
#pragma once

#include "gateway/gateway.h"
#include "gateway/pairing/pairing.h"
#include "gateway/pairing/signin.h"

struct pairing {
    struct gateway *gw;
    struct device **devices; /* sorted by id */
    size_t device_count, device_room;
    struct pairing_request **requests; /* oldest first */
    size_t request_count;
    struct signin *signin; /* codes of links that enrol a browser */
    struct timer expiry;
    struct timer flush; /* rows whose last-seen times changed wait for it */
};

struct device *device_get(struct pairing *pairing, const char *device_id); /* NULL: unknown */
struct device *device_add(struct pairing *pairing, const char *device_id); /* NULL: table full */
void device_put(struct store_batch *batch, const struct device *device);
struct device_token *device_token_slot(struct device *device, enum role role);
void device_token_put(struct store_batch *batch, const struct device *device,
                      const struct device_token *token);
/* Frees the row and takes it out of the table. */
void device_drop(struct pairing *pairing, struct device *device);
/* The row will be written within a minute. */
void device_touch(struct pairing *pairing, struct device *device);
void device_describe(struct device *device, const struct pairing_asker *asker);

void request_drop(struct pairing *pairing, struct pairing_request *request);
struct pairing_request *request_of_device(struct pairing *pairing, const char *device_id);
void request_resolved(struct gateway *gw, struct store_batch *batch,
                      const struct pairing_request *request, const char *decision);
int requests_load(struct pairing *pairing);
void requests_free(struct pairing *pairing);
void requests_watch(struct pairing *pairing); /* (re)arms the expiry timer */
