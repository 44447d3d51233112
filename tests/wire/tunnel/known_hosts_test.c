/* known_hosts against the real ssh: what we take for known, it takes; what we refuse, it refuses. */
#include "base/buf.h"
#include "base/crypto.h"
#include "tests/rig/sshd_rig.h"
#include "tunnel/ssh/known_hosts.h"

#include <stddef.h>

struct ours {
    uint8_t blob[512];
    struct host_key key;
};

/* "type base64 comment" of a public key file; base64 is cut out of the text. */
static char *key_of(const struct sshd_rig *rig, const char *name, struct ours *ret)
{
    CLEAN(mem_free) char *text = sshd_rig_read(rig, name);
    char *rest = text, *type = strsep(&rest, " "), *base64 = strsep(&rest, " ");
    int length = crypto_base64_decode(base64, strlen(base64), ret->blob, sizeof(ret->blob));

    t_str(type, "ssh-ed25519");
    t_ok(length > 0);
    ret->key = (struct host_key){ret->blob, (size_t)length, "ssh-ed25519"};
    return mem_format("ssh-ed25519 %s", base64);
}

/* Runs ssh to its end while the rig accepts. */
static int ssh_status(struct sshd_rig *rig, const char *alias)
{
    char port[16];
    const char *argv[] = {"ssh",           "-T",  "-F",   rig->config, "-p", port, "-o",
                          "BatchMode=yes", alias, "true", NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = -1;

    snprintf(port, sizeof(port), "%d", rig->port);
    posix_spawn_file_actions_init(&actions);
    for (int fd = 0; fd < 3; fd++)
        posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    if (posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(const void *)argv, environ) ==
        0)
        while (waitpid(pid, &status, WNOHANG) == 0) {
            (void)loop_turn(rig->loop, false);
            (void)poll(NULL, 0, 2);
        }
    posix_spawn_file_actions_destroy(&actions);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool we_know(const struct sshd_rig *rig, const struct ours *ours, const char *alias)
{
    const char *file = sshd_rig_path(rig, "known_hosts");
    CLEAN(known_hosts_free) struct known_hosts *hosts = known_hosts_load(&file, 1, NULL);
    bool is_alias = strcmp(alias, "127.0.0.1") != 0;

    return known_hosts_check(hosts, is_alias ? "Box.example" : alias, is_alias ? 0 : rig->port,
                             &ours->key, NULL) == HOST_KEY_KNOWN;
}

T(the_same_verdicts)
{
    /* %K the host's key, %O another one, %P its port; "alias": HostKeyAlias Box.example */
    static const struct {
        const char *text, *alias;
        bool known;
    } rows[] = {
        {"[127.0.0.1]:%P %K\n", "127.0.0.1", true},
        {"127.0.0.1 %K\n", "127.0.0.1", true},
        {"127.0.0.1 %O\n", "127.0.0.1", false},
        {"[127.0.0.1]:%P %O\n127.0.0.1 %K\n", "127.0.0.1", false},
        {"[127.0.0.1]:%P %O\n[127.0.0.1]:%P %K\n", "127.0.0.1", true},
        {"[127.0.0.1]:1 %K\n", "127.0.0.1", false},
        {"*,!127.0.0.1 %K\n", "127.0.0.1", true},     /* the name there is with its port */
        {"*,![127.0.0.1]:* %K\n", "127.0.0.1", true}, /* … and without, in the second look */
        {"*,![127.0.0.1]:*,!127.0.0.1 %K\n", "127.0.0.1", false},
        {"[127.0.0.?]:* %K\r\n", "127.0.0.1", true},
        {"@revoked * %K\n[127.0.0.1]:%P %K\n", "127.0.0.1", false},
        {"[127.0.0.1]:%P %K\n@revoked * %K\n", "127.0.0.1", false},
        {"[127.0.0.1]:%P %K\n@revoked other %K\n", "127.0.0.1", true},
        {"@cert-authority * %K\n", "127.0.0.1", false},
        {"@cert-authority * %O\n[127.0.0.1]:%P %K\n", "127.0.0.1", true},
        {"@nonsense * %K\n", "127.0.0.1", false},
        {"", "127.0.0.1", false},
        {"box.example %K\n", "alias", true},
        {"BOX.* %K\n", "alias", true},
        {"[box.example]:%P %K\n", "alias", false},
        {"127.0.0.1 %K\n", "alias", false},
    };
    CLEAN(loop_free) struct loop *loop = loop_new(LOOP_REAL);
    struct sshd_rig *rig = sshd_rig_new(loop, "");
    struct ours ours, other;

    if (!rig)
        return;
    CLEAN(mem_free) char *config = sshd_rig_read(rig, "ssh_config");
    CLEAN(mem_free)
    char *with_alias =
        mem_format("Host alias\n  HostName 127.0.0.1\n  HostKeyAlias Box.example\n%s", config);
    sshd_rig_write(rig, "ssh_config", with_alias);
    sshd_rig_key(rig, "other", "ed25519", "");
    CLEAN(mem_free) char *key = key_of(rig, "host_ed25519.pub", &ours);
    CLEAN(mem_free) char *wrong = key_of(rig, "other.pub", &other);
    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEAN(buf_done) struct buf text = {0};

        buf_init(&text, 65536);
        for (const char *c = rows[i].text; *c; c++) {
            if (*c != '%')
                buf_add_char(&text, *c);
            else if (*++c == 'P')
                buf_addf(&text, "%d", rig->port);
            else
                buf_add_str(&text, *c == 'K' ? key : wrong);
        }
        sshd_rig_write(rig, "known_hosts", text.data ? text.data : "");
        if (we_know(rig, &ours, rows[i].alias) != rows[i].known)
            t_str(rows[i].text, "we say otherwise");
        if ((ssh_status(rig, rows[i].alias) == 0) != rows[i].known)
            t_str(rows[i].text, "ssh says otherwise");
    }
    sshd_rig_free(rig);
}

/* What we write, in clear and hashed, ssh takes. */
T(ssh_takes_what_we_write)
{
    CLEAN(loop_free) struct loop *loop = loop_new(LOOP_REAL);
    struct sshd_rig *rig = sshd_rig_new(loop, "");
    struct ours ours;
    struct fault fault = {0};

    if (!rig)
        return;
    mem_free(key_of(rig, "host_ed25519.pub", &ours));
    for (int hashed = 0; hashed < 2; hashed++) {
        sshd_rig_write(rig, "known_hosts", "# no newline at the end");
        t_ok(ssh_status(rig, "127.0.0.1") != 0);
        t_eq(known_hosts_add(sshd_rig_path(rig, "known_hosts"), "127.0.0.1", rig->port, &ours.key,
                             hashed == 1, &fault),
             0);
        t_eq(ssh_status(rig, "127.0.0.1"), 0);
    }
    sshd_rig_free(rig);
}
