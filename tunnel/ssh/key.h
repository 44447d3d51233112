/* Private key files as far as one can tell without opening them: type, encrypted or not, who else may read them.
 * Signing is libssh2's. Blocking reads of small files: for the tunnel thread. */
#pragma once

#include "base/err.h"
#include "base/own.h"

#define KEY_FILE_MAX 65536

enum key_use {
    KEY_USABLE,
    KEY_ENCRYPTED,   /* usable once its passphrase is known */
    KEY_HARDWARE,    /* sk-…: libssh2 1.10 has none; a child ssh does */
    KEY_CERTIFICATE, /* a -cert.pub beside it or named: the same */
    KEY_RSA,         /* libssh2 1.10 signs RSA with SHA-1 only, which servers refuse */
    KEY_UNSUPPORTED, /* DSA */
    KEY_PUBLIC,      /* only the public half is here: it names the one that an agent holds */
};
struct key_file {
    char *path; /* owned */
    enum key_use use;
    char type[64];               /* "ssh-ed25519"; "" when it cannot be told */
    bool encrypted, certificate; /* also where use says something graver */
    uint8_t *
        blob; /* public key as on the wire, from the file itself or its .pub; NULL: cannot be told */
    size_t length;
    char *text; /* the file's contents, for libssh2; wiped by key_file_done */
    size_t text_length;
};
/* 0; -ERR_NOT_FOUND: no such file; -ERR_DENIED: others may read it (as ssh refuses it); -ERR_INVALID: no key. */
int key_file_read(const char *path, struct key_file *ret, struct fault *reterr_fault);
void key_file_done(struct key_file *key);

static inline void key_file_donep(struct key_file *key)
{
    key_file_done(key);
}
