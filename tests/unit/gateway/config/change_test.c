/* config.get, set and patch as they work on the file: base hash, verdicts, backups, secrets. */
#include "gateway/config/change.h"

#include "tests/unit/gateway/config/kit.h"

#include <dirent.h>
#include <unistd.h>

static char *read_back(const char *path)
{
    char *text = NULL;
    size_t length;

    return source_read(path, &text, &length, NULL) == 0 ? text : mem_string("");
}

/* hash: NULL none, "" that of the file as it is. */
static struct change run(enum change_kind kind, const char *path, const char *raw, const char *hash)
{
    CLEAN(snapshot_free) struct snapshot *now = snapshot_read(path);
    struct change c = {.kind = kind,
                       .path = mem_string(path),
                       .raw = mem_string(raw),
                       .base_hash = mem_string(hash && !hash[0] ? now->hash : hash)};

    change_run(&c);
    return c;
}

static const struct {
    enum change_kind kind;
    const char *raw, *hash, *says;
} refusals[] = {
    {CHANGE_SET, "{}", NULL, "config base hash required; re-run config.get and retry"},
    {CHANGE_SET, "{}", "abc", "config changed since last load; re-run config.get and retry"},
    {CHANGE_PATCH, "{}", NULL, "config base hash required; re-run config.get and retry"},
    {CHANGE_PATCH, "[]", "", "config.patch raw must be an object"},
    {CHANGE_SET, "[]", "", "invalid config: expected an object"},
    {CHANGE_SET, "{\n a", "", "raw is not JSON5: line 2, column"},
    {CHANGE_SET, "{gateway:{prot:1}}", "", "invalid config: gateway.prot: unknown key"},
    {CHANGE_SET, "{a:1,b:2,c:3,d:4}", "", "(and 1 more)"},
    {CHANGE_PATCH, "{gateway:{port:'x'}}", "", "invalid config: gateway.port: expected an integer"},
    {CHANGE_SET, "{gateway:{auth:{password:'__OPENCLAW_REDACTED__'}}}", "",
     "gateway.auth.password is"},
};

T(refusals_change_nothing)
{
    const char *text = "{gateway:{port:1}}";
    const char *path = kit_file("c.json", text);

    for (size_t i = 0; i < COUNT(refusals); i++) {
        struct change c = run(refusals[i].kind, path, refusals[i].raw, refusals[i].hash);
        t_eq(c.verdict, CHANGE_REFUSED);
        t_has(c.message ? c.message : "", refusals[i].says);
        CLEAN(mem_free) char *now = read_back(path);
        t_str(now, text);
        change_done(&c);
    }
    CLEAN(mem_free) char *backup = mem_format("%s.bak", path);
    t_ok(access(backup, F_OK) != 0);
}

T(details_carry_every_issue)
{
    struct change c = run(CHANGE_SET, kit_file("c.json", "{}"), "{gateway:{prot:1},\nzzzz:2}", "");
    CLEAN(mem_free) char *details = change_details(&c);

    t_json(details, "{'issues':[{'path':'gateway.prot','message':'*','line':1},"
                    "{'path':'zzzz','message':'*','line':2}]}");
    change_done(&c);
}

T(set_writes_the_text_as_given)
{
    const char *path = kit_file("c.json", "{}");
    const char *text = "// mine\n{ gateway: { port: 7, }, }\n";
    struct change c = run(CHANGE_SET, path, text, "");
    struct stat st;

    t_eq(c.verdict, CHANGE_DONE);
    CLEAN(mem_free) char *now = read_back(path);
    t_str(now, text);
    t_eq(stat(path, &st), 0);
    t_eq(st.st_mode & 0777, 0600);
    change_done(&c);
}

T(set_needs_no_hash_for_a_new_file)
{
    char path[600];

    snprintf(path, sizeof(path), "%s/new.json", t_tmpdir());
    struct change c = run(CHANGE_SET, path, "{gateway:{port:9}}", NULL);
    t_eq(c.verdict, CHANGE_DONE);
    t_ok(access(path, R_OK) == 0);
    change_done(&c);
    c = run(CHANGE_SET, path, "{}", NULL); /* now there is one */
    t_eq(c.verdict, CHANGE_REFUSED);
    change_done(&c);
    unlink(path);
}

T(patch_merges_and_null_deletes)
{
    const char *path = kit_file("c.json", "{gateway:{port:1,bind:'lan',auth:{token:'s'}}}");
    struct change c =
        run(CHANGE_PATCH, path,
            "{gateway:{port:2,bind:null,auth:{mode:'token',token:'__OPENCLAW_REDACTED__'}}}", "");

    t_eq(c.verdict, CHANGE_DONE);
    CLEAN(mem_free) char *now = read_back(path);
    t_json(now, "{'gateway':{'port':2,'auth':{'token':'s','mode':'token'}}}");
    t_ok(!strstr(now, "bind") && !strstr(now, "REDACTED"));
    change_done(&c);
}

T(patch_keeps_variables_and_includes)
{
    setenv("CFG_TEST_T", "very-secret", 1);
    kit_file("inc.json5", "{session:{mainKey:'m'}}");
    const char *path =
        kit_file("c.json", "{$include:'inc.json5',gateway:{auth:{token:'${CFG_TEST_T}'}}}");
    struct change c = run(CHANGE_PATCH, path, "{gateway:{port:3}}", "");

    t_eq(c.verdict, CHANGE_DONE);
    CLEAN(mem_free) char *now = read_back(path);
    t_has(now, "${CFG_TEST_T}");
    t_has(now, "$include");
    t_ok(!strstr(now, "very-secret") && !strstr(now, "mainKey"));
    change_done(&c);
}

T(what_an_include_says_cannot_be_patched_away)
{
    kit_file("inc.json5", "{session:{\n mainKey:'m'}}");
    const char *path = kit_file("c.json", "{$include:'inc.json5'}");
    struct change c = run(CHANGE_PATCH, path, "{session:{mainKey:null}}", "");

    t_eq(c.verdict, CHANGE_REFUSED);
    t_has(c.message, "session.mainKey comes from");
    t_has(c.message, "inc.json5:2");
    change_done(&c);
}

T(an_invalid_file_can_be_set_but_not_patched)
{
    const char *path = kit_file("c.json", "{gateway:{prot:1}}");
    struct change c = run(CHANGE_PATCH, path, "{gateway:{port:1}}", "");

    t_str(c.message, "invalid config; fix before patching");
    change_done(&c);
    c = run(CHANGE_SET, path, "{gateway:{port:1}}", "");
    t_eq(c.verdict, CHANGE_DONE);
    change_done(&c);
}

T(five_backups_rotate)
{
    const char *path = kit_file("r.json", "{gateway:{port:1}}");

    for (int port = 2; port <= 8; port++) {
        CLEAN(mem_free) char *raw = mem_format("{gateway:{port:%d}}", port);
        struct change c = run(CHANGE_SET, path, raw, "");
        t_eq(c.verdict, CHANGE_DONE);
        change_done(&c);
    }
    CLEAN(mem_free)
    char *newest = mem_format("%s.bak", path), *oldest = mem_format("%s.bak.4", path),
         *gone = mem_format("%s.bak.5", path);
    CLEAN(mem_free) char *a = read_back(newest), *b = read_back(oldest);
    t_str(a, "{gateway:{port:7}}");
    t_str(b, "{gateway:{port:3}}");
    t_ok(access(gone, F_OK) != 0);
    DIR *dir = opendir(t_tmpdir());
    for (struct dirent *e; (e = readdir(dir));)
        t_ok(!strstr(e->d_name, ".tmp"));
    closedir(dir);
}

static char *get_text(const char *path)
{
    struct buf out;
    struct json_writer w;
    CLEAN(snapshot_free) struct snapshot *s = snapshot_read(path);

    buf_init(&out, 1 << 20);
    jw_init(&w, &out);
    change_write_snapshot(s, &w);
    return buf_take(&out);
}

T(get_shows_everything_but_secrets)
{
    const char *path = kit_file("c.json", "{gateway:{port:1,auth:{token:'hunter2'}},talk:{x:1}}");
    CLEAN(mem_free) char *text = get_text(path);

    t_json(text, "{'exists':true,'raw':null,'valid':true,'issues':[],'legacyIssues':[],"
                 "'config':{'gateway':{'auth':{'token':'__OPENCLAW_REDACTED__'}}},"
                 "'runtimeConfig':{'gateway':{'port':1,'bind':'loopback'}},"
                 "'warnings':[{'path':'talk','message':'*','line':1}]}");
    t_ok(!strstr(text, "hunter2"));
    t_ok(strstr(text, "\"hash\":\"") != NULL);
}

T(get_of_plain_absent_and_broken_files)
{
    CLEAN(mem_free) char *plain = get_text(kit_file("c.json", "{gateway:{port:1}}"));
    t_json(plain, "{'raw':'{gateway:{port:1}}','parsed':{'gateway':{'port':1}}}");
    CLEAN(mem_free) char *broken = get_text(kit_file("c.json", "{token:'hunter2',"));
    t_json(broken, "{'exists':true,'valid':false,'raw':null,'parsed':{},'issues':[{'path':''}]}");
    t_ok(!strstr(broken, "hunter2"));
    CLEAN(mem_free) char *absent = get_text("/none/such.json");
    t_json(absent, "{'exists':false,'valid':true,'raw':null,'config':{}}");
    t_ok(!strstr(absent, "\"hash\""));
}
