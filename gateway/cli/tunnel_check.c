/* culvert tunnel check: the way to a gateway step by step, then a real client connection over it for the pairing. */
#include "base/mem.h"
#include "gateway/cli/ask.h"
#include "gateway/cli/client.h"
#include "gateway/cli/print.h"
#include "gateway/cli/seat.h"
#include "gateway/cli/tunnel_input.h"

#include <stdio.h>
#include <string.h>

struct check {
    struct tunnel_input *input;
    struct json *steps; /* {step, result, detail, remedy} */
    struct op op;
    struct ask ask;
    bool ended, failed;
    int result;
    int status;
};

static const char *const result_names[] = {
    [CHECK_OK] = "ok", [CHECK_FAILED] = "fail", [CHECK_SKIPPED] = "skip", [CHECK_NOTE] = "note"};

static void on_step(void *arg, const struct tunnel_check_step *step)
{
    struct check *check = arg;
    struct json *row = json_new_object();

    json_put(row, "step", json_new_string(step->name));
    json_put(row, "result", json_new_string(result_names[step->result]));
    json_put(row, "detail", json_new_string(step->detail ? step->detail : ""));
    if (step->remedy)
        json_put(row, "remedy", json_new_string(step->remedy));
    json_append(check->steps, row);
    if (check->input->json || (check->failed && step->result == CHECK_SKIPPED))
        return; /* behind a failure there is nothing to read */
    check->failed = check->failed || step->result == CHECK_FAILED;
    printf("%-5s %-14s ", result_names[step->result], step->name);
    print_text(stdout, step->detail ? step->detail : "");
    putchar('\n');
    if (step->remedy) {
        printf("%20s ", "what to do:");
        print_text(stdout, step->remedy);
        putchar('\n');
    }
    fflush(stdout);
}

static void on_checked(struct op *op, int result)
{
    struct check *check = CONTAINER(op, struct check, op);

    check->ended = true;
    check->result = result;
}

static void on_ask(void *arg, struct tunnel_question *question)
{
    ask_put(&((struct check *)arg)->ask, question);
}

static void on_answer(void *arg, struct tunnel_question *question, const char *text)
{
    (void)arg;
    tunnel_check_answer(question, text);
}

static int check_way(struct check *check)
{
    CLEAN(loop_free) struct loop *loop = loop_new(LOOP_REAL);
    struct tunnel_options options = check->input->tunnel;

    options.arg = check;
    options.ask = tty_can_ask() ? on_ask : NULL;
    options.listen_count = 0;
    ask_init(&check->ask, loop, on_answer, check);
    op_init(&check->op, loop, on_checked, 0);
    tunnel_check(&check->op, &options, on_step, check);
    while (!check->ended)
        loop_turn(loop, true);
    ask_done(&check->ask);
    return check->result;
}

static int status_of(int result)
{
    static const struct {
        int result, status;
    } rows[] = {{0, CLI_OK},
                {-ERR_AUTH, CLI_REFUSED},
                {-ERR_DENIED, CLI_REFUSED},
                {-ERR_UNSUPPORTED, CLI_REFUSED},
                {-ERR_INVALID, CLI_FAILED},
                {-ERR_INTERRUPTED, CLI_FAILED}};

    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].result == result)
            return rows[i].status;
    return CLI_CANNOT_CONNECT;
}

/* A client like any other, by the same way: what it is told is what every command would be told. */
static int connect_client(struct check *check, struct target *target, struct client **ret,
                          struct fault *fault)
{
    const char *token_file = check->input->token_file;
    int reason = token_file ? target_read_token(target, token_file) : 0;

    if (reason)
        return fault_set(fault, -ERR_INVALID, "cannot read the token file %s: %s", token_file,
                         strerrordesc_np(reason));
    return target_resolve(target, fault) < 0 ? fault->code : client_open(target, ret, fault);
}

static void check_pairing(struct check *check)
{
    CLEAN(mem_free) char *name = seat_target(check->input->target);
    CLEAN(client_close) struct client *client = NULL;
    struct target target = {.url = strncmp(name, "ssh://", 6) == 0 ? TAKE(name)
                                                                   : mem_format("ssh://%s", name),
                            .tunnel = &check->input->tunnel};
    struct tunnel_check_step step = {.name = "pairing", .result = CHECK_OK};
    struct fault fault = {0};
    char text[256];
    int r = connect_client(check, &target, &client, &fault);

    if (r < 0) {
        step.result = CHECK_FAILED;
        step.detail = fault.text;
        check->status = status_of(r);
    } else {
        const struct json *hello = client_hello(client);
        CLEAN(mem_free) char *scopes = print_scopes(json_path(hello, "auth.scopes"));
        snprintf(text, sizeof(text), "culvert %s lets this device in with: %s",
                 json_string(json_path(hello, "server.version"), "?"), scopes ? scopes : "nothing");
        step.detail = text;
    }
    on_step(check, &step);
    client = client_close(client);
    target_done(&target);
}

int tunnel_verb_check(struct tunnel_input *input)
{
    struct check check = {.input = input, .steps = json_new_array()};

    check.status = status_of(check_way(&check));
    if (check.status == CLI_OK)
        check_pairing(&check);
    if (input->json)
        print_json(check.steps);
    json_free(check.steps);
    return check.status;
}
