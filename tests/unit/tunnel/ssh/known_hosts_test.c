/* known_hosts: one table of lines and names, checked by us and by the real ssh-keygen -F; verdicts; key types. */
#include "tests/unit/tunnel/ssh/known_hosts_kit.h"

/* ---- names ---- */

/* The names of a line, a host and its port, and whether they mean it. Both readers must say the same. */
static const struct naming {
    const char *names, *host;
    int port;
    bool named;
} namings[] = {
    {"example.com", "example.com", 0, true},
    {"example.com", "example.com", 22, true},
    {"example.com", "EXAMPLE.com", 0, true},
    {"EXAMPLE.COM", "example.com", 0, true},
    {"example.com", "example.co", 0, false},
    {"example.co", "example.com", 0, false},
    {"a,example.com,b", "example.com", 0, true},
    {"a,,b", "b", 0, true},
    {"*.example.com", "a.example.com", 0, true},
    {"*.example.com", "example.com", 0, false},
    {"*.EXAMPLE.com", "a.b.example.com", 0, true},
    {"*", "anything", 0, true},
    {"*", "anything", 2200, true},
    {"**", "x", 0, true},
    {"?", "x", 0, true},
    {"?", "xy", 0, false},
    {"*a*b*c", "aXXbYYbZc", 0, true},
    {"*a*b*c", "aXXcYYb", 0, false},
    {"host?.lan", "host1.lan", 0, true},
    {"host?.lan", "host.lan", 0, false},
    {"*.lan,!bad.lan", "good.lan", 0, true},
    {"*.lan,!bad.lan", "bad.lan", 0, false},
    {"!bad.lan,*.lan", "bad.lan", 0, false},
    {"!bad.lan", "good.lan", 0, false},
    {"!*", "x", 0, false},
    {"!!x", "x", 0, false},
    {"[example.com]:2200", "example.com", 2200, true},
    {"[example.com]:2200", "example.com", 2201, false},
    {"[example.com]:2200", "example.com", 0, false},
    {"[example.com]:22", "example.com", 22, false},
    {"[*.lan]:2200", "a.lan", 2200, true},
    {"[a.lan]:*", "a.lan", 2200, true},
    {"10.0.0.?", "10.0.0.7", 0, true},
    {"::1", "::1", 0, true},
    {"[::1]:2200", "::1", 2200, true},
    {"fe80::1%eth0", "fe80::1%eth0", 0, true},
    {"|1|bad", "example.com", 0, false},
    {"|2|x|y", "example.com", 0, false},
    {"|1||", "example.com", 0, false},
    {"|", "|", 0, false},
};

T(names)
{
    struct key key;
    bool keygen = have_keygen();

    key_of("ssh-ed25519", ED, &key);
    for (size_t i = 0; i < COUNT(namings); i++) {
        const struct naming *row = &namings[i];
        CLEAN(mem_free) char *line = mem_format("%s ssh-ed25519 " ED " c\n", row->names);
        CLEAN(mem_free) char *path = write_file("names", line, strlen(line));
        char where[512];
        enum host_key_verdict verdict = check_file(path, row->host, row->port, &key, where);

        if ((verdict == HOST_KEY_KNOWN) != row->named)
            t_str(row->names, row->host); /* which row */
        if (keygen && keygen_finds(path, row->host, row->port) != row->named)
            t_str("ssh-keygen says otherwise", row->names);
    }
}

/* What ssh-keygen -H hashes we find, with and without a port. */
T(hashed_by_ssh_keygen)
{
    if (!have_keygen())
        t_skip("no ssh-keygen here");
    static const char text[] =
        "example.com ssh-ed25519 " ED "\n[example.com]:2200 ssh-ed25519 " ED2 "\n";
    CLEAN(mem_free) char *path = write_file("hashed", text, strlen(text));
    struct key one, two;
    char where[512];

    key_of("ssh-ed25519", ED, &one);
    key_of("ssh-ed25519", ED2, &two);
    t_eq(RUN("ssh-keygen", "-H", "-f", path), 0);
    CLEAN(mem_free) char *now = read_file(path);
    t_ok(strncmp(now, "|1|", 3) == 0 && !strstr(now, "example"));
    t_eq(check_file(path, "example.com", 22, &one, where), HOST_KEY_KNOWN);
    t_has(where, ":1");
    t_eq(check_file(path, "Example.COM", 2200, &two, where), HOST_KEY_KNOWN);
    t_has(where, ":2");
    t_eq(check_file(path, "example.com", 22, &two, where), HOST_KEY_CHANGED);
    t_eq(check_file(path, "other.com", 22, &one, where), HOST_KEY_UNKNOWN);
}

/* ---- verdicts ---- */

T(verdicts)
{
    static const struct {
        const char *text;
        enum host_key_verdict verdict; /* of the key ED on host h, port 2200 */
        const char *where;
    } rows[] = {
        {"", HOST_KEY_UNKNOWN, ""},
        {"other ssh-ed25519 " ED "\n", HOST_KEY_UNKNOWN, ""},
        {"[h]:2200 ssh-ed25519 " ED "\n", HOST_KEY_KNOWN, ":1"},
        {"[h]:2200 ssh-ed25519 " ED, HOST_KEY_KNOWN, ":1"},
        {"# note\r\n\r\n[h]:2200 ssh-ed25519 " ED "\r\n", HOST_KEY_KNOWN, ":3"},
        {" \t[h]:2200 \t ssh-ed25519\t" ED "\tme@here # x\r\n", HOST_KEY_KNOWN, ":1"},
        {"[h]:2200 ssh-ed25519 " ED2 "\n", HOST_KEY_CHANGED, ":1"},
        {"[h]:2200 ssh-ed25519 " ED2 "\n[h]:2200 ssh-ed25519 " ED "\n", HOST_KEY_KNOWN, ":2"},
        {"[h]:2200 ecdsa-sha2-nistp256 " EC "\n", HOST_KEY_UNKNOWN_TYPE, ":1"},
        {"[h]:2200 ecdsa-sha2-nistp256 " EC "\n[h]:2200 ssh-ed25519 " ED2 "\n", HOST_KEY_CHANGED,
         ":2"},
        /* without its port: this very key will do, another one says nothing */
        {"h ssh-ed25519 " ED "\n", HOST_KEY_KNOWN, ":1"},
        {"h ssh-ed25519 " ED2 "\n", HOST_KEY_UNKNOWN, ""},
        {"h ssh-ed25519 " ED "\n[h]:2200 ssh-ed25519 " ED2 "\n", HOST_KEY_CHANGED, ":2"},
        /* revoked wins, wherever it stands */
        {"[h]:2200 ssh-ed25519 " ED "\n@revoked * ssh-ed25519 " ED "\n", HOST_KEY_REVOKED, ":2"},
        {"@revoked [h]:2200 ssh-ed25519 " ED "\n[h]:2200 ssh-ed25519 " ED "\n", HOST_KEY_REVOKED,
         ":1"},
        {"@revoked\t*\tssh-ed25519 " ED " c\n[h]:2200 ssh-ed25519 " ED "\n", HOST_KEY_REVOKED,
         ":1"},
        {"h ssh-ed25519 " ED "\n@revoked h ssh-ed25519 " ED "\n", HOST_KEY_REVOKED, ":2"},
        {"@revoked other ssh-ed25519 " ED "\n[h]:2200 ssh-ed25519 " ED "\n", HOST_KEY_KNOWN, ":2"},
        {"@revoked * ssh-ed25519 " ED2 "\n[h]:2200 ssh-ed25519 " ED "\n", HOST_KEY_KNOWN, ":2"},
        {"@revoked * ssh-ed25519 " ED2 "\n", HOST_KEY_UNKNOWN, ""},
        {"@cert-authority *2200 ssh-ed25519 " ED "\n", HOST_KEY_AUTHORITY, ":1"},
        {"@cert-authority * ssh-ed25519 " ED2 "\n[h]:2200 ssh-ed25519 " ED "\n", HOST_KEY_KNOWN,
         ":2"},
        {"@cert-authority * ssh-ed25519 " ED2 "\nh ssh-ed25519 " ED "\n", HOST_KEY_KNOWN, ":2"},
        {"@cert-authority * ssh-ed25519 " ED2 "\n[h]:2200 ssh-ed25519 " ED2 "\n", HOST_KEY_CHANGED,
         ":2"},
        /* lines that say nothing */
        {"[h]:2200\n[h]:2200 ssh-ed25519\n[h]:2200 # x\n", HOST_KEY_UNKNOWN, ""},
        {"[h]:2200 ssh-rsa " ED2 "\n", HOST_KEY_UNKNOWN, ""},
        {"[h]:2200 ssh-ed25519 ????\n", HOST_KEY_UNKNOWN, ""},
        {"[h]:2200 1024 35 123456789\n", HOST_KEY_UNKNOWN, ""},
        {"#[h]:2200 ssh-ed25519 " ED2 "\n", HOST_KEY_UNKNOWN, ""},
        {"@other [h]:2200 ssh-ed25519 " ED2 "\n", HOST_KEY_UNKNOWN, ""},
        {"@revoked @revoked [h]:2200 ssh-ed25519 " ED "\n", HOST_KEY_UNKNOWN, ""},
    };
    struct key key;

    key_of("ssh-ed25519", ED, &key);
    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEAN(mem_free) char *path = write_file("verdicts", rows[i].text, strlen(rows[i].text));
        CLEAN(mem_free)
        char *expected = *rows[i].where ? mem_format("%s%s", path, rows[i].where) : mem_string("");
        char where[512];
        enum host_key_verdict verdict = check_file(path, "h", 2200, &key, where);

        if (verdict != rows[i].verdict)
            t_str(rows[i].text, "another verdict");
        t_eq(verdict, rows[i].verdict);
        t_str(where, expected);
    }
}

T(a_line_longer_than_any_buffer)
{
    CLEAN(mem_free) char *text = mem_new(300000);
    struct key key;
    char where[512];
    size_t at = 0;

    key_of("ssh-ed25519", ED, &key);
    while (at < 200000)
        at += (size_t)snprintf(text + at, 300000 - at, "name%zu.example.com,", at);
    at += (size_t)snprintf(text + at, 300000 - at, "h ssh-ed25519 " ED " ");
    memset(text + at, 'c', 90000);
    CLEAN(mem_free) char *path = write_file("long", text, at + 90000);
    t_eq(check_file(path, "h", 0, &key, where), HOST_KEY_KNOWN);
    t_eq(check_file(path, "name0.example.com", 0, &key, where), HOST_KEY_KNOWN);
}

T(several_files)
{
    static const char first[] = "h ssh-ed25519 " ED2 "\n", second[] = "h ssh-ed25519 " ED "\n";
    CLEAN(mem_free)
    char *one = write_file("one", first, strlen(first)),
         *two = write_file("two", second, strlen(second));
    const char *files[] = {"/nowhere/known_hosts", one, two, "/dev/null"};
    struct key key;
    struct fault fault = {0};
    char where[512];

    key_of("ssh-ed25519", ED, &key);
    CLEAN(known_hosts_free) struct known_hosts *hosts = known_hosts_load(files, 4, &fault);
    t_ok(hosts != NULL);
    t_eq(known_hosts_check(hosts, "h", 22, &key.key, where), HOST_KEY_KNOWN);
    t_has(where, "two:1");
    t_eq(known_hosts_check(hosts, "h", 22, &key.key, NULL), HOST_KEY_KNOWN);

    CLEAN(known_hosts_free) struct known_hosts *none = known_hosts_load(NULL, 0, &fault);
    t_eq(known_hosts_check(none, "h", 22, &key.key, where), HOST_KEY_UNKNOWN);
}

T(unreadable_is_no_answer)
{
    CLEAN(mem_free)
    char *folder = mem_format("%s/folder", t_tmpdir()), *pipe = mem_format("%s/pipe", t_tmpdir()),
         *loop = mem_format("%s/loop", t_tmpdir()), *huge = mem_format("%s/huge", t_tmpdir()),
         *closed = write_file("closed", "", 0);
    struct fault fault = {0};

    mkdir(folder, 0700);
    mkfifo(pipe, 0600);
    t_eq(symlink(loop, loop), 0);
    int fd = open(huge, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    t_eq(ftruncate(fd, KNOWN_HOSTS_BYTES_MAX + 1), 0);
    close(fd);
    chmod(closed, 0);
    const char *const bad[] = {folder, pipe, loop, huge, closed};
    for (size_t i = 0; i < COUNT(bad) - (geteuid() == 0 ? 1 : 0); i++) {
        fault_clear(&fault);
        struct known_hosts *hosts = known_hosts_load(&bad[i], 1, &fault);
        t_ok(hosts == NULL && fault.code < 0);
        t_has(fault.text, bad[i]);
        known_hosts_free(hosts);
    }
    chmod(closed, 0600);
}

/* RevokedHostKeys: keys alone, for every host; it must be there and be text. */
T(revoked_keys)
{
    static const char known[] = "h ssh-ed25519 " ED "\ni ssh-ed25519 " ED2 "\n";
    static const char revoked[] = "# lost\n  ssh-ed25519 " ED " the old one\r\n";
    CLEAN(mem_free)
    char *file = write_file("known", known, strlen(known)),
         *keys = write_file("revoked", revoked, strlen(revoked)),
         *list = write_file("list", "SSHKRL\n\0\0\0\0\1", 12);
    const char *path = file;
    CLEAN(known_hosts_free) struct known_hosts *hosts = known_hosts_load(&path, 1, NULL);
    struct fault fault = {0};
    struct key one, two;
    char where[512];

    key_of("ssh-ed25519", ED, &one);
    key_of("ssh-ed25519", ED2, &two);
    t_eq(known_hosts_revoke(hosts, keys, &fault), 0);
    t_eq(known_hosts_check(hosts, "h", 22, &one.key, where), HOST_KEY_REVOKED);
    t_has(where, "revoked:2");
    t_eq(known_hosts_check(hosts, "nobody", 22, &one.key, where), HOST_KEY_REVOKED);
    t_eq(known_hosts_check(hosts, "i", 22, &two.key, where), HOST_KEY_KNOWN);
    t_eq(known_hosts_revoke(hosts, "/nowhere/revoked", &fault), -ERR_NOT_FOUND);
    t_has(fault.text, "/nowhere/revoked");
    t_eq(known_hosts_revoke(hosts, list, &fault), -ERR_UNSUPPORTED);
}

/* ---- types ---- */

T(types)
{
    static const char text[] = "h ecdsa-sha2-nistp256 " EC "\n[h]:2200 ssh-ed25519 " ED "\n"
                               "@cert-authority a ssh-ed25519 " ED "\n"
                               "@revoked b ssh-ed25519 " ED "\n";
    static const char ours[] = "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,ssh-rsa";
    CLEAN(mem_free) char *path = write_file("types", text, strlen(text));
    const char *file = path;
    CLEAN(known_hosts_free) struct known_hosts *hosts = known_hosts_load(&file, 1, NULL);
    CLEAN(mem_free) char *plain = known_hosts_types(hosts, "h", 22, ours);
    CLEAN(mem_free) char *port = known_hosts_types(hosts, "H", 2200, ours);
    CLEAN(mem_free) char *other = known_hosts_types(hosts, "h", 2201, ours);
    CLEAN(mem_free) char *marked = known_hosts_types(hosts, "a", 22, ours);
    CLEAN(mem_free) char *revoked = known_hosts_types(hosts, "b", 22, ours);
    CLEAN(mem_free) char *few = known_hosts_types(hosts, "h", 22, "ssh-ed25519");

    t_str(plain, "ecdsa-sha2-nistp256,ssh-ed25519,rsa-sha2-512,ssh-rsa");
    t_str(port, ours);
    t_str(other,
          "ecdsa-sha2-nistp256,ssh-ed25519,rsa-sha2-512,ssh-rsa"); /* as it will be checked */
    t_str(marked, ours);
    t_str(revoked, ours);
    t_str(few, "ssh-ed25519");
}

/* An RSA key is asked for by each of its signature algorithms. */
T(types_of_rsa)
{
    static const uint8_t blob[] = {0, 0, 0, 7, 's', 's', 'h', '-', 'r', 's', 'a', 0, 0, 0, 1, 3};
    char base64[64];
    crypto_base64(blob, sizeof(blob), base64);
    CLEAN(mem_free) char *line = mem_format("h ssh-rsa %s\n", base64);
    CLEAN(mem_free) char *path = write_file("rsa", line, strlen(line));
    const char *file = path;
    CLEAN(known_hosts_free) struct known_hosts *hosts = known_hosts_load(&file, 1, NULL);
    CLEAN(mem_free)
    char *types = known_hosts_types(hosts, "h", 0, "ssh-ed25519,rsa-sha2-512,rsa-sha2-256,ssh-rsa");

    t_str(types, "rsa-sha2-512,rsa-sha2-256,ssh-rsa,ssh-ed25519");
}

T(fingerprint)
{
    struct key key;
    char text[64];

    key_of("ssh-ed25519", ED, &key);
    host_key_fingerprint(&key.key, text);
    t_eq(strlen(text), 50);
    t_ok(strncmp(text, "SHA256:", 7) == 0 && !strchr(text, '='));
    if (!have_keygen())
        return;
    CLEAN(mem_free) char *path = write_file("print.pub", "ssh-ed25519 " ED "\n", 13 + strlen(ED));
    CLEAN(mem_free)
    char *command = mem_format("ssh-keygen -lf '%s' | grep -qF '%s'", path, text);
    t_eq(RUN("sh", "-c", command), 0);
}
