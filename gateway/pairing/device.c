/* Devices: the memory table (sorted by id), its rows in the store, and what an operator may do to one.
 * Path: device_load at start -> device_find at every connect -> device_put with each change. */
#include "base/mem.h"
#include "gateway/pairing/internal.h"

#include <stdio.h>
#include <string.h>

#define SEEN_WRITE_MS 60000

/* ---- the table ---- */

/* Where the id is, or where it belongs. */
static size_t device_place(const struct pairing *pairing, const char *device_id, bool *ret_found)
{
    size_t low = 0, high = pairing->device_count;

    *ret_found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(pairing->devices[middle]->id, device_id);

        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct device *device_get(struct pairing *pairing, const char *device_id)
{
    bool found;
    size_t at = device_place(pairing, device_id, &found);

    return found ? pairing->devices[at] : NULL;
}

const struct device *device_find(const struct gateway *gw, const char *device_id)
{
    return device_get(gw->pairing, device_id);
}

struct device *device_add(struct pairing *pairing, const char *device_id)
{
    bool found;
    size_t at = device_place(pairing, device_id, &found);

    if (found)
        return pairing->devices[at];
    if (pairing->device_count >= PAIRING_DEVICES_MAX)
        return NULL;
    if (pairing->device_count == pairing->device_room) {
        pairing->device_room = pairing->device_room ? pairing->device_room * 2 : 16;
        pairing->devices =
            mem_grow(pairing->devices, pairing->device_room, sizeof(*pairing->devices));
    }
    memmove(&pairing->devices[at + 1], &pairing->devices[at],
            (pairing->device_count - at) * sizeof(*pairing->devices));
    struct device *device = NEW(struct device);
    snprintf(device->id, sizeof(device->id), "%s", device_id);
    pairing->devices[at] = device;
    pairing->device_count++;
    return device;
}

static void device_free(struct device *device)
{
    mem_free(device->display_name);
    mem_free(device->platform);
    mem_free(device->device_family);
    mem_free(device->client_id);
    mem_free(device->client_mode);
    mem_free(device->remote_ip);
    mem_free(device->approved_via);
    mem_free(device->last_seen_reason);
    mem_free(device->node);
    mem_free(device);
}

void device_drop(struct pairing *pairing, struct device *device)
{
    bool found;
    size_t at = device_place(pairing, device->id, &found);

    if (fails(found))
        return;
    memmove(&pairing->devices[at], &pairing->devices[at + 1],
            (pairing->device_count - at - 1) * sizeof(*pairing->devices));
    pairing->device_count--;
    device_free(device);
}

static void replace(char **slot, const char *text)
{
    if (!text || (*slot && strcmp(*slot, text) == 0))
        return;
    mem_free(*slot);
    *slot = mem_string(text);
}

/* What the device says of itself now. Its name stays: an operator may have given it another. */
void device_describe(struct device *device, const struct pairing_asker *asker)
{
    if (!device->display_name)
        replace(&device->display_name, asker->display_name);
    replace(&device->platform, asker->platform);
    replace(&device->device_family, asker->device_family);
    replace(&device->client_id, asker->client_id);
    replace(&device->client_mode, asker->client_mode);
    replace(&device->remote_ip, asker->remote_ip);
}

/* ---- the store ---- */

static const char *roles_text(unsigned roles)
{
    static const char *const texts[] = {"[]", "[\"operator\"]", "[\"node\"]",
                                        "[\"operator\",\"node\"]"};
    return texts[roles & (ROLE_OPERATOR | ROLE_NODE)];
}

static unsigned roles_parse(const char *text)
{
    return (strstr(text, "\"operator\"") ? (unsigned)ROLE_OPERATOR : 0u) |
           (strstr(text, "\"node\"") ? (unsigned)ROLE_NODE : 0u);
}

static scope_set scopes_parse(const char *text)
{
    CLEAN(json_free) struct json *array = text ? json_parse(text, strlen(text), NULL) : NULL;

    return scope_parse(array);
}

void device_put(struct store_batch *batch, const struct device *device)
{
    CLEAN(mem_free) char *scopes = scope_text(device->scopes);

    store_device_put(batch, &(struct store_device){
                                .device_id = device->id,
                                .public_key = device->public_key,
                                .display_name = device->display_name,
                                .platform = device->platform,
                                .device_family = device->device_family,
                                .client_id = device->client_id,
                                .client_mode = device->client_mode,
                                .roles = roles_text(device->roles),
                                .scopes = scopes,
                                .remote_ip = device->remote_ip,
                                .approved_via = device->approved_via,
                                .last_seen_reason = device->last_seen_reason,
                                .node = device->node,
                                .created_at = device->created_at,
                                .approved_at = device->approved_at,
                                .last_seen_at = device->last_seen_at,
                            });
}

static void load_device(void *arg, const struct store_device *row)
{
    struct device *device = device_add(arg, row->device_id);

    if (!device)
        return;
    snprintf(device->public_key, sizeof(device->public_key), "%s", row->public_key);
    device->display_name = mem_string(row->display_name);
    device->platform = mem_string(row->platform);
    device->device_family = mem_string(row->device_family);
    device->client_id = mem_string(row->client_id);
    device->client_mode = mem_string(row->client_mode);
    device->remote_ip = mem_string(row->remote_ip);
    device->approved_via = mem_string(row->approved_via);
    device->last_seen_reason = mem_string(row->last_seen_reason);
    device->node = mem_string(row->node);
    device->roles = row->roles ? roles_parse(row->roles) : 0;
    device->scopes = scopes_parse(row->scopes);
    device->created_at = row->created_at;
    device->approved_at = row->approved_at;
    device->last_seen_at = row->last_seen_at;
}

static void load_token(void *arg, const struct store_token *row)
{
    struct device *device = device_get(arg, row->device_id);
    unsigned role = strcmp(row->role, "node") == 0 ? ROLE_NODE : ROLE_OPERATOR;

    if (!device)
        return;
    struct device_token *token = device_token_slot(device, role);
    token->role = role;
    token->scopes = scopes_parse(row->scopes);
    snprintf(token->hash, sizeof(token->hash), "%s", row->hash);
    token->created_at = row->created_at;
    token->rotated_at = row->rotated_at;
    token->revoked_at = row->revoked_at;
    token->last_used_at = row->last_used_at;
}

struct pairing *pairing_new(struct gateway *gw, struct fault *reterr_fault)
{
    struct pairing *pairing = NEW(struct pairing);
    int result;

    pairing->gw = gw;
    pairing->signin = signin_new();
    result = store_device_each(gw->store, load_device, pairing);
    if (result >= 0)
        result = store_token_each(gw->store, load_token, pairing);
    if (result >= 0)
        result = requests_load(pairing);
    if (result >= 0)
        return pairing;
    fault_set(reterr_fault, result, "the paired devices could not be read from the store: %s",
              err_text(result));
    return pairing_free(pairing);
}

struct pairing *pairing_free(struct pairing *pairing)
{
    if (!pairing)
        return NULL;
    timer_stop(pairing->gw->loop, &pairing->flush);
    requests_free(pairing);
    signin_free(pairing->signin);
    for (size_t i = 0; i < pairing->device_count; i++)
        device_free(pairing->devices[i]);
    mem_free(pairing->devices);
    return mem_free(pairing);
}

/* ---- last seen: worth keeping, not worth a commit each ---- */

static void flush_seen(void *arg)
{
    struct pairing *pairing = arg;
    struct store_batch *batch = store_batch(pairing->gw->store);

    for (size_t i = 0; i < pairing->device_count; i++) {
        struct device *device = pairing->devices[i];
        if (!device->unsaved)
            continue;
        device->unsaved = false;
        device_put(batch, device);
        for (size_t t = 0; t < COUNT(device->tokens); t++)
            if (device->tokens[t].created_at)
                device_token_put(batch, device, &device->tokens[t]);
    }
    store_commit(batch, NULL);
}

void device_touch(struct pairing *pairing, struct device *device)
{
    device->unsaved = true;
    if (!timer_running(&pairing->flush))
        timer_start(pairing->gw->loop, &pairing->flush, SEEN_WRITE_MS, 0, flush_seen, pairing);
}

void pairing_seen(struct gateway *gw, struct store_batch *batch, const struct pairing_asker *asker)
{
    struct device *device = device_get(gw->pairing, asker->device_id);

    if (!device)
        return;
    device_describe(device, asker);
    replace(&device->last_seen_reason, "connect");
    device->last_seen_at = loop_wall(gw->loop);
    if (batch)
        device_put(batch, device);
    else
        device_touch(gw->pairing, device);
}

void pairing_connected(struct gateway *gw, const char *device_id, bool open)
{
    struct device *device = device_get(gw->pairing, device_id);

    if (!device)
        return;
    if (open)
        device->connections++;
    else if (device->connections > 0) /* 0: removed and paired again meanwhile */
        device->connections--;
}

/* ---- what an operator may do to a device ---- */

int pairing_remove(struct gateway *gw, struct store_batch *batch, const char *device_id,
                   scope_set giver)
{
    struct device *device = device_get(gw->pairing, device_id);

    if (!device)
        return -ERR_NOT_FOUND;
    if (!scope_may_give(giver, device->scopes))
        return -ERR_DENIED;

    struct pairing_request *request = request_of_device(gw->pairing, device_id);
    if (request) {
        store_pairing_remove(batch, request->id);
        request_resolved(gw, batch, request, "rejected");
        request_drop(gw->pairing, request);
    }
    store_device_remove(batch, device_id);
    device_drop(gw->pairing, device);
    return 0;
}

int pairing_rename(struct gateway *gw, struct store_batch *batch, const char *device_id,
                   const char *label, scope_set giver)
{
    struct device *device = device_get(gw->pairing, device_id);

    if (!device)
        return -ERR_NOT_FOUND;
    if (!scope_may_give(giver, device->scopes))
        return -ERR_DENIED;
    replace(&device->display_name, label);
    device_put(batch, device);
    return 0;
}
