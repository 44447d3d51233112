/* culvert tunnel status: ask every tunnel of this user, show what each says. */
#include "base/mem.h"
#include "gateway/cli/print.h"
#include "gateway/cli/report.h"
#include "gateway/cli/seat.h"
#include "gateway/cli/tunnel_input.h"

#include <stdio.h>
#include <string.h>

static const struct column columns[] = {
    {"TARGET", "target", NULL},
    {"STATE", "state", NULL},
    {"SINCE", "since", print_since},
    {"WAY", "way", NULL},
    {"PEER", "peer", NULL},
    {"RTT", "rttMs", report_rtt},
    {"IN", "bytesIn", report_bytes},
    {"OUT", "bytesOut", report_bytes},
    {"RECONNECTS", "reconnects", NULL},
    {"PID", "pid", NULL},
};

static bool is_up(const struct json *row)
{
    return strcmp(json_string(json_get(row, "state"), ""), "up") == 0;
}

static void print_endpoints(const struct json *row)
{
    json_each (endpoint, json_get(row, "endpoints")) {
        bool published = json_boolean(json_get(endpoint, "published"), false);
        fputs("  ", stdout);
        print_text(stdout, json_string(json_get(endpoint, "service"), "?"));
        fputs(published ? " published at " : " at ", stdout);
        print_text(stdout, json_string(json_get(endpoint, published ? "address" : "url"), "?"));
        putchar('\n');
    }
}

/* What the table has no room for. */
static void print_more(const struct json *row)
{
    const char *error = json_string(json_get(row, "lastError"), NULL);

    putchar('\n');
    print_text(stdout, json_string(json_get(row, "target"), "?"));
    putchar('\n');
    if (strcmp(json_string(json_get(row, "state"), ""), "silent") == 0)
        puts("  its process does not answer; is it stopped?");
    print_endpoints(row);
    if (!error)
        return;
    fputs(is_up(row) ? "  last error: " : "  ", stdout);
    print_text(stdout, error);
    putchar('\n');
}

static void print_rows(const struct json *rows)
{
    print_table(rows, columns, COUNT(columns), "");
    json_each (row, rows)
        print_more(row);
}

int tunnel_verb_status(struct tunnel_input *input)
{
    CLEAN(mem_free) char *target = input->target ? seat_target(input->target) : NULL;
    struct fault fault = {0};
    CLEAN(json_free) struct json *rows = seat_ask(target, &fault);
    bool all_up = true;

    if (!rows)
        return cli_fail_fault(&fault);
    json_each (row, rows)
        all_up = all_up && is_up(row);
    if (input->json)
        print_json(rows);
    if (json_count(rows) == 0)
        return target ? cli_fail(CLI_CANNOT_CONNECT,
                                 "no tunnel to %s runs; start it with: culvert tunnel up %s",
                                 target, target)
                      : cli_fail(CLI_CANNOT_CONNECT,
                                 "no tunnel runs; start one with: culvert tunnel up TARGET");
    if (!input->json)
        print_rows(rows);
    return all_up ? CLI_OK : CLI_FAILED;
}
