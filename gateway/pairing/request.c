/* Requests to be paired: one per device, five minutes, approved by an operator or at once for a local
 * peer. Path: pairing_need_of -> pairing_approve_at_once, or pairing_ask -> pairing_approve / _reject /
 * expiry. protocol.md 2.11. */
#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/event/event.h"
#include "gateway/pairing/internal.h"
#include "gateway/tunnel/peer_identity.h"

#include <stdio.h>
#include <string.h>

/* ---- what is needed ---- */

static bool differs(const char *was, const char *is)
{
    return was && is && strcmp(was, is) != 0;
}

enum pairing_need pairing_need_of(const struct gateway *gw, const struct pairing_asker *asker)
{
    const struct device *device = device_find(gw, asker->device_id);
    struct device_carry carry;

    if (!device || strcmp(device->public_key, asker->public_key) != 0)
        return PAIRING_NEW;
    device_carries(gw, device, asker->identity, &carry);
    if (!(carry.roles & (unsigned)asker->role))
        return PAIRING_ROLE;
    if (!scope_may_give(carry.scopes, asker->scopes))
        return PAIRING_SCOPES;
    /* v3 clients sign neither; there a change is taken over as news. */
    if (asker->version >= 4 && (differs(device->platform, asker->platform) ||
                                differs(device->device_family, asker->device_family)))
        return PAIRING_METADATA;
    return PAIRING_NONE;
}

/* ---- the table ---- */

static struct pairing_request *request_get(struct pairing *pairing, const char *request_id)
{
    for (size_t i = 0; i < pairing->request_count; i++)
        if (strcmp(pairing->requests[i]->id, request_id) == 0)
            return pairing->requests[i];
    return NULL;
}

const struct pairing_request *pairing_request_find(const struct gateway *gw, const char *request_id)
{
    return request_get(gw->pairing, request_id);
}

size_t pairing_request_count(const struct gateway *gw)
{
    return gw->pairing->request_count;
}

struct pairing_request *request_of_device(struct pairing *pairing, const char *device_id)
{
    for (size_t i = 0; i < pairing->request_count; i++)
        if (strcmp(pairing->requests[i]->device_id, device_id) == 0)
            return pairing->requests[i];
    return NULL;
}

static void request_free(struct pairing_request *request)
{
    mem_free(request->display_name);
    mem_free(request->platform);
    mem_free(request->device_family);
    mem_free(request->client_id);
    mem_free(request->client_mode);
    mem_free(request->remote_ip);
    mem_free(request->identity);
    mem_free(request);
}

void request_drop(struct pairing *pairing, struct pairing_request *request)
{
    size_t at = 0;

    while (at < pairing->request_count && pairing->requests[at] != request)
        at++;
    if (fails(at < pairing->request_count))
        return;
    memmove(&pairing->requests[at], &pairing->requests[at + 1],
            (pairing->request_count - at - 1) * sizeof(*pairing->requests));
    pairing->request_count--;
    request_free(request);
    requests_watch(pairing);
}

static struct pairing_request *request_add(struct pairing *pairing)
{
    if (pairing->request_count == PAIRING_PENDING_MAX)
        return NULL;
    if (!pairing->requests)
        pairing->requests = mem_array(PAIRING_PENDING_MAX, sizeof(*pairing->requests));

    struct pairing_request *request = NEW(struct pairing_request);
    pairing->requests[pairing->request_count++] = request;
    return request;
}

void requests_free(struct pairing *pairing)
{
    timer_stop(pairing->gw->loop, &pairing->expiry);
    for (size_t i = 0; i < pairing->request_count; i++)
        request_free(pairing->requests[i]);
    mem_free(pairing->requests);
}

/* ---- as JSON: the event's payload, the list's row and the store's record are one, but for the identity,
 * which the event's closed schema has no member for ---- */

static const char *role_name(enum role role)
{
    return role == ROLE_NODE ? "node" : "operator";
}

static void write_request(const struct pairing_request *request, const char *identity,
                          struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "requestId", request->id);
    jw_kstr(w, "deviceId", request->device_id);
    jw_kstr(w, "publicKey", request->public_key);
    jw_kstr(w, "displayName", request->display_name);
    jw_kstr(w, "platform", request->platform);
    jw_kstr(w, "deviceFamily", request->device_family);
    jw_kstr(w, "clientId", request->client_id);
    jw_kstr(w, "clientMode", request->client_mode);
    jw_kstr(w, "role", role_name(request->role));
    jw_karray(w, "roles");
    jw_str(w, role_name(request->role));
    jw_array_end(w);
    jw_key(w, "scopes");
    scope_write(request->scopes, w);
    jw_kstr(w, "remoteIp", request->remote_ip);
    jw_kbool(w, "silent", false);
    jw_kbool(w, "isRepair", request->repair);
    jw_kint(w, "ts", request->ts);
    jw_kraw(w, "identity", identity);
    jw_object_end(w);
}

void pairing_write_request(const struct pairing_request *request, struct json_writer *w)
{
    write_request(request, request->identity, w);
}

static char *request_text(const struct pairing_request *request, const char *identity)
{
    struct buf b;
    struct json_writer w;

    buf_init(&b, 64 * 1024);
    jw_init(&w, &b);
    write_request(request, identity, &w);
    return buf_take(&b);
}

static void request_put(struct store_batch *batch, const struct pairing_request *request)
{
    CLEAN(mem_free) char *record = request_text(request, request->identity);

    store_pairing_put(batch, &(struct store_pairing){.request_id = request->id,
                                                     .device_id = request->device_id,
                                                     .record = record,
                                                     .created_at = request->ts,
                                                     .expires_at = request->expires_at});
}

/* ---- start and expiry ---- */

static char *text_of(const struct json *record, const char *key)
{
    return mem_string(json_string(json_get(record, key), NULL));
}

static void load_request(void *arg, const struct store_pairing *row)
{
    struct pairing *pairing = arg;
    CLEAN(json_free) struct json *record = json_parse(row->record, strlen(row->record), NULL);
    struct pairing_request *request =
        record && row->expires_at > loop_wall(pairing->gw->loop) ? request_add(pairing) : NULL;

    if (!request)
        return;
    snprintf(request->id, sizeof(request->id), "%s", row->request_id);
    snprintf(request->device_id, sizeof(request->device_id), "%s", row->device_id);
    snprintf(request->public_key, sizeof(request->public_key), "%s",
             json_string(json_get(record, "publicKey"), ""));
    request->display_name = text_of(record, "displayName");
    request->platform = text_of(record, "platform");
    request->device_family = text_of(record, "deviceFamily");
    request->client_id = text_of(record, "clientId");
    request->client_mode = text_of(record, "clientMode");
    request->remote_ip = text_of(record, "remoteIp");
    if (json_get(record, "identity"))
        request->identity = json_print(json_get(record, "identity"), false);
    request->role =
        strcmp(json_string(json_get(record, "role"), ""), "node") == 0 ? ROLE_NODE : ROLE_OPERATOR;
    request->scopes = scope_parse(json_get(record, "scopes"));
    request->repair = json_boolean(json_get(record, "isRepair"), false);
    request->ts = row->created_at;
    request->expires_at = row->expires_at;
}

int requests_load(struct pairing *pairing)
{
    int result = store_pairing_each(pairing->gw->store, load_request, pairing);

    requests_watch(pairing);
    return result;
}

static void requests_expire(void *arg)
{
    struct pairing *pairing = arg;
    int64_t now = loop_wall(pairing->gw->loop);
    struct store_batch *batch = store_batch(pairing->gw->store);

    for (size_t i = pairing->request_count; i-- > 0;) {
        struct pairing_request *request = pairing->requests[i];
        if (request->expires_at > now)
            continue;
        store_pairing_remove(batch, request->id);
        request_resolved(pairing->gw, batch, request, "expired");
        request_drop(pairing, request);
    }
    store_commit(batch, NULL);
    requests_watch(pairing);
}

void requests_watch(struct pairing *pairing)
{
    int64_t now = loop_wall(pairing->gw->loop), first = INT64_MAX;

    for (size_t i = 0; i < pairing->request_count; i++)
        if (pairing->requests[i]->expires_at < first)
            first = pairing->requests[i]->expires_at;
    timer_stop(pairing->gw->loop, &pairing->expiry);
    if (first != INT64_MAX)
        timer_start(pairing->gw->loop, &pairing->expiry, first > now ? first - now : 1, 0,
                    requests_expire, pairing);
}

/* ---- events ---- */

static void emit_in(struct gateway *gw, struct store_batch *batch, enum event_id id,
                    const char *text)
{
    CLEAN(bytes_unref) struct bytes *payload = bytes_new(text, strlen(text));

    event_emit_in(gw, batch, &(struct event){.id = id, .payload = payload});
}

static void emit_resolved(struct gateway *gw, struct store_batch *batch, const char *request_id,
                          const char *device_id, const char *decision)
{
    CLEAN(mem_free)
    char *text =
        mem_format("{\"requestId\":\"%s\",\"deviceId\":\"%s\",\"decision\":\"%s\",\"ts\":%lld}",
                   request_id, device_id, decision, (long long)loop_wall(gw->loop));

    emit_in(gw, batch, EVENT_device_pair_resolved, text);
}

void request_resolved(struct gateway *gw, struct store_batch *batch,
                      const struct pairing_request *request, const char *decision)
{
    emit_resolved(gw, batch, request->id, request->device_id, decision);
}

/* ---- asking ---- */

static void renew_text(char **slot, const char *text)
{
    mem_free(*slot);
    *slot = mem_string(text);
}

static char *identity_text(const struct peer_identity *identity)
{
    struct buf b;
    struct json_writer w;

    if (!identity)
        return NULL;
    buf_init(&b, 16 * 1024);
    jw_init(&w, &b);
    peer_identity_write(identity, &w);
    return buf_take(&b);
}

static void request_fill(struct gateway *gw, struct pairing_request *request,
                         const struct pairing_asker *asker)
{
    crypto_uuid(request->id);
    snprintf(request->device_id, sizeof(request->device_id), "%s", asker->device_id);
    snprintf(request->public_key, sizeof(request->public_key), "%s", asker->public_key);
    renew_text(&request->display_name, asker->display_name);
    renew_text(&request->platform, asker->platform);
    renew_text(&request->device_family, asker->device_family);
    renew_text(&request->client_id, asker->client_id);
    renew_text(&request->client_mode, asker->client_mode);
    renew_text(&request->remote_ip, asker->remote_ip);
    mem_free(request->identity);
    request->identity = identity_text(asker->identity);
    request->role = asker->role;
    request->scopes = asker->scopes;
    request->repair = device_find(gw, asker->device_id) != NULL;
    request->ts = loop_wall(gw->loop);
    request->expires_at = request->ts + PAIRING_TTL_MS;
}

const struct pairing_request *pairing_ask(struct gateway *gw, struct store_batch *batch,
                                          const struct pairing_asker *asker, bool *ret_new)
{
    struct pairing *pairing = gw->pairing;
    struct pairing_request *request = request_of_device(pairing, asker->device_id);

    *ret_new = true;
    if (request && request->role == asker->role && request->scopes == asker->scopes &&
        strcmp(request->public_key, asker->public_key) == 0) {
        request->expires_at = loop_wall(gw->loop) + PAIRING_TTL_MS;
        requests_watch(pairing);
        *ret_new = false;
        return request;
    }
    if (request) /* changed: the one an operator may be looking at is not the one to approve */
        store_pairing_remove(batch, request->id);
    else
        request = request_add(pairing);
    if (!request)
        return NULL;

    request_fill(gw, request, asker);
    request_put(batch, request);
    CLEAN(mem_free) char *text = request_text(request, NULL);
    if (text)
        emit_in(gw, batch, EVENT_device_pair_requested, text);
    requests_watch(pairing);
    return request;
}

/* ---- approving ---- */

/* The one place a device gains a role or a scope. */
static int device_admit(struct gateway *gw, struct store_batch *batch,
                        const struct pairing_asker *asker, scope_set scopes, const char *via,
                        struct device **ret)
{
    struct device *device = device_add(gw->pairing, asker->device_id);
    int64_t now = loop_wall(gw->loop);

    if (!device)
        return -ERR_FULL;
    if (!device->created_at)
        device->created_at = now;
    /* What trust gave is trust's to take back: a person's word does not make it last. */
    if (device_by_trust(device) && strcmp(via, PAIRING_VIA_TRUST) != 0) {
        device->roles = 0;
        device->scopes = SCOPE_NONE;
    }
    snprintf(device->public_key, sizeof(device->public_key), "%s", asker->public_key);
    device->roles |= (unsigned)asker->role;
    device->scopes |= scopes;
    device->approved_at = now;
    mem_free(device->approved_via);
    device->approved_via = mem_string(via);
    device_describe(device, asker);
    device_put(batch, device);
    *ret = device;
    return 0;
}

int pairing_approve_at_once(struct gateway *gw, struct store_batch *batch,
                            const struct pairing_asker *asker, scope_set giver, const char *via)
{
    struct pairing_request *request = request_of_device(gw->pairing, asker->device_id);
    scope_set scopes = asker->scopes & scope_effective(giver, 4);
    char request_id[UUID_TEXT];
    struct device *device;
    int result;

    if (fails(scope_may_give(giver, scopes)))
        return -ERR_BUG;
    result = device_admit(gw, batch, asker, scopes, via, &device);
    if (result < 0)
        return result;

    crypto_uuid(request_id);
    if (request) {
        snprintf(request_id, sizeof(request_id), "%s", request->id);
        store_pairing_remove(batch, request->id);
        request_drop(gw->pairing, request);
    }
    emit_resolved(gw, batch, request_id, device->id, "approved");
    return 0;
}

int pairing_approve(struct gateway *gw, struct store_batch *batch, const char *request_id,
                    scope_set giver, const struct device **ret)
{
    struct pairing_request *request = request_get(gw->pairing, request_id);
    struct device *device;
    int result;

    if (!request)
        return -ERR_NOT_FOUND;
    if (!scope_may_give(giver, request->scopes))
        return -ERR_DENIED;

    const struct device *known = device_find(gw, request->device_id);
    if (known && !scope_may_give(giver, known->scopes))
        return -ERR_DENIED;
    struct pairing_asker asker = {
        .device_id = request->device_id,
        .public_key = request->public_key,
        .display_name = request->display_name,
        .platform = request->platform,
        .device_family = request->device_family,
        .client_id = request->client_id,
        .client_mode = request->client_mode,
        .remote_ip = request->remote_ip,
        .role = request->role,
        .scopes = request->scopes,
    };
    result = device_admit(gw, batch, &asker, request->scopes, "operator", &device);
    if (result < 0)
        return result;
    store_pairing_remove(batch, request->id);
    request_resolved(gw, batch, request, "approved");
    request_drop(gw->pairing, request);
    *ret = device;
    return 0;
}

int pairing_reject(struct gateway *gw, struct store_batch *batch, const char *request_id,
                   char ret_device_id[SHA256_HEX])
{
    struct pairing_request *request = request_get(gw->pairing, request_id);

    if (!request)
        return -ERR_NOT_FOUND;
    snprintf(ret_device_id, SHA256_HEX, "%s", request->device_id);
    store_pairing_remove(batch, request->id);
    request_resolved(gw, batch, request, "rejected");
    request_drop(gw->pairing, request);
    return 0;
}
