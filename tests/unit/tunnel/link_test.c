/* The link's states with a virtual clock and a session that does what the test says. */
#include "tests/unit/tunnel/link_kit.h"

T(connects_looks_for_a_way_and_is_up)
{
    rig_start(0, false);
    t_eq(facts().state, TUNNEL_CONNECTING);
    t_ok(facts().hold);
    t_eq(g->count, 1);
    loop_advance(g->loop, 100);
    ready(newest());
    t_eq(g->found, 1);
    t_ok(g->control == link_control(g->link));
    t_eq(facts().state, TUNNEL_CONNECTING);
    way();
    t_eq(facts().state, TUNNEL_UP);
    t_eq(facts().since, loop_wall(g->loop));
    loop_advance(g->loop, 3600000);
    t_eq(g->count, 1);
    t_eq(facts().reconnects, 0);
    t_eq(facts().lost_at, 0);
    t_str(facts().last_error, "");
    rig_end();
}

T(a_refusal_is_tried_again_soon_then_patiently)
{
    rig_start(-ERR_CONNECT, false);
    int64_t last = loop_now(g->loop), longest = 0;
    size_t count = g->count;

    t_eq(facts().state, TUNNEL_WAITING);
    t_ok(facts().next_attempt_at > loop_wall(g->loop));
    t_has(facts().last_error, "refused");
    for (int64_t ms = 0; ms < LINK_EAGER_FOR_MS; ms += 10) {
        loop_advance(g->loop, 10);
        if (g->count == count)
            continue;
        int64_t gap = loop_now(g->loop) - last;
        longest = gap > longest ? gap : longest;
        last = loop_now(g->loop);
        count = g->count;
    }
    t_ok(longest <= LINK_EAGER_MS + 10);
    t_ok(count > LINK_EAGER_FOR_MS / LINK_EAGER_MS);
    loop_advance(g->loop, 20000); /* the change of pace */
    count = g->count;
    loop_advance(g->loop, 600000);
    t_ok(g->count - count <= 600000 / (LINK_PATIENT_MS / 2));
    t_ok(g->count - count >= 600000 / LINK_PATIENT_MS);
    t_eq(alive(), 0);
    rig_end();
}

T(waits_begin_at_a_tenth_of_a_second)
{
    rig_start(-ERR_CONNECT, false);
    loop_advance(g->loop, 100);
    t_eq(g->count, 2);
    loop_advance(g->loop, 200);
    t_ok(g->count >= 3);
    rig_end();
}

T(silence_brings_fresh_attempts_the_oldest_stays)
{
    rig_start(0, false);
    struct ssh *first = newest();

    first->policy->step(first->policy->arg, SSH_STEP_CONNECT, "");
    loop_advance(g->loop, 20000);
    t_eq(g->count, 1 + 20000 / LINK_FRESH_MS);
    t_eq(alive(), LINK_ATTEMPTS_MAX);
    t_ok(!first->closed);
    t_eq(facts().state, TUNNEL_CONNECTING);
    ready(newest()); /* the newest SYN got through */
    t_eq(alive(), 1);
    way();
    t_eq(facts().state, TUNNEL_UP);
    rig_end();
}

T(the_first_past_tcp_takes_the_others_off_the_line)
{
    rig_start(0, false);
    loop_advance(g->loop, 3 * LINK_FRESH_MS);
    t_eq(alive(), 4);
    struct ssh *first = g->fakes[1];
    first->policy->step(first->policy->arg, SSH_STEP_HANDSHAKE, "");
    t_eq(alive(), 1);
    loop_advance(g->loop, LINK_STALLED_MS + LINK_FRESH_MS); /* it stands still: a fresh one */
    t_ok(alive() >= 2);
    struct ssh *second = newest();
    second->policy->step(second->policy->arg, SSH_STEP_HANDSHAKE, "");
    t_eq(alive(), 2); /* what is past TCP is left to race */
    ready(second);
    t_eq(alive(), 1);
    rig_end();
}

T(an_attempt_past_tcp_is_not_disturbed_unless_it_stands_still)
{
    rig_start(0, false);
    struct ssh *first = newest();

    first->policy->step(first->policy->arg, SSH_STEP_HANDSHAKE, "");
    loop_advance(g->loop, LINK_STALLED_MS - LINK_FRESH_MS);
    t_eq(g->count, 1);
    first->policy->step(first->policy->arg, SSH_STEP_AUTH, "");
    loop_advance(g->loop, LINK_STALLED_MS - LINK_FRESH_MS);
    t_eq(g->count, 1);
    loop_advance(g->loop, 2 * LINK_FRESH_MS);
    t_ok(g->count > 1);
    t_ok(!first->closed);
    ready(first); /* it was only slow */
    t_eq(alive(), 1);
    rig_end();
}

T(a_question_has_all_the_time_it_needs)
{
    rig_start(0, false);
    struct ssh *first = newest();

    first->policy->step(first->policy->arg, SSH_STEP_AUTH, "");
    first->policy->ask(first->policy->arg, NULL);
    t_eq(g->asked, 1);
    loop_advance(g->loop, 10 * LINK_ATTEMPT_MS);
    t_eq(g->count, 1);
    t_ok(!first->closed);
    ready(first);
    rig_end();
}

T(an_attempt_that_never_ends_is_given_up)
{
    rig_start(0, false);
    struct ssh *first = newest();

    first->policy->step(first->policy->arg, SSH_STEP_CONNECT, "");
    loop_advance(g->loop, LINK_ATTEMPT_MS + LINK_FRESH_MS);
    t_ok(first->closed);
    t_has(facts().last_error, "stopped at: connection");
    rig_end();
}

T(one_of_several_refused_leaves_the_others)
{
    rig_start(0, false);
    loop_advance(g->loop, LINK_FRESH_MS);
    t_eq(alive(), 2);
    refuse(g->fakes[0], -ERR_CONNECT, "no route");
    t_eq(facts().state, TUNNEL_CONNECTING);
    t_str(facts().last_error, "no route");
    ready(newest());
    t_eq(alive(), 1);
    rig_end();
}

T(a_lost_path_is_tried_at_once_and_comes_back)
{
    rig_start(0, false);
    bring_up(LINK_STEADY_MS);
    int64_t lost_at = loop_wall(g->loop);

    lose(g->control);
    t_eq(g->lost, 1);
    t_eq(g->count, 2);
    t_eq(facts().state, TUNNEL_RECONNECTING);
    t_eq(facts().lost_at, lost_at);
    t_eq(facts().back_at, 0);
    t_ok(link_control(g->link) == NULL);
    loop_advance(g->loop, 300);
    ready(newest());
    t_eq(g->found, 2);
    way();
    t_eq(facts().state, TUNNEL_UP);
    t_eq(facts().reconnects, 1);
    t_eq(facts().back_at, lost_at + 300);
    t_eq(alive(), 1);
    rig_end();
}

T(a_path_that_comes_and_goes_is_not_hammered)
{
    rig_start(0, false);
    size_t before;

    for (int i = 0; i < 10; i++) {
        before = g->count;
        if (facts().state == TUNNEL_WAITING)
            loop_advance(g->loop, LINK_EAGER_MS);
        ready(newest());
        way();
        lose(g->control);
        t_eq(facts().state, TUNNEL_WAITING);
        t_ok(g->count <= before + 2); /* the next, and a fresh one beside it */
    }
    rig_end();
}

T(what_only_a_person_can_mend_is_tried_rarely)
{
    static const int codes[] = {-ERR_AUTH, -ERR_DENIED, -ERR_INVALID};

    for (size_t i = 0; i < COUNT(codes); i++) {
        rig_start(codes[i], false);
        t_eq(facts().state, TUNNEL_FAILED);
        t_ok(!facts().hold);
        t_has(facts().last_error, "refused");
        loop_advance(g->loop, LINK_FAILED_MS - 1);
        t_eq(g->count, 1);
        loop_advance(g->loop, 1);
        t_eq(g->count, 2);
        link_nudge(g->link);
        loop_advance(g->loop, 0);
        t_eq(g->count, 3);
        t_eq(facts().state, TUNNEL_FAILED);
        g->refuse = 0; /* mended */
        link_nudge(g->link);
        loop_advance(g->loop, 0);
        bring_up(0);
        rig_end();
    }
}

T(once_ends_with_the_first_failure_or_loss)
{
    rig_start(-ERR_CONNECT, true);
    t_eq(facts().state, TUNNEL_CLOSED);
    loop_advance(g->loop, 600000);
    t_eq(g->count, 1);
    rig_end();

    rig_start(-ERR_AUTH, true);
    t_eq(facts().state, TUNNEL_FAILED);
    loop_advance(g->loop, 600000);
    t_eq(g->count, 1);
    rig_end();

    rig_start(0, true);
    bring_up(LINK_STEADY_MS);
    lose(g->control);
    t_eq(facts().state, TUNNEL_CLOSED);
    link_nudge(g->link);
    loop_advance(g->loop, 600000);
    t_eq(g->count, 1);
    t_eq(alive(), 0);
    rig_end();
}

T(no_way_keeps_the_session_and_looks_again)
{
    struct fault why;

    rig_start(0, false);
    ready(newest());
    fault_set(&why, -ERR_NOT_FOUND, "no gateway is running there");
    link_way(g->link, &why);
    loop_advance(g->loop, 0);
    t_eq(facts().state, TUNNEL_WAITING);
    t_ok(facts().hold);
    t_str(facts().last_error, "no gateway is running there");
    loop_advance(g->loop, LINK_FIRST_MS);
    t_eq(g->found, 2);
    t_eq(g->count, 1);
    way();
    t_eq(facts().state, TUNNEL_UP);
    loop_advance(g->loop, LINK_STEADY_MS);
    link_way(g->link, &why); /* the gateway went */
    loop_advance(g->loop, LINK_FIRST_MS);
    t_eq(g->found, 3);
    t_eq(g->lost, 0);
    lose(g->control); /* and then the session, while a way was looked for */
    t_eq(g->lost, 1);
    loop_advance(g->loop, LINK_EAGER_MS);
    t_ok(g->count >= 2);
    rig_end();
}

T(a_nudge_probes_what_is_up)
{
    rig_start(0, false);
    bring_up(LINK_STEADY_MS);
    link_nudge(g->link);
    link_nudge(g->link);
    t_eq(g->probes, 1);
    op_end(TAKE(g->probe), 0);
    loop_advance(g->loop, 60000);
    t_eq(facts().state, TUNNEL_UP);
    t_eq(g->lost, 0);

    link_nudge(g->link); /* no answer this time */
    loop_advance(g->loop, LINK_PROBE_MS - 1);
    t_eq(facts().state, TUNNEL_UP);
    loop_advance(g->loop, 1);
    t_eq(g->lost, 1);
    t_eq(facts().state, TUNNEL_RECONNECTING);
    t_eq(g->count, 2);
    rig_end();
}

T(a_nudge_while_out_tries_at_once)
{
    rig_start(-ERR_CONNECT, false);
    loop_advance(g->loop, 600000); /* patient by now */
    loop_advance(g->loop, LINK_PATIENT_MS);
    g->refuse = 0;
    size_t count = g->count;
    link_nudge(g->link);
    loop_advance(g->loop, 0);
    t_eq(g->count, count + (alive() ? 1 : 0));
    t_eq(facts().state, TUNNEL_CONNECTING);
    struct ssh *old = newest();
    link_nudge(g->link); /* a SYN on a route that is no more: another */
    loop_advance(g->loop, 0);
    t_ok(newest() != old);
    newest()->policy->step(newest()->policy->arg, SSH_STEP_AUTH, "");
    count = g->count;
    link_nudge(g->link); /* this one gets on */
    loop_advance(g->loop, 0);
    t_eq(g->count, count);
    rig_end();
}

T(arrivals_are_those_of_the_control_session)
{
    rig_start(0, false);
    bring_up(0);
    g->control->events->arrived(g->control->arg, NULL, NULL);
    t_eq(g->arrived, 1);
    rig_end();
}
