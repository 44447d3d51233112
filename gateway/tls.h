/* The gateway's TLS certificate: the one gateway.tls.certPath and keyPath name, else <state>/gateway/tls/, made at the
 * first start with gateway.tls.enabled unless gateway.tls.autoGenerate is off. protocol.md 9.4. */
#pragma once

#include "base/io/tls_certificate.h"

struct gateway;

struct gateway_tls {
    char *certificate, *key; /* PEM files */
    bool own;                /* made by us, here or at an earlier start */
    struct tls_certificate leaf;
};

/* Fills gw->tls; it stays NULL while TLS is off. Blocking: before the loop runs. Faults say which file, why, and
 * what to do. */
int gateway_tls_start(struct gateway *gw, struct fault *reterr_fault);
struct gateway_tls *gateway_tls_free(struct gateway_tls *tls);
/* The same for doctor, which has no gateway: nothing is made. *ret NULL: TLS is off, or its files are still to be made. */
struct config;
int gateway_tls_look(const struct config *config, const char *state_dir, int64_t wall_ms,
                     struct gateway_tls **ret, struct fault *reterr_fault);
/* Days until it ends, when they are few enough to say; else -1. */
int gateway_tls_ends_soon(const struct gateway_tls *tls, int64_t wall_ms);
