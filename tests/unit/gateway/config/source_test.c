/* Includes, variables, secret references, and on which line things stand. */
#include "gateway/config/config.h"

#include "gateway/config/lines.h"
#include "gateway/config/snapshot.h"
#include "tests/unit/gateway/config/kit.h"

#include <unistd.h>

static struct snapshot *read_text(const char *text)
{
    return snapshot_read(kit_file("culvert.json", text));
}

static const char *first_issue(const struct snapshot *s)
{
    static char text[1024];

    text[0] = '\0';
    if (s->issues.count) {
        char *one = issue_text(&s->issues.items[0]);
        snprintf(text, sizeof(text), "%s", one);
        mem_free(one);
    }
    return text;
}

T(include_merges_and_siblings_win)
{
    kit_file("a.json5", "{gateway:{port:1,bind:'lan'},hooks:{presets:['a']}}");
    kit_file("b.json5", "{gateway:{port:2},hooks:{presets:['b']}}");
    struct snapshot *s = read_text(
        "{$include:['./a.json5','b.json5'], gateway:{bind:'auto'}, hooks:{presets:['c']}}");

    t_str(first_issue(s), "");
    char *merged = json_print(s->merged, false);
    t_json(merged, "{'gateway':{'port':2,'bind':'auto'},'hooks':{'presets':['a','b','c']}}");
    mem_free(merged);
    t_ok(json_get(s->parsed, "$include") != NULL);
    t_eq(s->sources.count, 3);
    snapshot_free(s);
}

T(include_below_the_top_and_its_lines)
{
    kit_file("auth.json5", "{\n\n  token: 'x',\n  tokn: 1 }");
    struct snapshot *s =
        read_text("{gateway:{\n auth:{ $include: 'auth.json5', mode: 'token' } } }");

    t_eq(s->issues.count, 1);
    t_str(s->issues.items[0].path, "gateway.auth.tokn");
    t_eq(s->issues.items[0].line, 4);
    t_has(s->issues.items[0].file, "auth.json5");
    snapshot_free(s);
}

T(include_inside_a_list_and_its_lines)
{
    kit_file("agent.json5", "{ id: 'a',\n\n modle: 'x' }");
    struct snapshot *s = read_text("{agents:{list:[{id:'b'},{$include:'agent.json5'}]}}");

    t_eq(s->issues.count, 1);
    t_str(s->issues.items[0].path, "agents.list.1.modle");
    t_eq(s->issues.items[0].line, 3);
    t_has(s->issues.items[0].file, "agent.json5");
    snapshot_free(s);
}

static const struct {
    const char *root, *says;
} include_refusals[] = {
    {"{\n$include:'loop.json5'}", "includes itself"},
    {"{$include:'culvert.json'}", "includes itself"},
    {"{$include:'none.json5'}", "cannot include"},
    {"{$include:'/etc/passwd'}", "lies outside"},
    {"{$include:'../../../../../etc/passwd'}", "lies outside"},
    {"{$include:'link.json5'}", "lies outside"},
    {"{$include:5}", "expected a file name"},
    {"{$include:'broken.json5'}", "broken.json5: line 1, column"},
    {"{$include:'list.json5', gateway:{}}", "not an object"},
    {"{$include:'deep0.json5'}", "too many included files"},
};

T(include_refusals_name_the_cause_and_no_content)
{
    char name[32], text[64], link[600];

    kit_file("loop.json5", "{$include:'loop2.json5'}");
    kit_file("loop2.json5", "{$include:'loop.json5'}");
    kit_file("broken.json5", "hunter2secret: 1");
    kit_file("list.json5", "[1]");
    snprintf(link, sizeof(link), "%s/link.json5", t_tmpdir());
    t_eq(symlink("/etc/hostname", link), 0);
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof(name), "deep%d.json5", i);
        snprintf(text, sizeof(text), "{$include:'deep%d.json5'}", i + 1);
        kit_file(name, text);
    }
    for (size_t i = 0; i < COUNT(include_refusals); i++) {
        struct snapshot *s = read_text(include_refusals[i].root);
        t_has(first_issue(s), include_refusals[i].says);
        t_ok(!strstr(first_issue(s), "hunter2secret"));
        snapshot_free(s);
    }
}

T(variables_and_their_escape)
{
    setenv("CFG_TEST_A", "alpha", 1);
    struct snapshot *s = read_text("{gateway:{auth:{token:'x${CFG_TEST_A}y${CFG_TEST_A}'},"
                                   "customBindHost:'$${CFG_TEST_A} $ ${lower} ${'}}");

    t_str(first_issue(s), "");
    t_str(json_string(json_path(s->tree, "gateway.auth.token"), ""), "xalphayalpha");
    t_str(json_string(json_path(s->tree, "gateway.customBindHost"), ""),
          "${CFG_TEST_A} $ ${lower} ${");
    t_str(json_string(json_path(s->merged, "gateway.auth.token"), ""),
          "x${CFG_TEST_A}y${CFG_TEST_A}");
    snapshot_free(s);
}

T(missing_variable_names_path_line_and_variable)
{
    unsetenv("CFG_TEST_NONE");
    struct snapshot *s = read_text("{\n gateway:{\n auth:{\n token:'${CFG_TEST_NONE}'}}}");

    t_has(first_issue(s), "culvert.json:4: gateway.auth.token: the environment variable "
                          "CFG_TEST_NONE is not set");
    snapshot_free(s);
}

T(secret_references)
{
    char text[900];
    const char *file = kit_file("secret.txt", "file-secret\n");

    setenv("CFG_TEST_B", "env-secret", 1);
    snprintf(text, sizeof(text),
             "{gateway:{auth:{token:{source:'env',provider:'default',id:'CFG_TEST_B'},"
             "password:{source:'file',path:'%s'}}}}",
             file);
    struct snapshot *s = read_text(text);
    t_str(first_issue(s), "");
    t_str(json_string(json_path(s->tree, "gateway.auth.token"), ""), "env-secret");
    t_str(json_string(json_path(s->tree, "gateway.auth.password"), ""), "file-secret");
    snapshot_free(s);

    t_eq(chmod(file, 0640), 0);
    s = read_text(text);
    t_has(first_issue(s), "may be read by others (mode 0640): chmod 600 it");
    snapshot_free(s);

    s = read_text("{gateway:{auth:{token:{source:'exec',id:'x'}}}}");
    t_has(first_issue(s), "gateway.auth.token: only secrets with source env or file");
    snapshot_free(s);
    s = read_text("{gateway:{auth:{token:{source:'file',path:'/none/such'}}}}");
    t_has(first_issue(s), "cannot open /none/such");
    snapshot_free(s);
}

T(unused_sections_need_no_variables)
{
    unsetenv("CFG_TEST_NONE");
    struct snapshot *s = read_text("{talk:{apiKey:'${CFG_TEST_NONE}'}}");

    t_eq(s->issues.count, 0);
    t_eq(s->warnings.count, 1);
    snapshot_free(s);
}

T(a_large_file_is_refused)
{
    char *big = mem_new((1 << 20) + 16);

    memset(big, ' ', (1 << 20) + 10);
    memcpy(big, "{}", 2);
    struct snapshot *s = read_text(big);
    t_has(first_issue(s), "larger than");
    snapshot_free(s);
    mem_free(big);
}

T(a_file_that_others_can_read_or_change_is_said)
{
    static const struct {
        const char *text;
        unsigned mode;
        const char *says;
    } rows[] = {
        {"{gateway:{auth:{token:'x'}}}", 0644, "others can read the secrets"},
        {"{gateway:{auth:{token:'x'}}}", 0600, NULL},
        {"{gateway:{auth:{token:'${HOME}'}}}", 0644, NULL},
        {"{}", 0664, "others can change this file"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *path = kit_file("mode.json", rows[i].text);
        t_eq(chmod(path, rows[i].mode), 0);
        struct snapshot *s = snapshot_read(path);
        t_eq(s->warnings.count, rows[i].says != NULL);
        if (rows[i].says && s->warnings.count)
            t_has(s->warnings.items[0].message, rows[i].says);
        snapshot_free(s);
    }
}

T(too_much_is_refused_soon)
{
    CLEAN(buf_done) struct buf many;

    buf_init(&many, 1 << 20);
    buf_add_char(&many, '{');
    for (int i = 0; i < 1900; i++) /* unknown, but not too many */
        buf_addf(&many, "k%d:1,\n", i);
    buf_add_str(&many, "}");
    struct snapshot *s = read_text(many.data);
    t_eq(s->issues.count, ISSUES_MAX);
    t_eq(s->issues.total, 1900);
    snapshot_free(s);
    many.length -= 1;
    for (int i = 0; i < 200; i++)
        buf_addf(&many, "l%d:1,", i);
    buf_add_str(&many, "}");
    s = read_text(many.data);
    t_has(first_issue(s), "members in one object");
    snapshot_free(s);
}

T(lines_are_found_past_comments_and_strings)
{
    const char *text =
        "\xef\xbb\xbf// {a:\n/* b:\n */ {\n 'x\\'y': '}{', \"a\": [1,\n {b: 2}, [3],\n"
        "{c:\n-1.5e3}], d: 'line\\\nbroken', e: +1}";
    struct step a = {NULL, "a", 0}, one = {&a, NULL, 1}, b = {&one, "b", 0}, three = {&a, NULL, 3},
                c = {&three, "c", 0}, d = {NULL, "d", 0}, e = {NULL, "e", 0}, no = {NULL, "b", 0};
    const struct {
        const struct step *at;
        int line;
    } rows[] = {{NULL, 3}, {&a, 4}, {&one, 5}, {&b, 5}, {&three, 6},
                {&c, 6},   {&d, 7}, {&e, 8},   {&no, 0}};

    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct step *steps[8];
        size_t count = step_list(rows[i].at, steps, 8);
        t_eq(lines_find(text, strlen(text), steps, count), rows[i].line);
    }
}
