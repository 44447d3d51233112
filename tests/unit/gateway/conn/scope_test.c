/* Scopes: names, implication per version, and the one rule for giving. */
#include "gateway/conn/scope.h"

#include "base/mem.h"
#include "tests/t.h"

T(names_go_both_ways)
{
    for (unsigned bit = 0; bit < SCOPE_COUNT; bit++)
        t_eq(scope_from_name(scope_name((scope_set)1 << bit)), (scope_set)1 << bit);
    t_eq(scope_from_name("operator.everything"), SCOPE_NONE);
    t_str(scope_name(SCOPE_TALK_SECRETS), "operator.talk.secrets");
}

T(unknown_names_are_left_out)
{
    const char *text = "[\"operator.read\",\"operator.root\",7,\"operator.pairing\"]";
    CLEAN(json_free) struct json *array = json_parse(text, strlen(text), NULL);
    CLEAN(mem_free) char *back = scope_text(scope_parse(array));

    t_eq(scope_parse(array), SCOPE_READ | SCOPE_PAIRING);
    t_str(back, "[\"operator.read\",\"operator.pairing\"]");
    t_eq(scope_parse(NULL), SCOPE_NONE);
}

T(implication_of_v3_and_v4)
{
    static const struct {
        scope_set held, needed;
        bool v3, v4;
    } cases[] = {
        {SCOPE_ADMIN, SCOPE_TALK_SECRETS, true, true},
        {SCOPE_WRITE, SCOPE_READ, true, true},
        {SCOPE_READ, SCOPE_WRITE, false, false},
        {SCOPE_WRITE, SCOPE_TALK, false, true},
        {SCOPE_WRITE, SCOPE_SESSIONS_READ, false, true},
        {SCOPE_WRITE, SCOPE_SESSIONS_WRITE, false, true},
        {SCOPE_READ, SCOPE_SESSIONS_READ, false, true},
        {SCOPE_READ, SCOPE_SESSIONS_WRITE, false, false},
        {SCOPE_APPROVALS, SCOPE_PAIRING, false, false},
        {SCOPE_PAIRING, SCOPE_READ, false, false},
        {SCOPE_NONE, SCOPE_NONE, true, true},
        {SCOPE_NONE, SCOPE_READ, false, false},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        t_eq(scope_allows(cases[i].held, cases[i].needed, 3), cases[i].v3);
        t_eq(scope_allows(cases[i].held, cases[i].needed, 4), cases[i].v4);
    }
}

/* GHSA-4jpw-hj22-2xmc, GHSA-hf68-49fm-59cq: pairing alone must not hand out admin. */
T(nobody_gives_more_than_they_hold)
{
    t_ok(!scope_may_give(SCOPE_PAIRING, SCOPE_ADMIN));
    t_ok(!scope_may_give(SCOPE_PAIRING | SCOPE_WRITE, SCOPE_APPROVALS));
    t_ok(scope_may_give(SCOPE_PAIRING | SCOPE_WRITE, SCOPE_READ));
    t_ok(scope_may_give(SCOPE_ADMIN, SCOPE_ALL));
    t_ok(scope_may_give(SCOPE_NONE, SCOPE_NONE));
}
