/* Targets, what `ssh -G` says, and asking the real ssh: a table of configurations. */
#include "base/buf.h"
#include "base/io/loop.h"
#include "base/mem.h"
#include "tests/t.h"
#include "tunnel/ssh/host.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- targets ---- */

T(targets)
{
    static const struct {
        const char *text, *user, *host;
        int port;
    } good[] = {
        {"ssh://bob@example.com:2200", "bob", "example.com", 2200},
        {"ssh://example.com/", NULL, "example.com", 0},
        {"SSH://h", NULL, "h", 0},
        {"bob@box", "bob", "box", 0},
        {"box", NULL, "box", 0},
        {"a@b@host", "a@b", "host", 0},
        {"ssh://u@[fe80::1%eth0]:22", "u", "fe80::1%eth0", 22},
        {"[::1]", NULL, "::1", 0},
        {"::1", NULL, "::1", 0},
        {"ssh://2001:db8::5", NULL, "2001:db8::5", 0},
        {"domain\\user@h", "domain\\user", "h", 0},
    };

    for (size_t i = 0; i < COUNT(good); i++) {
        struct ssh_target target;
        struct fault fault = {0};

        t_eq(ssh_target_parse(good[i].text, &target, &fault), 0);
        if (fault.code != 0) {
            t_str(fault.text, good[i].text);
            continue;
        }
        t_str(target.user, good[i].user);
        t_str(target.host, good[i].host);
        t_eq(target.port, good[i].port);
        ssh_target_done(&target);
    }
}

T(targets_refused)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "no host"},
        {"ssh://", "no host"},
        {"user@", "no host"},
        {"@host", "no user"},
        {"-oProxyCommand=touch", "begin with"},
        {"ssh://-oProxyCommand=x", "begin with"},
        {"-l@host", "begin with"},
        {"host:2200", "ssh://host:2200"},
        {"ssh://h:0", "1 to 65535"},
        {"ssh://h:65536", "1 to 65535"},
        {"ssh://h:22x", "1 to 65535"},
        {"ssh://h:", "1 to 65535"},
        {"ssh://h:+22", "1 to 65535"},
        {"ssh://h:99999999999999999999", "1 to 65535"},
        {"ssh://h/path", "no path"},
        {"[::1]x", "ssh://[::1]:22"},
        {"http://h", "no SSH target"},
        {"a b", "character"},
        {"a\nb", "character"},
        {"$(touch x)", "character"},
        {"`x`", "character"},
        {"u;x@h", "character"},
        {"u\\@h", "end with"},
    };
    CLEAN(mem_free) char *endless = mem_new(3000);

    for (size_t i = 0; i < COUNT(bad); i++) {
        struct ssh_target target = {0};
        struct fault fault = {0};

        t_eq(ssh_target_parse(bad[i].text, &target, &fault), -ERR_INVALID);
        t_has(fault.text, bad[i].says);
        t_ok(target.host == NULL);
    }
    memset(endless, 'a', 2999);
    t_eq(ssh_target_parse(endless, &(struct ssh_target){0}, NULL), -ERR_INVALID);
    endless[300] = '\0';
    t_eq(ssh_target_parse(endless, &(struct ssh_target){0}, NULL), -ERR_INVALID);
}

/* ---- what ssh -G says ---- */

static struct ssh_host parse(const char *text)
{
    struct ssh_target target = {.host = (char[]){"box"}};
    struct ssh_host host = {0};
    struct fault fault = {0};

    t_eq(ssh_host_parse(text, strlen(text), &target, &host, &fault), 0);
    t_str(fault.text, "");
    return host;
}

T(values)
{
    setenv("HOME", "/scratch", 1);
    setenv("SSH_AUTH_SOCK", "/run/agent", 1);
    setenv("CULVERT_TEST_AGENT", "/run/other", 1);
    struct ssh_host host =
        parse("host box\nuser bob\nhostname box.example.com\nport 2200\n"
              "addressfamily inet6\nbatchmode no\ncompression yes\n"
              "hashknownhosts yes\nidentitiesonly yes\n"
              "passwordauthentication yes\nstricthostkeychecking accept-new\n"
              "tcpkeepalive no\nserveralivecountmax 2\nserveraliveinterval 15\n"
              "bindaddress 10.0.0.1\nhostkeyalias one\n"
              "identityagent $CULVERT_TEST_AGENT\n"
              "identityfile ~/.ssh/%h_%r_%p_%n_%k%%\n"
              "identityfile none\n"
              "identityfile /keys/with a blank\n"
              "identityfile ${CULVERT_TEST_UNSET}/x\n"
              "identityfile ${HOME}/y\n"
              "identityfile /z/%q\n"
              "certificatefile %d/c\n"
              "globalknownhostsfile /etc/g1 /etc/g 2\n"
              "userknownhostsfile /u/one /u/a b/two ~/three\n"
              "revokedhostkeys ~/revoked\nconnecttimeout 7\nsomethingnew yes\nlonely\n"
              "proxycommand nc -q \"x y\" %h %p %r %n %% %C\n");

    t_str(host.alias, "box");
    t_str(host.hostname, "box.example.com");
    t_str(host.user, "bob");
    t_eq(host.port, 2200);
    t_str(host.host_key_alias, "one");
    t_eq(host.address_family, AF_INET6);
    t_ok(host.compression && host.hash_known_hosts && host.identities_only && host.from_ssh);
    t_ok(!host.tcp_keepalive && host.accept_new && host.check_host_key && host.password_allowed);
    t_eq(host.alive_count, 2);
    t_eq(host.alive_interval_ms, 15000);
    t_eq(host.connect_timeout_ms, 7000);
    t_str(host.bind_address, "10.0.0.1");
    t_str(host.revoked_host_keys, "/scratch/revoked");
    t_str(host.identity_agent, "/run/other");
    t_eq(host.identity_count, 3);
    t_str(host.identity_files[0], "/scratch/.ssh/box.example.com_bob_2200_box_one%");
    t_str(host.identity_files[1], "/keys/with a blank");
    t_str(host.identity_files[2], "/scratch/y");
    t_eq(host.certificate_count, 1);
    t_str(host.certificate_files[0], "/scratch/c");
    t_eq(host.known_hosts_count, 5);
    t_eq(host.user_known_hosts_count, 3);
    t_str(host.known_hosts[0], "/u/one");
    t_str(host.known_hosts[1], "/u/a b/two");
    t_str(host.known_hosts[2], "/scratch/three");
    t_str(host.known_hosts[3], "/etc/g1");
    t_str(host.known_hosts[4], "/etc/g 2"); /* a digit does not begin a path */
    t_str(host.proxy_command, "nc -q \"x y\" box.example.com 2200 bob box % %C");
    t_ok(host.proxy_jump == NULL);
    ssh_host_done(&host);
}

T(defaults_and_other_spellings)
{
    setenv("SSH_AUTH_SOCK", "/run/agent", 1);
    struct ssh_host host = parse("hostname h\r\nuser u\r\nStrictHostKeyChecking no\r\n"
                                 "connecttimeout none\nuserknownhostsfile none\n"
                                 "globalknownhostsfile none\nproxycommand none\nproxyjump j,u@k:9\n"
                                 "identityagent SSH_AUTH_SOCK\npasswordauthentication true\n"
                                 "batchmode yes\nserveraliveinterval 0\n");

    t_str(host.hostname, "h");
    t_str(host.user, "u");
    t_eq(host.port, 22);
    t_ok(!host.check_host_key && !host.accept_new && !host.password_allowed);
    t_eq(host.known_hosts_count, 0);
    t_eq(host.connect_timeout_ms, 0);
    t_eq(host.alive_interval_ms, 0);
    t_str(host.identity_agent, "/run/agent");
    t_ok(host.proxy_command == NULL && host.host_key_alias == NULL);
    t_str(host.proxy_jump, "j,u@k:9");
    ssh_host_done(&host);

    host = parse("hostname h\nuser u\nidentityagent none\nstricthostkeychecking true\n");
    t_ok(host.identity_agent == NULL && host.check_host_key);
    ssh_host_done(&host);
    unsetenv("SSH_AUTH_SOCK");
    host = parse("hostname h\nuser u\n");
    t_ok(host.identity_agent == NULL);
    ssh_host_done(&host);
}

T(nonsense)
{
    static const char *const bad[] = {
        "",
        "user u\n",
        "hostname h\n",
        "hostname h\nuser \n",
        "hostname none\nuser u\n",
        "hostname h\nuser u\nport 0\n",
        "hostname h\nuser u\nport 22 23\n",
        "hostname h\nuser u\nport -5\n",
        "hostname h\nuser u\nstricthostkeychecking maybe\n",
        "hostname h\nuser u\naddressfamily ipx\n",
        "hostname h\nuser u\ncompression perhaps\n",
        "hostname h\nuser u\nconnecttimeout soon\n",
        "hostname h\nuser u\nserveraliveinterval 99999999999999\n",
    };
    struct ssh_target target = {.host = (char[]){"box"}};

    for (size_t i = 0; i < COUNT(bad); i++) {
        struct ssh_host host = {0};
        struct fault fault = {0};

        t_eq(ssh_host_parse(bad[i], strlen(bad[i]), &target, &host, &fault), -ERR_INVALID);
        t_ok(fault.text[0] != '\0');
        t_ok(host.hostname == NULL);
    }
}

T(many_files)
{
    CLEAN(buf_done) struct buf text = {0};
    struct ssh_target target = {.host = (char[]){"box"}};
    struct ssh_host host;
    struct fault fault = {0};

    buf_init(&text, 65536);
    buf_add_str(&text, "hostname h\nuser u\n");
    for (int i = 0; i < SSH_FILES_MAX + 3; i++)
        buf_addf(&text, "identityfile /k/%d\n", i);
    t_eq(ssh_host_parse(text.data, text.length, &target, &host, &fault), 0);
    t_eq(host.identity_count, SSH_FILES_MAX);
    t_has(fault.text, "3 files");
    ssh_host_done(&host);
}

/* ---- asking ssh ---- */

struct asked {
    struct op op;
    struct ssh_host host;
    int result;
    bool done;
};

static void on_done(struct op *op, int result)
{
    struct asked *asked = CONTAINER(op, struct asked, op);

    asked->result = result;
    asked->done = true;
}

static void ask(struct asked *asked, const char *text, const struct ssh_options *options)
{
    CLEAN(loop_free) struct loop *loop = loop_new(LOOP_REAL);
    struct ssh_target target;

    memset(asked, 0, sizeof(*asked));
    t_eq(ssh_target_parse(text, &target, NULL), 0);
    op_init(&asked->op, loop, on_done, 0);
    ssh_host_resolve(&asked->op, &target, options, &asked->host);
    ssh_target_done(&target); /* it was copied */
    t_ok(!asked->done);
    while (!asked->done)
        loop_turn(loop, true);
}

static char *write_config(const char *name, const char *text)
{
    char *path = mem_format("%s/%s", t_tmpdir(), name);
    FILE *file = fopen(path, "w");

    t_ok(file != NULL);
    if (file) {
        fputs(text, file);
        fclose(file);
    }
    return path;
}

static void need_ssh(void)
{
    if (access("/usr/bin/ssh", X_OK) < 0)
        t_skip("no ssh here");
}

T(asks_ssh)
{
    need_ssh();
    CLEAN(mem_free)
    char *config = write_config("config", "Host a\n  HostName %h.example.com\n  User bob\n"
                                          "  IdentityFile \"/k/with blank %h\"\n"
                                          "  UserKnownHostsFile /u/%h \"/u/a b\"\n"
                                          "  IdentityAgent ~/sock-%h\n  HostKeyAlias one\n"
                                          "  StrictHostKeyChecking no\n"
                                          "Host b\n  HostName fe80::1%%lo\n"
                                          "  ProxyJump u@j1:2222,j2\n  ConnectTimeout 1m\n"
                                          "  ServerAliveInterval 2h\n  UserKnownHostsFile none\n");
    struct asked asked;

    ask(&asked, "ssh://eve@A:2200", &(struct ssh_options){.config_file = config});
    t_eq(asked.result, 0);
    t_str(asked.op.fault.text, "");
    t_ok(asked.host.from_ssh);
    t_str(asked.host.hostname, "a"); /* ssh matches Host with case: none of ours */
    t_str(asked.host.user, "eve");
    t_eq(asked.host.port, 2200);
    t_str(asked.host.config_file, config);
    ssh_host_done(&asked.host);

    ask(&asked, "a", &(struct ssh_options){.config_file = config, .identity = config});
    t_eq(asked.result, 0);
    t_str(asked.op.fault.text, "");
    t_str(asked.host.hostname, "a.example.com");
    t_str(asked.host.user, "bob");
    t_eq(asked.host.port, 22);
    t_str(asked.host.identity_files[0], config);
    t_str(asked.host.identity_files[1], "/k/with blank a.example.com");
    t_str(asked.host.known_hosts[0], "/u/a.example.com");
    t_str(asked.host.known_hosts[1], "/u/a b");
    t_str(asked.host.host_key_alias, "one");
    t_has(asked.host.identity_agent, "/sock-a.example.com");
    t_ok(!asked.host.check_host_key);
    ssh_host_done(&asked.host);

    ask(&asked, "b", &(struct ssh_options){.config_file = config});
    t_eq(asked.result, 0);
    t_str(asked.host.hostname, "fe80::1%lo");
    t_str(asked.host.proxy_jump, "u@j1:2222,j2");
    t_eq(asked.host.connect_timeout_ms, 60000);
    t_eq(asked.host.alive_interval_ms, 7200000);
    t_eq(asked.host.user_known_hosts_count, 0);
    t_ok(asked.host.known_hosts_count > 0); /* the global ones */
    ssh_host_done(&asked.host);
}

T(home_of_its_own)
{
    need_ssh();
    CLEAN(mem_free) char *home = mem_format("%s/home", t_tmpdir());
    CLEAN(mem_free) char *known = mem_format("%s/.ssh/known_hosts", home);
    CLEAN(mem_free) char *folder = mem_format("%s/.ssh", home);
    struct asked asked;

    setenv("HOME", home, 1);
    ask(&asked, "far", &(struct ssh_options){0}); /* no folder at all */
    t_eq(asked.result, 0);
    t_str(asked.host.hostname, "far");
    t_str(asked.host.known_hosts[0], known);
    t_has(asked.host.identity_files[0], home);
    ssh_host_done(&asked.host);

    mkdir(home, 0700);
    mkdir(folder, 0700);
    CLEAN(mem_free)
    char *config = write_config("home/.ssh/config", "Host far\n  HostName near\n  Port 99\n");
    ask(&asked, "far", &(struct ssh_options){0});
    t_eq(asked.result, 0);
    t_str(asked.host.hostname, "near");
    t_eq(asked.host.port, 99);
    t_str(asked.host.config_file, config);
    ssh_host_done(&asked.host);
}

T(ssh_says_why)
{
    need_ssh();
    CLEAN(mem_free) char *config = write_config("bad", "Host a\n  Nonsense yes\n  Port many\n");
    struct asked asked;

    ask(&asked, "a", &(struct ssh_options){.config_file = config});
    t_eq(asked.result, -ERR_INVALID);
    t_has(asked.op.fault.text, "line 2: Bad configuration option: nonsense");
    ask(&asked, "a", &(struct ssh_options){.config_file = "/nowhere/config"});
    t_eq(asked.result, -ERR_INVALID);
    t_has(asked.op.fault.text, "/nowhere/config");
}

T(ssh_warns)
{
    need_ssh();
    struct asked asked;

    ask(&asked, "a", &(struct ssh_options){.config_file = "none", .identity = "/nowhere/key"});
    t_eq(asked.result, 0);
    t_eq(asked.op.fault.code, 0);
    t_has(asked.op.fault.text, "/nowhere/key");
    ssh_host_done(&asked.host);
}

T(a_loop_of_jumps)
{
    need_ssh();
    CLEAN(mem_free)
    char *config = write_config("loop", "Host a\n  ProxyJump a\n");
    struct asked asked;

    ask(&asked, "a", &(struct ssh_options){.config_file = config});
    t_eq(asked.result, -ERR_INVALID);
    t_has(asked.op.fault.text, "loop");
}

T(without_ssh)
{
    struct asked asked;

    setenv("HOME", "/scratch", 1);
    setenv("SSH_AUTH_SOCK", "/run/agent", 1);
    ask(&asked, "ssh://bob@Box:2200", &(struct ssh_options){.ssh_program = "/nowhere/ssh"});
    t_eq(asked.result, 0);
    t_str(asked.op.fault.text, "");
    t_ok(!asked.host.from_ssh && asked.host.check_host_key && !asked.host.accept_new);
    t_str(asked.host.hostname, "box");
    t_str(asked.host.user, "bob");
    t_eq(asked.host.port, 2200);
    t_str(asked.host.identity_agent, "/run/agent");
    t_str(asked.host.identity_files[0], "/scratch/.ssh/id_ed25519");
    t_str(asked.host.known_hosts[0], "/scratch/.ssh/known_hosts");
    t_eq(asked.host.user_known_hosts_count, 2);
    ssh_host_done(&asked.host);

    ask(&asked, "box", &(struct ssh_options){.ssh_program = "/nowhere/ssh", .identity = "/k/mine"});
    t_eq(asked.host.identity_count, 1);
    t_str(asked.host.identity_files[0], "/k/mine");
    t_eq(asked.host.port, 22);
    ssh_host_done(&asked.host);
}

T(not_waited_for)
{
    CLEAN(loop_free) struct loop *loop = loop_new(LOOP_REAL);
    struct asked asked = {0};
    struct ssh_target target = {.host = (char[]){"box"}};
    CLEAN(mem_free) char *slow = write_config("slow", "#!/bin/sh\nexec cat >/dev/null <&2\n");

    chmod(slow, 0700);
    op_init(&asked.op, loop, on_done, 0);
    ssh_host_resolve(&asked.op, &target, &(struct ssh_options){.ssh_program = slow}, &asked.host);
    op_cancel(&asked.op);
    while (!asked.done)
        loop_turn(loop, true);
    t_eq(asked.result, -ERR_CANCELLED);

    asked.done = false;
    op_init(&asked.op, loop, on_done, 0);
    ssh_host_resolve(&asked.op, &target, &(struct ssh_options){.ssh_program = slow}, &asked.host);
    op_drop(&asked.op);
    loop_turn(loop, false);
    t_ok(!asked.done);
}

T(hangs)
{
    CLEAN(loop_free) struct loop *loop = loop_new(LOOP_VIRTUAL);
    struct asked asked = {0};
    struct ssh_target target = {.host = (char[]){"box"}};
    /* Its standard error is a pipe that nobody writes to. */
    CLEAN(mem_free) char *slow = write_config("hangs", "#!/bin/sh\nexec cat >/dev/null <&2\n");

    chmod(slow, 0700);
    op_init(&asked.op, loop, on_done, 0);
    ssh_host_resolve(&asked.op, &target, &(struct ssh_options){.ssh_program = slow}, &asked.host);
    loop_advance(loop, 9900);
    t_ok(!asked.done);
    loop_advance(loop, 200);
    t_ok(asked.done);
    t_eq(asked.result, -ERR_TIMEOUT);
    t_has(asked.op.fault.text, "Match exec");
}

T(floods)
{
    struct asked asked;
    CLEAN(mem_free)
    char *flood = write_config("flood", "#!/bin/sh\ni=0\nwhile [ $i -lt 9000 ]; do "
                                        "echo \"identityfile /k/0123456789012345678901234567890\"; "
                                        "i=$((i+1)); done\n");

    chmod(flood, 0700);
    ask(&asked, "box", &(struct ssh_options){.ssh_program = flood});
    t_eq(asked.result, -ERR_IO);
    t_ok(asked.host.hostname == NULL);
}
