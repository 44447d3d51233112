/* Key files as ssh-keygen and openssl write them, and what is none. */
#include "base/mem.h"
#include "tests/t.h"
#include "tunnel/ssh/key.h"
#include "tunnel/ssh/known_hosts.h"

#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int run(const char *const *argv)
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

static char *in_folder(const char *name)
{
    return mem_format("%s/%s", t_tmpdir(), name);
}

static char *write_file(const char *name, const char *text, mode_t mode)
{
    char *path = in_folder(name);
    FILE *file = fopen(path, "w");

    t_ok(file != NULL);
    if (file) {
        fputs(text, file);
        fclose(file);
    }
    chmod(path, mode);
    return path;
}

/* What the file's own tool says its public key is. */
static void check_fingerprint(const struct key_file *key)
{
    struct host_key as = {key->blob, key->length, key->type};
    CLEAN(mem_free) char *public = mem_format("%s.pub", key->path);
    char expected[64] = "", found[64];
    CLEAN(mem_free)
    char *command =
        mem_format("ssh-keygen -lf '%s' | cut -d' ' -f2 > '%s.print'", public, key->path);
    CLEAN(mem_free) char *print = mem_format("%s.print", key->path);

    t_eq(RUN("sh", "-c", command), 0);
    FILE *file = fopen(print, "r");
    t_ok(file && fgets(expected, sizeof(expected), file));
    if (file)
        fclose(file);
    expected[strcspn(expected, "\n")] = '\0';
    host_key_fingerprint(&as, found);
    t_str(found, expected);
}

T(made_by_ssh_keygen)
{
    static const struct {
        const char *name, *type, *bits, *phrase, *format, *is;
        enum key_use use;
        bool encrypted;
    } rows[] = {
        {"ed", "ed25519", "256", "", "RFC4716", "ssh-ed25519", KEY_USABLE, false},
        {"ed-locked", "ed25519", "256", "secret", "RFC4716", "ssh-ed25519", KEY_ENCRYPTED, true},
        {"ec", "ecdsa", "256", "", "RFC4716", "ecdsa-sha2-nistp256", KEY_USABLE, false},
        {"ec521", "ecdsa", "521", "", "RFC4716", "ecdsa-sha2-nistp521", KEY_USABLE, false},
        {"rsa", "rsa", "2048", "", "RFC4716", "ssh-rsa", KEY_RSA, false},
        {"rsa-locked", "rsa", "2048", "secret", "RFC4716", "ssh-rsa", KEY_RSA, true},
        {"rsa-pem", "rsa", "2048", "", "PEM", "ssh-rsa", KEY_RSA, false},
        {"rsa-pem-locked", "rsa", "2048", "secret", "PEM", "ssh-rsa", KEY_RSA, true},
        {"ec-pem", "ecdsa", "256", "", "PEM", "ecdsa-sha2-nistp256", KEY_USABLE, false},
        {"ec-pem-locked", "ecdsa", "256", "secret", "PEM", "ecdsa-sha2-nistp256", KEY_ENCRYPTED,
         true},
        {"rsa-p8", "rsa", "2048", "", "PKCS8", "ssh-rsa", KEY_RSA, false},
        {"ec-p8", "ecdsa", "384", "", "PKCS8", "ecdsa-sha2-nistp384", KEY_USABLE, false},
        {"ec-p8-locked", "ecdsa", "256", "secret", "PKCS8", "ecdsa-sha2-nistp256", KEY_ENCRYPTED,
         true},
    };

    if (RUN("sh", "-c", "command -v ssh-keygen") != 0)
        t_skip("no ssh-keygen here");
    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEAN(mem_free) char *path = in_folder(rows[i].name);
        struct key_file key = {0};
        struct fault fault = {0};

        t_eq(RUN("ssh-keygen", "-q", "-t", rows[i].type, "-b", rows[i].bits, "-N", rows[i].phrase,
                 "-m", rows[i].format, "-f", path),
             0);
        t_eq(key_file_read(path, &key, &fault), 0);
        t_str(fault.text, "");
        t_str(key.type, rows[i].is);
        t_eq(key.use, rows[i].use);
        t_eq(key.encrypted, rows[i].encrypted);
        t_ok(!key.certificate && key.text && strlen(key.text) == key.text_length);
        check_fingerprint(&key);
        key_file_done(&key);

        /* Without the .pub beside it: OpenSSH's own format still tells. */
        CLEAN(mem_free) char *public = mem_format("%s.pub", path);
        t_eq(unlink(public), 0);
        t_eq(key_file_read(path, &key, &fault), 0);
        t_eq(key.blob != NULL, strcmp(rows[i].format, "RFC4716") == 0);
        key_file_done(&key);
    }
}

T(certificate_beside)
{
    CLEAN(mem_free) char *authority = in_folder("authority"), *path = in_folder("holder");
    CLEAN(mem_free) char *public = mem_format("%s.pub", path);
    struct key_file key = {0};

    if (RUN("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", authority) != 0)
        t_skip("no ssh-keygen here");
    t_eq(RUN("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path), 0);
    t_eq(RUN("ssh-keygen", "-q", "-s", authority, "-I", "x", "-n", "bob", public), 0);
    t_eq(key_file_read(path, &key, NULL), 0);
    t_eq(key.use, KEY_CERTIFICATE);
    t_ok(key.certificate && !key.encrypted);
    t_str(key.type, "ssh-ed25519");
    key_file_done(&key);
}

#define ED25519_BLOB "AAAAC3NzaC1lZDI1NTE5AAAAIGvTdBRNnTZLC5SsqKTpFTTzOZYRPYQBt7Gd9AYlnr5K"

T(public_half_only)
{
    CLEAN(mem_free)
    char *path = write_file("hidden.pub", "ssh-ed25519 " ED25519_BLOB " me@here\n", 0644);
    CLEAN(mem_free) char *private = in_folder("hidden");
    const char *const names[] = {path, private};

    for (size_t i = 0; i < COUNT(names); i++) {
        struct key_file key = {0};
        struct fault fault = {0};

        t_eq(key_file_read(names[i], &key, &fault), 0);
        t_eq(key.use, KEY_PUBLIC);
        t_str(key.type, "ssh-ed25519");
        t_eq(key.length, 51);
        t_ok(key.text == NULL);
        key_file_done(&key);
    }
}

/* The head of an OpenSSH key of a hardware kind: nothing behind the public half is looked at. */
T(hardware)
{
    CLEAN(mem_free)
    char *path =
        write_file("sk",
                   "-----BEGIN "
                   "OPENSSH PRIVATE KEY-----\n"
                   "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAJQAAABpzay1zc2gt\n"
                   "ZWQyNTUxOUBvcGVuc3NoLmNvbQAAAANhYmMAAAABeA==\n"
                   "-----END "
                   "OPENSSH PRIVATE KEY-----\n",
                   0600);
    struct key_file key = {0};
    struct fault fault = {0};

    t_eq(key_file_read(path, &key, &fault), 0);
    t_str(key.type, "sk-ssh-ed25519@openssh.com");
    t_eq(key.use, KEY_HARDWARE);
    key_file_done(&key);
}

T(refused)
{
    static const struct {
        const char *name, *text;
        mode_t mode;
        int result;
        const char *says;
    } rows[] = {
        {"empty", "", 0600, -ERR_INVALID, "no private key"},
        {"words", "hello there\n", 0600, -ERR_INVALID, "no private key"},
        {"putty", "PuTTY-User-Key-File-3: ssh-ed25519\n", 0600, -ERR_INVALID, "puttygen"},
        {"cut",
         "-----BEGIN "
         "OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n",
         0600, -ERR_INVALID, "no private key"},
        {"short",
         "-----BEGIN "
         "OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU=\n"
         "-----END "
         "OPENSSH PRIVATE KEY-----\n",
         0600, -ERR_INVALID, "no private key"},
        {"letters",
         "-----BEGIN "
         "OPENSSH PRIVATE KEY-----\n????\n-----END "
         "OPENSSH PRIVATE KEY-----\n",
         0600, -ERR_INVALID, "no private key"},
        {"p8",
         "-----BEGIN "
         "PRIVATE KEY-----\nAAAA\n-----END "
         "PRIVATE KEY-----\n",
         0600, -ERR_INVALID, "no private key"},
        {"liar.pub", "ssh-rsa " ED25519_BLOB "\n", 0644, -ERR_INVALID, "no private key"},
        {"open",
         "-----BEGIN "
         "RSA PRIVATE KEY-----\n",
         0640, -ERR_DENIED, "chmod 600"},
        {"open-all",
         "-----BEGIN "
         "RSA PRIVATE KEY-----\n",
         0604, -ERR_DENIED, "mode 0604"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEAN(mem_free) char *path = write_file(rows[i].name, rows[i].text, rows[i].mode);
        struct key_file key = {0};
        struct fault fault = {0};

        t_eq(key_file_read(path, &key, &fault), rows[i].result);
        t_has(fault.text, rows[i].says);
        t_has(fault.text, path);
        t_ok(key.path == NULL && key.text == NULL);
    }
}

T(files_that_are_none)
{
    CLEAN(mem_free)
    char *folder = in_folder("folder"), *pipe = in_folder("pipe"), *huge = in_folder("huge"),
         *missing = in_folder("missing");
    struct key_file key = {0};
    struct fault fault = {0};

    mkdir(folder, 0700);
    mkfifo(pipe, 0600);
    FILE *file = fopen(huge, "w");
    for (int i = 0; file && i < 5000; i++)
        fputs("-----BEGIN DSA", file);
    if (file)
        fclose(file);
    chmod(huge, 0600);
    t_eq(key_file_read(folder, &key, &fault), -ERR_INVALID);
    t_eq(key_file_read(pipe, &key, &fault), -ERR_INVALID); /* and does not wait */
    t_eq(key_file_read(huge, &key, &fault), -ERR_INVALID);
    t_has(fault.text, "longer than any key");
    t_eq(key_file_read(missing, &key, &fault), -ERR_NOT_FOUND);
    t_has(fault.text, missing);
}

T(dsa)
{
    CLEAN(mem_free)
    char *path = write_file("dsa",
                            "-----BEGIN "
                            "DSA PRIVATE KEY-----\nAA==\n-----END DSA "
                            "PRIVATE KEY-----\n",
                            0600);
    struct key_file key = {0};

    t_eq(key_file_read(path, &key, NULL), 0);
    t_eq(key.use, KEY_UNSUPPORTED);
    key_file_done(&key);
}
