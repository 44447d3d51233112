/* HTTPS: a certificate that this machine trusts is taken, one of an unknown issuer, of another host or past its
 * time is not, and nothing of the request is shown to such a server. The server is OpenSSL in a thread. */
#include "base/io/http.h"
#include "base/mem.h"
#include "tests/t.h"
#include "tests/wire/base/io/ws_certificate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"

/* Serves one connection, then is over. */
struct server {
    int fd, port;
    SSL_CTX *tls; /* NULL: plain TCP */
    const char *answer;
    pthread_t thread;
    char seen[4096]; /* of the request; "" when the handshake failed */
};

static void server_talk(struct server *s, int fd)
{
    SSL *ssl = SSL_new(s->tls);
    size_t length = 0;

    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
        while (length < sizeof s->seen - 1 && strstr(s->seen, "\r\n\r\n") == NULL) {
            int n = SSL_read(ssl, s->seen + length, (int)(sizeof s->seen - 1 - length));

            if (n <= 0)
                break;
            length += (size_t)n;
        }
        if (length > 0)
            (void)SSL_write(ssl, s->answer, (int)strlen(s->answer));
    }
    SSL_free(ssl);
}

static void *server_run(void *arg)
{
    struct server *s = arg;
    int fd = accept(s->fd, NULL, NULL);

    if (fd >= 0 && s->tls != NULL)
        server_talk(s, fd);
    else if (fd >= 0)
        (void)!write(fd, "not TLS\r\n", 9);
    if (fd >= 0)
        (void)close(fd);
    return NULL;
}

static void server_start(struct server *s, const struct certificate *certificate)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;

    *s = (struct server){.answer = s->answer};
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    t_eq(bind(s->fd, (struct sockaddr *)&at, sizeof at), 0);
    t_eq(listen(s->fd, 4), 0);
    t_eq(getsockname(s->fd, (struct sockaddr *)&at, &length), 0);
    s->port = ntohs(at.sin_port);
    if (certificate != NULL) {
        s->tls = SSL_CTX_new(TLS_server_method());
        t_eq(SSL_CTX_use_certificate_file(s->tls, certificate->certificate, SSL_FILETYPE_PEM), 1);
        t_eq(SSL_CTX_use_PrivateKey_file(s->tls, certificate->key, SSL_FILETYPE_PEM), 1);
    }
    t_eq(pthread_create(&s->thread, NULL, server_run, s), 0);
}

static void server_stop(struct server *s)
{
    (void)shutdown(s->fd, SHUT_RDWR);
    t_eq(pthread_join(s->thread, NULL), 0);
    (void)close(s->fd);
    SSL_CTX_free(s->tls);
}

struct fetch {
    struct http_call call;
    int result, ends;
};

static void fetch_on_done(struct op *op, int result)
{
    struct fetch *f = CONTAINER(op, struct fetch, call.op);

    f->result = result;
    f->ends++;
}

/* One GET of https://<host>:<port>/ with a header that is nobody else's business. */
static void fetch(struct fetch *f, const char *host, int port)
{
    static const char *const headers[] = {"authorization: Bearer sk-nobody", NULL};
    CLEAN(mem_free) char *url = mem_format("https://%s:%d/", host, port);
    CLEAN(loop_free) struct loop *loop = loop_new(LOOP_REAL);
    struct http_client *client = http_client_new(loop);

    *f = (struct fetch){0};
    op_init(&f->call.op, loop, fetch_on_done, 10000);
    http_start(client, &f->call,
               &(struct http_spec){.method = "GET", .url = url, .headers = headers});
    while (f->ends == 0)
        loop_turn(loop, true);
    http_client_free(client);
}

static void expect(const struct certificate *served, const char *host, int result,
                   const char *fault)
{
    struct server server = {.answer = ANSWER};
    struct fetch f;

    server_start(&server, served);
    fetch(&f, host, server.port);
    server_stop(&server);
    t_eq(f.result, result);
    t_eq(f.ends, 1);
    if (result == 0) {
        t_eq(f.call.status, 200);
        t_str(f.call.body.data, "secret");
        t_has(server.seen, "sk-nobody");
    } else {
        t_has(f.call.op.fault.text, fault);
        t_str(server.seen, "");
    }
    buf_done(&f.call.body);
}

T(a_trusted_certificate)
{
    struct certificate certificate;

    certificate_make("localhost", &certificate);
    t_eq(setenv("SSL_CERT_FILE", certificate.certificate, 1), 0);
    expect(&certificate, "localhost", 0, NULL);
}

T(an_unknown_issuer)
{
    struct certificate certificate, other;

    certificate_make("other", &other);
    certificate_make("localhost", &certificate);
    t_eq(setenv("SSL_CERT_FILE", other.certificate, 1), 0);
    expect(&certificate, "localhost", -ERR_DENIED, "not trusted");
    t_eq(unsetenv("SSL_CERT_FILE"), 0); /* nor by the machine's own */
    expect(&certificate, "localhost", -ERR_DENIED, "certificate of https://localhost");
}

T(the_certificate_of_another_host)
{
    struct certificate certificate;

    certificate_make("localhost", &certificate);
    t_eq(setenv("SSL_CERT_FILE", certificate.certificate, 1), 0);
    expect(&certificate, "127.0.0.1", -ERR_DENIED, "another name");
    certificate_make("elsewhere.example", &certificate);
    t_eq(setenv("SSL_CERT_FILE", certificate.certificate, 1), 0);
    expect(&certificate, "localhost", -ERR_DENIED, "another name");
}

T(no_file_of_authorities)
{
    struct certificate certificate;

    certificate_make("localhost", &certificate);
    t_eq(setenv("SSL_CERT_FILE", "/nonexistent/ca.pem", 1), 0);
    expect(&certificate, "localhost", -ERR_DENIED, "ca-certificates");
}

T(a_server_without_tls)
{
    t_eq(unsetenv("SSL_CERT_FILE"), 0);
    expect(NULL, "localhost", -ERR_CONNECT, "no TLS with https://localhost");
}
