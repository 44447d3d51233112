/* Certificates before a listener takes them (OpenSSL): is this one usable, what is its fingerprint, and making one
 * of our own. Blocking (files, a key's making: a few ms); any thread. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define TLS_SHA256    65 /* hex with its NUL */
#define TLS_NAMES_MAX 32
#define TLS_OWN_DAYS  3650
#define TLS_SOON_DAYS 30 /* an end this near deserves a word */
#define TLS_FILE_MAX  (1u << 20)

struct tls_certificate {
    char sha256[TLS_SHA256];       /* of the leaf as the wire carries it, lower-case hex */
    char subject[128];             /* its common name, "" when it has none */
    int64_t not_before, not_after; /* wall ms */
};

/* Both are PEM files; the certificate's may go on with its chain. wall_ms is now. Faults name the file and what to
 * do: unreadable, not PEM, a key behind a passphrase, a key that is not this certificate's, an expired
 * certificate. */
int tls_certificate_check(const char *certificate, const char *key, int64_t wall_ms,
                          struct tls_certificate *ret, struct fault *reterr_fault);

/* A new self-signed certificate and its key (ECDSA P-256, SHA-256, TLS_OWN_DAYS from yesterday on), PEM, into
 * initialised buffers; wipe key. names are host names and addresses, the first is its subject. */
int tls_certificate_make(const char *const *names, size_t count, int64_t wall_ms,
                         struct buf *certificate, struct buf *key, struct fault *reterr_fault);

/* A fingerprint as people paste it: a prefix "sha256:" or "SHA-256", colons, blanks, capitals. Into lower-case hex; false:
 * it is none. protocol.md 9.2. */
bool tls_fingerprint_parse(const char *text, char ret[TLS_SHA256]);
