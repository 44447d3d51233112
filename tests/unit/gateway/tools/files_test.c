/* read, write, edit, ls, as an agent has them. */
#include "tests/unit/gateway/tools/kit.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char *in_workspace(struct tool_rig *t, const char *name)
{
    return mem_format("%s/workspace/%s", t->rig->dir, name);
}

static void put(struct tool_rig *t, const char *name, const void *data, size_t length)
{
    CLEAN(mem_free) char *folder = in_workspace(t, ""), *path = in_workspace(t, name);
    FILE *file;

    (void)mkdir(folder, 0700);
    file = fopen(path, "w");
    t_ok(file != NULL);
    t_eq(fwrite(data, 1, length, file), length);
    (void)fclose(file);
}

T(write_read_edit_list)
{
    struct tool_rig *t = tool_rig_new(NULL);

    t_has(tool_rig_run(t, "write", "{'path':'notes/a.md','content':'one\\ntwo\\n'}"), "8 bytes");
    t_ok(!t->is_error);
    t_str(tool_rig_run(t, "read", "{'path':'notes/a.md'}"), "one\ntwo\n");
    tool_rig_run(t, "edit", "{'path':'notes/a.md','edits':[{'oldText':'two','newText':'2'}]}");
    t_ok(!t->is_error);
    t_str(tool_rig_run(t, "read", "{'path':'notes/a.md'}"), "one\n2\n");
    t_str(tool_rig_run(t, "ls", "{}"), "notes/\n");
    t_str(tool_rig_run(t, "ls", "{'path':'notes'}"), "a.md\n");
    tool_rig_free(t);
}

T(lines)
{
    struct tool_rig *t = tool_rig_new(NULL);

    put(t, "l", "a\nb\nc\nd", 7);
    t_str(tool_rig_run(t, "read", "{'path':'l','offset':2,'limit':2}"),
          "b\nc\n\n[lines 2 to 3 of 4; go on with offset 4]");
    t_str(tool_rig_run(t, "read", "{'path':'l','offset':4}"), "d\n[lines 4 to 4 of 4]");
    t_has(tool_rig_run(t, "read", "{'path':'l','offset':5}"), "only 4 lines");
    t_ok(t->is_error && t->result == 0);
    put(t, "empty", "", 0);
    t_str(tool_rig_run(t, "read", "{'path':'empty'}"), "");
    t_ok(!t->is_error);
    tool_rig_free(t);
}

T(nothing_outside)
{
    static const char *const paths[] = {
        "../culvert.json", "/etc/passwd",        "out",  "dir/passwd",
        "a/../../x",       "/proc/self/environ", "pipe", "."};
    struct tool_rig *t = tool_rig_new(NULL);
    CLEAN(mem_free) char *out = in_workspace(t, "out"), *dir = in_workspace(t, "dir");
    CLEAN(mem_free) char *pipe = in_workspace(t, "pipe");

    put(t, "x", "x", 1);
    t_eq(symlink("/etc/passwd", out), 0);
    t_eq(symlink("/etc", dir), 0);
    t_eq(mkfifo(pipe, 0600), 0);
    for (size_t i = 0; i < COUNT(paths); i++) {
        CLEAN(mem_free) char *read = mem_format("{'path':'%s'}", paths[i]);
        CLEAN(mem_free) char *write = mem_format("{'path':'%s','content':'x'}", paths[i]);

        tool_rig_run(t, "read", read);
        t_ok(t->is_error);
        t_ok(!strstr(t->text, "root:"));
        tool_rig_run(t, "write", write);
        t_ok(t->is_error);
    }
    tool_rig_free(t);
}

T(what_is_no_text)
{
    struct tool_rig *t = tool_rig_new(NULL);
    struct json *image;

    put(t, "b", "a\0b", 3);
    t_has(tool_rig_run(t, "read", "{'path':'b'}"), "binary file");
    t_ok(t->is_error);
    put(t, "latin", "caf\xe9", 4);
    t_str(tool_rig_run(t, "read", "{'path':'latin'}"), "caf\xef\xbf\xbd");
    {
        CLEAN(mem_free) char *broken = mem_new(100000); /* each byte becomes three */

        memset(broken, 0xe9, 100000);
        put(t, "broken", broken, 100000);
        tool_rig_run(t, "read", "{'path':'broken'}");
        t_ok(json_is_utf8(t->text, strlen(t->text)));
        t_ok(strlen(t->text) <= TOOL_RESULT_MAX);
        memset(broken + 70000, 0, 100); /* a NUL past what is looked at for them */
        memset(broken, 'x', 70000);
        put(t, "late", broken, 100000);
        tool_rig_run(t, "read", "{'path':'late'}");
        t_ok(json_is_utf8(t->text, strlen(t->text)));
    }
    put(t, "p.png", "\x89PNG\r\n\x1a\nrest", 12);
    tool_rig_run(t, "read", "{'path':'p.png'}");
    t_ok(!t->is_error);
    image = json_edit_at(t->content, 1);
    t_str(json_string(json_get(image, "type"), ""), "image");
    t_str(json_string(json_get(image, "mimeType"), ""), "image/png");
    t_str(json_string(json_get(image, "data"), ""), "iVBORw0KGgpyZXN0");
    tool_rig_free(t);
}

T(long_results_say_so)
{
    struct tool_rig *t = tool_rig_new(NULL);
    size_t length = 1 << 20;
    char *big = mem_new(length);

    memset(big, 'x', length);
    put(t, "one-line", big, length);
    tool_rig_run(t, "read", "{'path':'one-line'}");
    t_ok(strlen(t->text) <= TOOL_RESULT_MAX);
    t_has(t->text, "bytes were cut out here");
    for (size_t i = 79; i < length; i += 80)
        big[i] = '\n';
    put(t, "many-lines", big, length);
    tool_rig_run(t, "read", "{'path':'many-lines'}");
    t_ok(strlen(t->text) <= TOOL_RESULT_MAX);
    t_has(t->text, "go on with offset");
    mem_free(big);
    {
        CLEAN(mem_free) char *path = in_workspace(t, "huge");
        int r = truncate(path, 0);

        (void)r;
        put(t, "huge", "x", 1);
        t_eq(truncate(path, 1LL << 34), 0);
    }
    t_has(tool_rig_run(t, "read", "{'path':'huge'}"), "more than the");
    t_ok(t->is_error);
    tool_rig_free(t);
}

T(bad_arguments)
{
    static const struct {
        const char *tool, *arguments;
    } cases[] = {
        {"read", "{}"},
        {"read", "{'path':5}"},
        {"read", "{'path':''}"},
        {"read", "{'path':'x','offset':0}"},
        {"write", "{'path':'x'}"},
        {"write", "{'path':'x','content':null}"},
        {"edit", "{'path':'x'}"},
        {"edit", "{'path':'x','edits':[{'oldText':'a'}]}"},
        {"edit", "{'path':'x','edits':'a'}"},
        {"ls", "{'path':[]}"},
    };
    struct tool_rig *t = tool_rig_new(NULL);

    for (size_t i = 0; i < COUNT(cases); i++) {
        tool_rig_run(t, cases[i].tool, cases[i].arguments);
        t_eq(t->result, -ERR_INVALID);
        t_ok(t->is_error);
    }
    tool_rig_free(t);
}

T(cancelled_while_the_pool_works)
{
    struct tool_rig *t = tool_rig_new(NULL);

    put(t, "x", "x", 1);
    tool_rig_start(t, (struct tool_request){.name = "read"}, "{'path':'x'}");
    tool_cancel(t->call);
    t_eq(t->ends, 0);
    tool_rig_wait(t);
    t_eq(t->result, -ERR_CANCELLED);
    tool_rig_start(t, (struct tool_request){.name = "read"}, "{'path':'x'}");
    tool_drop(t->call);
    tool_rig_free(t);
}
