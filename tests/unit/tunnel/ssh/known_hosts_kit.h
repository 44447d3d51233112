/* What the tests of known_hosts share: keys, files, a look-up, programs to run. */
#pragma once

#include "base/crypto.h"
#include "base/mem.h"
#include "tests/t.h"
#include "tunnel/ssh/known_hosts.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ED  "AAAAC3NzaC1lZDI1NTE5AAAAIGvTdBRNnTZLC5SsqKTpFTTzOZYRPYQBt7Gd9AYlnr5K"
#define ED2 "AAAAC3NzaC1lZDI1NTE5AAAAIGvTdBRNnTZLC5SsqKTpFTTzOZYRPYQBt7Gd9AYlnr5L"
#define EC                                                                                         \
    "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBBOaTY5f3Q4mHG2Ax8M1ucQAc2nN6Ej9Ja/"      \
    "rH9SVS"                                                                                       \
    "k2jqTQQ3ylhHnPqg3fEcxkA4Qo+hWjJw8bNcTCrYp0ZzTs="

struct key {
    uint8_t blob[256];
    struct host_key key;
};

static inline void key_of(const char *type, const char *base64, struct key *ret)
{
    int length = crypto_base64_decode(base64, strlen(base64), ret->blob, sizeof(ret->blob));

    t_ok(length > 0);
    ret->key = (struct host_key){ret->blob, length > 0 ? (size_t)length : 0, type};
}

static inline char *write_file(const char *name, const char *text, size_t length)
{
    char *path = mem_format("%s/%s", t_tmpdir(), name);
    FILE *file = fopen(path, "w");

    t_ok(file && fwrite(text, 1, length, file) == length);
    if (file)
        fclose(file);
    return path;
}

static inline char *read_file(const char *path)
{
    char *text = mem_new(65536);
    FILE *file = fopen(path, "r");

    t_ok(file != NULL);
    if (file) {
        size_t length = fread(text, 1, 65535, file);
        text[length] = '\0';
        fclose(file);
    }
    return text;
}

static inline enum host_key_verdict check_file(const char *path, const char *name, int port,
                                               const struct key *key, char where[512])
{
    struct fault fault = {0};
    CLEAN(known_hosts_free) struct known_hosts *hosts = known_hosts_load(&path, 1, &fault);

    t_str(fault.text, "");
    where[0] = '\0';
    return hosts ? known_hosts_check(hosts, name, port, &key->key, where) : HOST_KEY_CHANGED;
}

static inline int run(const char *const *argv)
{
    pid_t pid;
    int status = -1;
    char *const *args;
    posix_spawn_file_actions_t quiet;

    memcpy(&args, &argv, sizeof(args));
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", 1, 0);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", 1, 0);
    if (posix_spawnp(&pid, argv[0], &quiet, NULL, args, environ) == 0)
        waitpid(pid, &status, 0);
    posix_spawn_file_actions_destroy(&quiet);
    return status;
}
#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

static inline bool have_keygen(void)
{
    return access("/usr/bin/ssh-keygen", X_OK) == 0;
}

static inline bool keygen_finds(const char *path, const char *host, int port)
{
    CLEAN(mem_free)
    char *name = port == 0 || port == 22 ? mem_string(host) : mem_format("[%s]:%d", host, port);

    return RUN("ssh-keygen", "-F", name, "-f", path) == 0;
}
