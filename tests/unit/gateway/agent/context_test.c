/* The system prompt and the files of a workspace. */
#include "gateway/agent/context.h"

#include "base/json.h"
#include "base/mem.h"
#include "tests/t.h"

#include <sys/stat.h>
#include <unistd.h>

static char *folder(void)
{
    static int count;
    char *path = mem_format("%s/w%d", t_tmpdir(), count++);

    t_eq(mkdir(path, 0700), 0);
    return path;
}

static void put(const char *root, const char *name, const char *text, size_t length)
{
    CLEAN(mem_free) char *path = mem_format("%s/%s", root, name);
    FILE *file = fopen(path, "w");

    t_ok(file != NULL);
    t_eq(fwrite(text, 1, length, file), length);
    (void)fclose(file);
}

static void put_text(const char *root, const char *name, const char *text)
{
    put(root, name, text, strlen(text));
}

static char *reads(const char *root, enum context_reader reader, size_t each, size_t all)
{
    struct buf out;
    char *text;

    buf_init(&out, CONTEXT_SYSTEM_MAX);
    context_read(root, reader, each, all, &out);
    text = buf_take(&out);
    t_ok(text && json_is_utf8(text, strlen(text)));
    return text;
}

T(files_in_their_order_and_only_those_that_are_there)
{
    CLEAN(mem_free) char *root = folder();

    put_text(root, "USER.md", "likes tea");
    put_text(root, "AGENTS.md", "be kind\n\n");
    put_text(root, "SOUL.md", "a dry wit");
    put_text(root, "README.md", "not for agents");
    put_text(root, "IDENTITY.md", "   \n"); /* empty: as if it were not there */
    CLEAN(mem_free) char *text = reads(root, CONTEXT_OWNER, 20000, 60000);
    t_str(text, "\n## AGENTS.md\nbe kind\n\n## SOUL.md\na dry wit\n\n## USER.md\nlikes tea\n");
}

T(who_reads_decides_what_is_shown)
{
    static const struct {
        const char *key;
        enum context_reader reader;
        const char *shown, *hidden;
    } cases[] = {
        {"agent:main:main", CONTEXT_OWNER, "MEMORY.md", NULL},
        {"agent:main:telegram:group:7", CONTEXT_GROUP, "USER.md", "MEMORY.md"},
        {"agent:main:discord:channel:7", CONTEXT_GROUP, "TOOLS.md", "MEMORY.md"},
        {"agent:main:cron:daily", CONTEXT_CRON, "USER.md", "TOOLS.md"},
        {"agent:main:subagent:1", CONTEXT_HELPER, "AGENTS.md", "SOUL.md"},
    };
    static const char *const names[] = {"AGENTS.md", "SOUL.md",   "TOOLS.md",
                                        "USER.md",   "MEMORY.md", "IDENTITY.md"};
    CLEAN(mem_free) char *root = folder();

    for (size_t i = 0; i < COUNT(names); i++)
        put_text(root, names[i], "text");
    for (size_t i = 0; i < COUNT(cases); i++) {
        t_eq(context_reader_of(cases[i].key), cases[i].reader);
        CLEAN(mem_free) char *text = reads(root, cases[i].reader, 20000, 60000);
        t_has(text, cases[i].shown);
        t_ok(!cases[i].hidden || !strstr(text, cases[i].hidden));
    }
}

/* Both ceilings cut at whole characters and say so. */
T(long_files_are_cut_and_it_is_said)
{
    CLEAN(mem_free) char *root = folder();
    struct buf b;

    buf_init(&b, 1 << 20);
    buf_add_str(&b, "the beginning ");
    while (b.length < 9000)
        buf_add_str(&b, "é€😀");
    buf_add_str(&b, " the end");
    put(root, "AGENTS.md", b.data, b.length);
    put(root, "SOUL.md", b.data, b.length);
    put(root, "TOOLS.md", b.data, b.length);
    put(root, "USER.md", b.data, b.length);
    buf_done(&b);
    for (size_t each = 997; each < 1003; each++) {
        CLEAN(mem_free) char *text = reads(root, CONTEXT_OWNER, each, 1 << 20);
        t_has(text, "the beginning");
        t_has(text, " the end");
        t_has(text, "of AGENTS.md are left out here");
        t_ok(strlen(text) < 4 * (each + 200));
    }
    CLEAN(mem_free) char *all = reads(root, CONTEXT_OWNER, 5000, 8050);
    t_has(all, "of SOUL.md are left out here");
    t_has(all, "## TOOLS.md\n[not shown: no room left");
    CLEAN(mem_free) char *user = reads(root, CONTEXT_OWNER, 20000, 60000);
    t_has(user, "of USER.md are left out here"); /* its own, smaller ceiling */
}

T(what_cannot_be_shown_is_said)
{
    CLEAN(mem_free) char *root = folder();
    CLEAN(mem_free) char *away = mem_format("%s/AGENTS.md", root);
    CLEAN(mem_free) char *fifo = mem_format("%s/TOOLS.md", root);
    CLEAN(mem_free) char *inside = mem_format("%s/SOUL.md", root);
    CLEAN(mem_free) char *sub = mem_format("%s/USER.md", root);

    put_text(t_tmpdir(), "secret", "top secret");
    put_text(root, "real.md", "a soul by way of a link inside");
    t_eq(symlink("../secret", away), 0);
    t_eq(symlink("real.md", inside), 0);
    t_eq(mkfifo(fifo, 0600), 0);
    t_eq(mkdir(sub, 0700), 0);
    put(root, "IDENTITY.md", "\xff\xfe\x00z", 4);
    CLEAN(mem_free) char *text = reads(root, CONTEXT_OWNER, 20000, 60000);
    t_ok(!strstr(text, "top secret"));
    t_has(text, "## AGENTS.md\n[not shown: AGENTS.md: it leads out of the workspace]");
    t_has(text, "by way of a link inside");
    t_has(text, "TOOLS.md: it is not a file");
    t_has(text, "USER.md: it is not a file");
    t_has(text, "IDENTITY.md: it is not UTF-8 text");
}

T(a_workspace_that_is_gone_is_said)
{
    CLEAN(mem_free) char *text = reads("/nowhere/at/all", CONTEXT_OWNER, 100, 100);

    t_has(text, "cannot be read");
}

T(the_system_prompt_tells_what_it_knows)
{
    CLEAN(mem_free)
    char *all = context_system(&(struct context_facts){.name = "Ada",
                                                       .workspace = "/w",
                                                       .model = "p/m",
                                                       .files = "\n## SOUL.md\ndry\n",
                                                       .extra = "Speak French.",
                                                       .now = 1700000000000,
                                                       .tools = true});
    CLEAN(mem_free) char *none = context_system(&(struct context_facts){0});

    t_has(all, "You are Ada");
    t_has(all, "/w");
    t_has(all, "# Tools");
    t_has(all, "## SOUL.md\ndry");
    t_has(all, "Tuesday, 2023-11-14");
    t_ok(strstr(all, "Speak French.") > strstr(all, "2023-11-14"));
    t_has(none, "You are Assistant");
    t_ok(!strstr(none, "# Tools") && !strstr(none, "# Workspace") && !strstr(none, "Today"));
}
