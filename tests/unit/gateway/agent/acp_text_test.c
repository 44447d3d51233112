/* A program's last words, without what nobody should read; and its tools' output. */
#include "gateway/agent/acp.h"

#include "base/mem.h"
#include "tests/t.h"

#include <signal.h>

T(secrets_do_not_show)
{
    char path[] = "PATH=/usr/bin", key[] = "MY_KEY=very secret value", brief[] = "SHORT=abc";
    char *envp[] = {path, key, brief, NULL};
    const struct acp_program program = {.envp = envp, .inherited = 1};
    static const char *const cases[][2] = {
        {"plain words stay", "plain words stay"},
        {"it said very secret value!", "it said ***!"},
        {"abc is a word", "abc is a word"},
        {"api_key=sk-abcdef0123456789 bad", "api_key=*** bad"},
        {"Authorization: Bearer abc.def.ghijkl", "Authorization: Bearer ***"},
        {"using sk-proj-0123456789abcdef", "using ***"},
        {"\"token\":\"0123456789\"", "\"token\":\"***\""},
        {"Unexpected token < in JSON at 0", "Unexpected token < in JSON at 0"},
        {"tokens used: 1200", "tokens used: 1200"},
        {"eyJhbGciOiJIUzI1NiJ9.e30.abc", "***"},
        {"\x1b[31mred\x07", " [31mred "},
        {"in /usr/bin/node", "in /usr/bin/node"},
        {"gr\xC3\xB6\xC3\x9F"
         "er",
         "gr\xC3\xB6\xC3\x9F"
         "er"},
    };
    char out[128];

    for (size_t i = 0; i < COUNT(cases); i++) {
        acp_text_clean(&program, cases[i][0], strlen(cases[i][0]), out, sizeof(out));
        t_str(out, cases[i][1]);
    }
}

T(cut_between_characters)
{
    const struct acp_program program = {0};
    char out[6];

    acp_text_clean(&program, "abcd\xC3\xB6", 6, out, sizeof(out));
    t_str(out, "abcd");
    acp_text_clean(&program, "ab\xff\xfe", 4, out, sizeof(out));
    t_str(out, "ab");
}

T(how_it_ended)
{
    char out[64];

    acp_text_end(3, 0, out, sizeof(out));
    t_str(out, "exit status 3");
    acp_text_end(0, SIGKILL, out, sizeof(out));
    t_str(out, "killed by SIGKILL");
    acp_text_end(0, 999, out, sizeof(out));
    t_str(out, "killed by signal 999");
}

static void outputs(const char *update, const char *expected)
{
    CLEAN(mem_free) char *copy = mem_string(update);
    CLEAN(json_free) struct json *tree = NULL;
    CLEAN(mem_free) char *text = NULL;

    for (char *c = copy; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    tree = json_parse(copy, strlen(copy), NULL);
    text = acp_text_output(tree);
    t_str(text ? text : "none", expected);
}

T(what_tools_put_out)
{
    outputs("{}", "none");
    outputs("{'content':[]}", "none");
    outputs("{'content':null,'rawOutput':null}", "none");
    outputs("{'content':[{'type':'content','content':{'type':'text','text':'a'}},"
            "{'type':'content','content':{'type':'text','text':'b'}}]}",
            "a\nb");
    outputs("{'content':[{'type':'diff','path':'/x','oldText':'a','newText':'b'},"
            "{'type':'diff','path':'/y','newText':'b'}]}",
            "changed /x\nwrote /y");
    outputs("{'content':[{'type':'content','content':{'type':'image','data':'x'}},"
            "{'type':'terminal','terminalId':'t'}]}",
            "[image]\n[terminal]");
    outputs("{'rawOutput':{'a':1}}", "{\"a\":1}");
    outputs("{'rawOutput':'words'}", "words");
    outputs("{'content':'nonsense','rawOutput':7}", "7");
}

T(long_output_loses_its_middle)
{
    struct buf b;
    CLEAN(json_free) struct json *tree = NULL;
    CLEAN(mem_free) char *text = NULL;

    buf_init(&b, 1u << 20);
    buf_add_str(&b, "{\"rawOutput\":\"begin");
    for (int i = 0; i < 100000; i++)
        buf_add_str(&b, "\xC3\xB6");
    buf_add_str(&b, "end\"}");
    tree = json_parse(b.data, b.length, NULL);
    text = acp_text_output(tree);
    t_ok(strlen(text) < ACP_TOOL_TEXT_MAX + 128 && json_is_utf8(text, strlen(text)));
    t_has(text, "begin");
    t_has(text, "bytes were left out here");
    t_str(text + strlen(text) - 3, "end");
    buf_done(&b);
}
