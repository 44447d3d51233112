/* Being let in, or not and why: agents, keys with a passphrase, passwords. A real sshd and a real ssh-agent. */
#include "tests/wire/tunnel/ssh_kit.h"

struct agent_program {
    char path[300];
    pid_t pid;
};

static void agent_begin(struct kit *k, struct agent_program *agent)
{
    const char *argv[] = {"ssh-agent", "-D", "-a", agent->path, NULL};
    posix_spawn_file_actions_t actions;

    (void)snprintf(agent->path, sizeof agent->path, "%s/agent", k->rig->folder);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    require(posix_spawnp(&agent->pid, argv[0], &actions, NULL, (char *const *)(const void *)argv,
                         environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    KIT_UNTIL(k, access(agent->path, F_OK) == 0);
    (void)setenv("SSH_AUTH_SOCK", agent->path, 1); /* for ssh-add */
}

static void agent_end(struct agent_program *agent)
{
    (void)unsetenv("SSH_AUTH_SOCK");
    (void)kill(agent->pid, SIGKILL);
    (void)waitpid(agent->pid, NULL, 0);
}

static void agent_add(struct kit *k, const char *name)
{
    const char *argv[] = {"ssh-add", "-q", sshd_rig_path(k->rig, name), NULL};

    t_eq(sshd_rig_run(argv), 0);
}

/* Other lines than the rig's. */
static void client_config(struct kit *k, const char *lines)
{
    char *text =
        mem_format("%sHost *\nUserKnownHostsFile %s/known_hosts\nGlobalKnownHostsFile /dev/null\n"
                   "StrictHostKeyChecking yes\n",
                   lines, k->rig->folder);

    sshd_rig_write(k->rig, "ssh_config", text);
    mem_free(text);
}

static char *lines(const char *format, ...) PRINTF(1, 2);
static char *lines(const char *format, ...)
{
    static char text[2048];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return text;
}

T(the_agent_signs)
{
    struct kit *k = kit_new("");
    struct agent_program agent;
    struct ssh_facts facts;

    agent_begin(k, &agent);
    sshd_rig_key(k->rig, "held", "ecdsa", "");
    sshd_rig_write(k->rig, "authorized_keys", "");
    sshd_rig_authorize(k->rig, "held", "");
    agent_add(k, "held");
    client_config(k, lines("IdentityAgent %s\nIdentityFile /nonexistent\n", agent.path));
    t_eq(kit_open(k), 0);
    t_str(k->why.text, "");
    ssh_facts(k->ssh, &facts);
    t_has(facts.key, "SHA256:");
    kit_free(k);
    agent_end(&agent);
}

/* 20 keys and sshd's 6 tries: the one that IdentityFile names goes first; without a name it says what to do. */
T(an_agent_with_twenty_keys)
{
    struct kit *k = kit_new("MaxAuthTries 6\n");
    struct agent_program agent;
    char name[32];

    agent_begin(k, &agent);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof name, "many%d", i);
        sshd_rig_key(k->rig, name, "ed25519", "");
        agent_add(k, name);
    }
    sshd_rig_write(k->rig, "authorized_keys", "");
    sshd_rig_authorize(k->rig, "many17", "");
    client_config(
        k, lines("IdentityAgent %s\nIdentityFile %s/many17.pub\n", agent.path, k->rig->folder));
    t_eq(kit_open(k), 0);
    t_str(k->why.text, "");
    kit_close(k);
    client_config(k, lines("IdentityAgent %s\nIdentityFile %s/many17.pub\nIdentitiesOnly yes\n",
                           agent.path, k->rig->folder));
    t_eq(kit_open(k), 0);
    kit_close(k);
    client_config(k, lines("IdentityAgent %s\nIdentityFile /nonexistent\n", agent.path));
    t_eq(kit_open(k), -ERR_AUTH);
    t_has(k->why.text, "MaxAuthTries");
    t_has(k->why.text, "IdentitiesOnly");
    kit_free(k);
    agent_end(&agent);
}

T(a_passphrase_is_asked_once)
{
    struct kit *k = kit_new("");

    sshd_rig_key(k->rig, "locked", "ed25519", "correct horse");
    sshd_rig_write(k->rig, "authorized_keys", "");
    sshd_rig_authorize(k->rig, "locked", "");
    client_config(k, lines("IdentityAgent none\nIdentityFile %s/locked\n", k->rig->folder));
    k->answer = "correct horse";
    t_eq(kit_open(k), 0);
    t_str(k->why.text, "");
    t_eq(k->asked, 1);
    t_has(k->prompts, "Passphrase of the key");
    kit_close(k);
    k->answer = "not needed";
    t_eq(kit_open(k), 0); /* a reconnect does not ask */
    t_eq(k->asked, 1);
    kit_free(k);
}

T(a_wrong_passphrase_and_nobody_to_ask)
{
    struct kit *k = kit_new("");

    sshd_rig_key(k->rig, "locked", "ed25519", "correct horse");
    sshd_rig_write(k->rig, "authorized_keys", "");
    sshd_rig_authorize(k->rig, "locked", "");
    client_config(k, lines("IdentityAgent none\nIdentityFile %s/locked\n", k->rig->folder));
    k->answer = "battery staple";
    t_eq(kit_open(k), -ERR_AUTH);
    t_eq(k->asked, 3);
    t_has(k->why.text, "wrong passphrase");
    t_ok(strstr(k->why.text, "battery") == NULL);
    kit_close(k);
    k->policy.ask = NULL;
    t_eq(kit_open(k), -ERR_AUTH);
    t_has(k->why.text, "needs its passphrase");
    kit_free(k);
}

/* A locked key that the server would not take anyway is not worth a question. */
T(no_question_for_a_key_that_is_not_wanted)
{
    struct kit *k = kit_new("");

    sshd_rig_key(k->rig, "locked", "ed25519", "correct horse");
    client_config(k, lines("IdentityAgent none\nIdentityFile %s/locked\n", k->rig->folder));
    t_eq(kit_open(k), -ERR_AUTH);
    t_eq(k->asked, 0);
    t_has(k->why.text, "not accepted");
    t_has(k->why.text, "It takes: publickey");
    kit_free(k);
}

T(a_question_that_outlives_its_session)
{
    struct kit *k = kit_new("");

    sshd_rig_key(k->rig, "locked", "ed25519", "correct horse");
    sshd_rig_authorize(k->rig, "locked", "");
    client_config(k, lines("IdentityAgent none\nIdentityFile %s/locked\n", k->rig->folder));
    kit_start(k);
    KIT_UNTIL(k, k->question != NULL);
    kit_close(k);
    KIT_UNTIL(k, k->ended);
    ssh_answer(k->question, "correct horse");
    kit_free(k);
}

T(an_agent_that_hangs_does_not_hold_us)
{
    struct kit *k = kit_new("");
    struct agent_program agent;

    agent_begin(k, &agent);
    (void)kill(agent.pid, SIGSTOP);
    client_config(
        k, lines("IdentityAgent %s\nIdentityFile %s/id_ed25519\n", agent.path, k->rig->folder));
    t_eq(kit_open(k), 0); /* after AGENT_LIST_MS, with the file */
    kit_free(k);
    agent_end(&agent);
}

/* ---- passwords: crypt("correct horse") ---- */

#define HORSE                                                                                      \
    "$6$culvert$EQDjU4kRMHeu86TqKPDyQO/"                                                           \
    "NLdRZyHweXGmkAPTIOScjk2ORfqpq7rshJjjOzYw1.RvKKo0GIAOv6fgBgdFsS0"

static struct kit *kit_password(const char *sshd_extra)
{
    struct kit *k = kit_new(sshd_extra);

    if (!sshd_rig_password(k->rig, HORSE)) {
        kit_free(k);
        t_skip("needs root and mount namespaces for a password of its own");
        return NULL;
    }
    client_config(k, lines("IdentityAgent none\nIdentityFile /nonexistent\n"));
    k->policy.password = true;
    k->answer = "correct horse";
    return k;
}

T(a_password_when_it_was_asked_for)
{
    struct kit *k = kit_password("PasswordAuthentication yes\n");

    k->policy.password = false;
    t_eq(kit_open(k), -ERR_AUTH); /* not by itself */
    t_eq(k->asked, 0);
    t_has(k->why.text, "--password");
    kit_close(k);
    k->policy.password = true;
    t_eq(kit_open(k), 0);
    t_str(k->why.text, "");
    t_eq(k->asked, 1);
    t_has(k->prompts, "Password of ");
    kit_close(k);
    t_eq(kit_open(k), 0);
    t_eq(k->asked, 1); /* remembered */
    kit_free(k);
}

T(a_wrong_password)
{
    struct kit *k = kit_password("PasswordAuthentication yes\n");

    k->answer = "battery staple";
    t_eq(kit_open(k), -ERR_AUTH);
    t_eq(k->asked, 3);
    t_has(k->why.text, "password (wrong)");
    t_ok(strstr(k->why.text, "battery") == NULL);
    kit_free(k);
}

T(questions_of_the_server)
{
    struct kit *k = kit_password("UsePAM yes\nKbdInteractiveAuthentication yes\n");

    t_eq(kit_open(k), 0);
    t_str(k->why.text, "");
    t_eq(k->asked, 1);
    t_has(k->prompts, "assword");
    kit_close(k);
    k->answer = NULL; /* closed while somebody should answer */
    kit_start(k);
    KIT_UNTIL(k, k->question != NULL);
    kit_close(k);
    KIT_UNTIL(k, k->ended);
    ssh_answer(TAKE(k->question), "too late");
    kit_start(k); /* and nobody does */
    KIT_UNTIL(k, k->question != NULL);
    ssh_answer(TAKE(k->question), NULL);
    for (int i = 0; i < 2; i++) {
        KIT_UNTIL(k, k->question != NULL || k->ended);
        if (k->question != NULL)
            ssh_answer(TAKE(k->question), NULL);
    }
    KIT_UNTIL(k, k->ended);
    t_eq(k->result, -ERR_AUTH);
    kit_free(k);
}
