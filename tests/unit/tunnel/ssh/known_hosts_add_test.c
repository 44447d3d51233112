/* Writing a host key down: whole lines, under a lock, nothing twice, nothing that contradicts. */
#include "tests/unit/tunnel/ssh/known_hosts_kit.h"

T(adds)
{
    CLEAN(mem_free) char *path = mem_format("%s/new/known_hosts", t_tmpdir());
    struct key key, other;
    struct fault fault = {0};
    struct stat st;
    char where[512];

    key_of("ssh-ed25519", ED, &key);
    key_of("ssh-ed25519", ED2, &other);
    t_eq(known_hosts_add(path, "H.example.com", 22, &key.key, false, &fault), 0);
    t_eq(known_hosts_add(path, "h.example.com", 0, &key.key, true, &fault), 0); /* there already */
    CLEAN(mem_free) char *text = read_file(path);
    t_str(text, "h.example.com ssh-ed25519 " ED "\n");
    t_ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);

    t_eq(known_hosts_add(path, "h.example.com", 2200, &other.key, true, &fault), 0);
    t_eq(check_file(path, "h.example.com", 2200, &other, where), HOST_KEY_KNOWN);
    t_has(where, ":2");
    CLEAN(mem_free) char *both = read_file(path);
    t_has(both, "\n|1|");
    if (have_keygen())
        t_ok(keygen_finds(path, "h.example.com", 2200));

    t_eq(known_hosts_add(path, "h.example.com", 22, &other.key, false, &fault), -ERR_CONFLICT);
    t_has(fault.text, ":1");
    CLEAN(mem_free) char *after = read_file(path);
    t_str(after, both);
}

T(mends_the_end)
{
    CLEAN(mem_free) char *path = write_file("unended", "# no newline", 12);
    struct key key;

    key_of("ssh-ed25519", ED, &key);
    t_eq(known_hosts_add(path, "h", 22, &key.key, false, NULL), 0);
    t_eq(known_hosts_add(path, "i", 22, &key.key, false, NULL), 0);
    CLEAN(mem_free) char *text = read_file(path);
    t_str(text, "# no newline\nh ssh-ed25519 " ED "\ni ssh-ed25519 " ED "\n");
}

/* A name that would read as something else is never written in clear. */
T(odd_names_are_hashed)
{
    static const char *const names[] = {"*", "a,b", "!x", "#x", "@revoked", "a b", "|1|x|y"};
    CLEAN(mem_free) char *path = write_file("odd", "", 0);
    struct key key;
    char where[512];

    key_of("ssh-ed25519", ED, &key);
    for (size_t i = 0; i < COUNT(names); i++) {
        t_eq(known_hosts_add(path, names[i], 0, &key.key, false, NULL), 0);
        t_eq(check_file(path, names[i], 0, &key, where), HOST_KEY_KNOWN);
    }
    t_eq(check_file(path, "a", 0, &key, where), HOST_KEY_UNKNOWN);
    CLEAN(mem_free) char *text = read_file(path);
    t_ok(!strstr(text, "revoked"));
}

T(cannot_be_written)
{
    CLEAN(mem_free) char *path = write_file("locked", "", 0);
    struct key key;
    struct fault fault = {0};

    key_of("ssh-ed25519", ED, &key);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    t_eq(flock(fd, LOCK_EX), 0);
    t_eq(known_hosts_add(path, "h", 22, &key.key, false, &fault), -ERR_BUSY);
    t_has(fault.text, "locked");
    close(fd);
    t_eq(known_hosts_add(path, "h", 22, &key.key, false, &fault), 0);
    t_ok(known_hosts_add("/nowhere/at/all", "h", 22, &key.key, false, &fault) < 0);
    t_has(fault.text, "/nowhere/at/all");
    t_eq(known_hosts_add("/dev/null", "h", 22, &key.key, false, &fault), 0); /* as ssh */
}

/* Writers side by side: every line whole, none lost. */
T(writers_at_once)
{
    CLEAN(mem_free) char *path = mem_format("%s/together", t_tmpdir());
    pid_t pids[6];
    struct key key;

    key_of("ssh-ed25519", ED, &key);
    for (int w = 0; w < 6; w++) {
        pids[w] = fork();
        if (pids[w] != 0)
            continue;
        int failed = 0;
        for (int i = 0; i < 20; i++) {
            char name[64];
            snprintf(name, sizeof(name), "host%d-%d", w, i);
            failed |= known_hosts_add(path, name, 22, &key.key, i % 2 == 0, NULL) != 0;
        }
        _exit(failed);
    }
    for (int w = 0; w < 6; w++) {
        int status = -1;
        waitpid(pids[w], &status, 0);
        t_eq(status, 0);
    }
    CLEAN(mem_free) char *text = read_file(path);
    int lines = 0;
    for (char *at = text; (at = strstr(at, " ssh-ed25519 " ED "\n")) != NULL; at++)
        lines++;
    t_eq(lines, 120);
}
