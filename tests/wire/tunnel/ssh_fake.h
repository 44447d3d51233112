/* An SSH server for tests that keeps to the protocol until somebody is let in (everybody is) and then does what no
 * server should. curve25519-sha256, ssh-ed25519, aes128-ctr, hmac-sha2-256 (RFC 4253, 8731). A thread of its own with
 * blocking sockets, one connection after the other; a script decides what happens at each packet. */
#pragma once

#include "base/mem.h"
#include "tests/t.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAKE_PACKET 70000

struct fake {
    int listener, port, fd;
    pthread_t thread;
    uint8_t host_public[32], host_secret[64];
    void (*script)(struct fake *f, const uint8_t *packet, size_t length);
    bool gone; /* the peer is */
    int opens; /* channels asked for, pings too */
    /* of the connection */
    EVP_CIPHER_CTX *in, *out;
    uint8_t mac_in[32], mac_out[32];
    uint32_t seq_in, seq_out;
    bool secret;
};

/* ---- bytes ---- */

struct fake_text {
    uint8_t data[FAKE_PACKET];
    size_t length;
};

static inline void fake_add(struct fake_text *t, const void *data, size_t length)
{
    require(t->length + length <= sizeof t->data);
    memcpy(t->data + t->length, data, length);
    t->length += length;
}

static inline void fake_u8(struct fake_text *t, unsigned value)
{
    uint8_t byte = (uint8_t)value;

    fake_add(t, &byte, 1);
}

static inline void fake_u32(struct fake_text *t, uint32_t value)
{
    value = htonl(value);
    fake_add(t, &value, 4);
}

static inline void fake_string(struct fake_text *t, const void *data, size_t length)
{
    fake_u32(t, (uint32_t)length);
    fake_add(t, data, length);
}

static inline void fake_word(struct fake_text *t, const char *word)
{
    fake_string(t, word, strlen(word));
}

static inline uint32_t fake_number(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline bool fake_read(struct fake *f, void *to, size_t length)
{
    uint8_t *at = to;

    while (length > 0) {
        ssize_t n = recv(f->fd, at, length, 0);

        if (n <= 0) {
            f->gone = true;
            return false;
        }
        at += n;
        length -= (size_t)n;
    }
    return true;
}

static inline void fake_write(struct fake *f, const void *data, size_t length)
{
    const uint8_t *at = data;

    while (length > 0 && !f->gone) {
        ssize_t n = send(f->fd, at, length, MSG_NOSIGNAL);

        if (n <= 0)
            f->gone = true;
        else {
            at += n;
            length -= (size_t)n;
        }
    }
}

/* ---- packets ---- */

static inline void fake_mac(const uint8_t key[32], uint32_t seq, const void *packet, size_t length,
                            uint8_t out[32])
{
    crypto_auth_hmacsha256_state state;

    seq = htonl(seq);
    crypto_auth_hmacsha256_init(&state, key, 32);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)&seq, 4);
    crypto_auth_hmacsha256_update(&state, packet, length);
    crypto_auth_hmacsha256_final(&state, out);
}

static inline void fake_send(struct fake *f, const struct fake_text *payload)
{
    static struct fake_text p;
    size_t block = f->secret ? 16 : 8, padding = block - (payload->length + 5) % block;
    uint8_t mac[32];
    int n = 0;

    if (padding < 4)
        padding += block;
    p.length = 0;
    fake_u32(&p, (uint32_t)(payload->length + padding + 1));
    fake_u8(&p, (unsigned)padding);
    fake_add(&p, payload->data, payload->length);
    while (padding-- > 0)
        fake_u8(&p, 0);
    if (f->secret) {
        fake_mac(f->mac_out, f->seq_out, p.data, p.length, mac);
        EVP_EncryptUpdate(f->out, p.data, &n, p.data, (int)p.length);
        fake_add(&p, mac, 32);
    }
    f->seq_out++;
    fake_write(f, p.data, p.length);
}

/* The payload's length; 0: the peer is gone. */
static inline size_t fake_receive(struct fake *f, uint8_t out[FAKE_PACKET])
{
    static uint8_t p[FAKE_PACKET];
    size_t first = f->secret ? 16 : 8, length;
    uint8_t mac[32], expected[32];
    int n = 0;

    if (!fake_read(f, p, first))
        return 0;
    if (f->secret)
        EVP_EncryptUpdate(f->in, p, &n, p, (int)first);
    length = fake_number(p) + 4;
    require(length >= first && length < sizeof p);
    if (!fake_read(f, p + first, length - first))
        return 0;
    if (f->secret) {
        EVP_EncryptUpdate(f->in, p + first, &n, p + first, (int)(length - first));
        fake_mac(f->mac_in, f->seq_in, p, length, expected);
        if (!fake_read(f, mac, 32))
            return 0;
        require(memcmp(mac, expected, 32) == 0);
    }
    f->seq_in++;
    length -= 5u + p[4];
    memcpy(out, p + 5, length);
    return length;
}

/* ---- keys ---- */

static inline void fake_mpint(struct fake_text *t, const uint8_t *number, size_t length)
{
    while (length > 0 && *number == 0) {
        number++;
        length--;
    }
    fake_u32(t, (uint32_t)(length + (number[0] >> 7)));
    if (number[0] >> 7)
        fake_u8(t, 0);
    fake_add(t, number, length);
}

static inline void fake_derive(const struct fake_text *shared, const uint8_t hash[32], char letter,
                               uint8_t out[32])
{
    crypto_hash_sha256_state state;

    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, shared->data, shared->length);
    crypto_hash_sha256_update(&state, hash, 32);
    crypto_hash_sha256_update(&state, (const uint8_t *)&letter, 1);
    crypto_hash_sha256_update(&state, hash, 32);
    crypto_hash_sha256_final(&state, out);
}

static inline EVP_CIPHER_CTX *fake_cipher(const struct fake_text *shared, const uint8_t hash[32],
                                          char iv, char key)
{
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    uint8_t a[32], b[32];

    fake_derive(shared, hash, iv, a);
    fake_derive(shared, hash, key, b);
    EVP_EncryptInit_ex(cipher, EVP_aes_128_ctr(), NULL, b, a);
    return cipher;
}

static inline void fake_kexinit(struct fake_text *t)
{
    static const char *const lists[10] = {
        "curve25519-sha256", "ssh-ed25519", "aes128-ctr", "aes128-ctr", "hmac-sha2-256",
        "hmac-sha2-256",     "none",        "none",       "",           ""};

    t->length = 0;
    fake_u8(t, 20);
    fake_add(t, "0123456789abcdef", 16);
    for (size_t i = 0; i < 10; i++)
        fake_word(t, lists[i]);
    fake_u8(t, 0);
    fake_u32(t, 0);
}

static inline void fake_host_key(const struct fake *f, struct fake_text *t)
{
    t->length = 0;
    fake_word(t, "ssh-ed25519");
    fake_string(t, f->host_public, 32);
}

static inline bool fake_handshake(struct fake *f)
{
    static struct fake_text ours, hashed, key, reply, signature, shared;
    static uint8_t packet[FAKE_PACKET];
    uint8_t secret[32], public[32], k[32], hash[32], signed_[64], done = 21;
    char banner[256];
    size_t n = 0;

    fake_write(f, "SSH-2.0-fake\r\n", 14);
    while (n < 255 && fake_read(f, banner + n, 1) && banner[n] != '\n')
        n++;
    hashed.length = 0;
    fake_string(&hashed, banner, n > 0 && banner[n - 1] == '\r' ? n - 1 : n);
    fake_word(&hashed, "SSH-2.0-fake");
    fake_kexinit(&ours);
    fake_send(f, &ours);
    n = fake_receive(f, packet);
    fake_string(&hashed, packet, n);
    fake_string(&hashed, ours.data, ours.length);
    n = fake_receive(f, packet); /* 30: its half of the key */
    if (n != 37)
        return false;
    randombytes_buf(secret, 32);
    crypto_scalarmult_base(public, secret);
    if (crypto_scalarmult(k, secret, packet + 5) != 0)
        return false;
    fake_host_key(f, &key);
    fake_string(&hashed, key.data, key.length);
    fake_string(&hashed, packet + 5, 32);
    fake_string(&hashed, public, 32);
    shared.length = 0;
    fake_mpint(&shared, k, 32);
    fake_add(&hashed, shared.data, shared.length);
    crypto_hash_sha256(hash, hashed.data, hashed.length);
    crypto_sign_detached(signed_, NULL, hash, 32, f->host_secret);
    signature.length = reply.length = 0;
    fake_word(&signature, "ssh-ed25519");
    fake_string(&signature, signed_, 64);
    fake_u8(&reply, 31);
    fake_string(&reply, key.data, key.length);
    fake_string(&reply, public, 32);
    fake_string(&reply, signature.data, signature.length);
    fake_send(f, &reply);
    reply.length = 0;
    fake_add(&reply, &done, 1);
    fake_send(f, &reply);
    if (fake_receive(f, packet) != 1)
        return false;
    f->in = fake_cipher(&shared, hash, 'A', 'C');
    f->out = fake_cipher(&shared, hash, 'B', 'D');
    fake_derive(&shared, hash, 'E', f->mac_in);
    fake_derive(&shared, hash, 'F', f->mac_out);
    f->secret = true;
    return true;
}

/* ---- the server ---- */

static inline void fake_serve(struct fake *f)
{
    static uint8_t packet[FAKE_PACKET];
    static struct fake_text reply;
    size_t n;

    f->gone = f->secret = false;
    f->seq_in = f->seq_out = 0;
    f->opens = 0;
    if (fake_handshake(f)) {
        while ((n = fake_receive(f, packet)) > 0) {
            reply.length = 0;
            if (packet[0] == 5) { /* the service */
                fake_u8(&reply, 6);
                fake_word(&reply, "ssh-userauth");
                fake_send(f, &reply);
            } else if (packet[0] == 50) { /* whoever it is */
                fake_u8(&reply, 52);
                fake_send(f, &reply);
            } else {
                f->opens += packet[0] == 90;
                f->script(f, packet, n);
            }
        }
    }
    EVP_CIPHER_CTX_free(f->in);
    EVP_CIPHER_CTX_free(f->out);
    f->in = f->out = NULL;
}

static inline void *fake_run(void *arg)
{
    struct fake *f = arg;

    while ((f->fd = accept(f->listener, NULL, NULL)) >= 0) {
        fake_serve(f);
        (void)close(f->fd);
    }
    return NULL;
}

static inline struct fake *fake_new(void)
{
    struct fake *f = NEW(struct fake);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;

    require(sodium_init() >= 0);
    crypto_sign_keypair(f->host_public, f->host_secret);
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(bind(f->listener, (struct sockaddr *)&address, sizeof address) == 0 &&
            listen(f->listener, 8) == 0);
    require(getsockname(f->listener, (struct sockaddr *)&address, &length) == 0);
    f->port = ntohs(address.sin_port);
    require(pthread_create(&f->thread, NULL, fake_run, f) == 0);
    return f;
}

static inline void fake_free(struct fake *f)
{
    (void)shutdown(f->listener, SHUT_RDWR);
    (void)pthread_join(f->thread, NULL);
    (void)close(f->listener);
    mem_free(f);
}

/* ---- what scripts say ---- */

/* To the open in packet: yes. */
static inline void fake_confirm(struct fake *f, const uint8_t *packet, uint32_t window,
                                uint32_t size)
{
    static struct fake_text t;
    size_t type = fake_number(packet + 1);

    t.length = 0;
    fake_u8(&t, 91);
    fake_add(&t, packet + 5 + type, 4); /* its number of the channel */
    fake_u32(&t, 7);                    /* ours */
    fake_u32(&t, window);
    fake_u32(&t, size);
    fake_send(f, &t);
}

static inline void fake_refuse(struct fake *f, const uint8_t *packet)
{
    static struct fake_text t;
    size_t type = fake_number(packet + 1);

    t.length = 0;
    fake_u8(&t, 92);
    fake_add(&t, packet + 5 + type, 4);
    fake_u32(&t, 3);
    fake_word(&t, "no");
    fake_word(&t, "");
    fake_send(f, &t);
}

static inline bool fake_is_ping(const uint8_t *packet)
{
    return packet[0] == 90 && memcmp(packet + 5, "ping", 4) == 0;
}

/* A message about the peer's channel. */
static inline void fake_about(struct fake *f, unsigned type, uint32_t channel, const void *data,
                              size_t length)
{
    static struct fake_text t;

    t.length = 0;
    fake_u8(&t, type);
    fake_u32(&t, channel);
    if (data != NULL)
        fake_string(&t, data, length);
    fake_send(f, &t);
}
