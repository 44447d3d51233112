/* culvert tunnel discover: two searches at once, the tailnet's peers (tailnet_discover) and mDNS (avahi-browse, where it is
 * installed); each gateway once, with the URL to reach it by. What the network says of itself is shown, never
 * believed. */
#include "base/io/child.h"
#include "base/mem.h"
#include "gateway/cli/mdns.h"
#include "gateway/cli/print.h"
#include "gateway/cli/tty.h"
#include "gateway/cli/tunnel_input.h"
#include "tunnel/tailnet.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TAILNET_PORT 18789
#define TAILNET_MS   20000
#define MDNS_MS      5000
#define MDNS_MAX     256 /* services that are listed */

struct discover {
    struct loop *loop;
    struct json *rows, *notes;
    struct tailnet *tailnet;
    struct op asking;
    struct tailnet_gateways peers;
    struct child *browse;
    struct timer patience;
    bool late;
    size_t services;
    int waiting; /* searches that still run */
};

static void note(struct discover *d, const char *where, const char *text)
{
    CLEAN(mem_free) char *line = mem_format("%s: %s", where, text);
    json_append(d->notes, json_new_string(line));
}

/* ---- tailnet ---- */

static void take_peer(struct discover *d, const struct tailnet_gateway *peer)
{
    struct json *row = json_new_object();

    json_put(row, "url", json_new_string(peer->url));
    json_put(row, "name", json_new_string(peer->name));
    json_put(row, "from", json_new_string("tailnet"));
    json_put(row, "address", json_new_string(peer->address));
    json_put(row, "port", json_new_number(peer->port));
    json_append(d->rows, row);
}

static void on_asked(struct op *op, int result)
{
    struct discover *d = CONTAINER(op, struct discover, asking);
    char text[160];

    d->waiting--;
    if (result < 0) {
        note(d, "tailnet", op->fault.text[0] ? op->fault.text : err_text(result));
        return;
    }
    for (size_t i = 0; i < d->peers.count; i++)
        take_peer(d, &d->peers.list[i]);
    snprintf(text, sizeof(text), "%zu device%s asked, %zu of them silent, %zu offline",
             d->peers.asked, d->peers.asked == 1 ? "" : "s", d->peers.silent, d->peers.offline);
    note(d, "tailnet", text);
}

static void ask_tailnet(struct discover *d)
{
    d->waiting++;
    d->tailnet = tailnet_new(d->loop, NULL);
    op_init(&d->asking, d->loop, on_asked, TAILNET_MS);
    tailnet_discover(d->tailnet, &d->asking, TAILNET_PORT, &d->peers);
}

/* ---- mDNS ---- */

/* One service answers on each interface and in both families. */
static bool is_known(const struct discover *d, const struct mdns_service *service)
{
    json_each (row, d->rows)
        if (strcmp(json_string(json_get(row, "host"), ""), service->host) == 0 &&
            (int)json_number(json_get(row, "port"), 0) == service->port)
            return true;
    return false;
}

static void on_line(void *arg, const char *text, size_t length)
{
    struct discover *d = arg;
    struct mdns_service service;
    char url[160];

    if (d->services == MDNS_MAX || !mdns_parse(text, length, &service) || is_known(d, &service))
        return;
    d->services++;
    mdns_url(&service, url, sizeof(url));
    struct json *row = json_new_object();
    json_put(row, "url", json_new_string(url));
    json_put(row, "name", json_new_string(service.name));
    json_put(row, "from", json_new_string("mdns"));
    json_put(row, "host", json_new_string(service.host));
    json_put(row, "address", json_new_string(service.address));
    json_put(row, "port", json_new_number(service.port));
    if (service.fingerprint[0])
        json_put(row, "saysSha256", json_new_string(service.fingerprint));
    if (service.tailnet_name[0])
        json_put(row, "saysTailnetName", json_new_string(service.tailnet_name));
    json_append(d->rows, row);
}

static void on_browsed(void *arg, int status, int signal, int result)
{
    struct discover *d = arg;

    d->browse = NULL;
    d->waiting--;
    timer_stop(d->loop, &d->patience);
    if (d->late)
        note(d, "mdns", "avahi-browse did not end in time");
    else if (status != 0 || signal != 0 || result < 0)
        note(d, "mdns", "avahi-browse failed; does avahi-daemon run?");
}

static void on_late(void *arg)
{
    struct discover *d = arg;

    d->late = true;
    child_stop(d->browse, 0);
}

static void browse(struct discover *d)
{
    static const char *const argv[] = {"avahi-browse", "-rpt", MDNS_TYPE, NULL};
    const struct child_config config = {.argv = argv,
                                        .leash = true,
                                        .line_max = MDNS_LINE_MAX,
                                        .arg = d,
                                        .line = on_line,
                                        .ended = on_browsed};
    struct fault fault = {0};

    if (child_start(d->loop, &config, &d->browse, &fault) < 0) {
        note(d, "mdns", "not looked for, avahi-browse is not installed (package avahi-utils)");
        return;
    }
    d->waiting++;
    timer_start(d->loop, &d->patience, MDNS_MS, 0, on_late, d);
}

/* ---- what is shown ---- */

/* A machine found both ways is shown once, by its tailnet: there it cannot be somebody else. */
static bool is_peer(const struct json *rows, const char *name)
{
    json_each (row, rows)
        if (strcmp(json_string(json_get(row, "from"), ""), "tailnet") == 0 &&
            strcmp(json_string(json_get(row, "name"), ""), name) == 0)
            return true;
    return false;
}

/* The surer ones first. */
static struct json *in_order(const struct json *rows)
{
    static const char *const order[] = {"tailnet", "mdns"};
    struct json *kept = json_new_array();

    for (size_t i = 0; i < COUNT(order); i++)
        json_each (row, rows) {
            const char *says = json_string(json_get(row, "saysTailnetName"), NULL);
            if (strcmp(json_string(json_get(row, "from"), ""), order[i]) == 0 &&
                (!says || !is_peer(rows, says)))
                json_append(kept, json_copy(row));
        }
    return kept;
}

/* A certificate somebody on this network claims: worth comparing, not worth trusting. */
static void print_claim(const struct json *row)
{
    const char *sha256 = json_string(json_get(row, "saysSha256"), NULL);

    if (!sha256)
        return;
    print_text(stdout, json_string(json_get(row, "name"), "?"));
    printf(
        " says its certificate is sha256:%s; compare it with culvert status at its host before you "
        "give it with --pin.\n",
        sha256);
}

static void print_found(const struct discover *d, const struct json *rows)
{
    static const struct column columns[] = {
        {"URL", "url", NULL}, {"NAME", "name", NULL}, {"FROM", "from", NULL}};

    print_table(rows, columns, COUNT(columns), "No gateway answers.");
    json_each (text, d->notes) {
        print_text(stdout, json_string(text, ""));
        putchar('\n');
    }
    json_each (row, rows)
        print_claim(row);
    if (json_count(rows) > 0)
        printf("Use one: culvert status --url %s\n",
               json_string(json_get(json_at(rows, 0), "url"), ""));
}

int tunnel_verb_discover(struct tunnel_input *input)
{
    struct discover d = {
        .loop = loop_new(LOOP_REAL), .rows = json_new_array(), .notes = json_new_array()};
    bool shows = !input->json && isatty(STDERR_FILENO);

    if (shows)
        tty_line(stderr, "looking around...");
    ask_tailnet(&d);
    browse(&d);
    while (d.waiting > 0)
        loop_turn(d.loop, true);
    if (shows)
        tty_line(stderr, "");
    struct json *rows = in_order(d.rows);
    int status = json_count(rows) > 0 ? CLI_OK : CLI_FAILED;
    if (input->json)
        print_json(rows);
    else
        print_found(&d, rows);
    json_free(rows);
    json_free(d.rows);
    json_free(d.notes);
    tailnet_gateways_done(&d.peers);
    tailnet_free(d.tailnet);
    loop_free(d.loop);
    return status;
}
