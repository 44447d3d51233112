/* The lines of a bridge and of its streams, written and read. Pure: bytes in, struct out. Every word has a fixed alphabet and
 * a ceiling, so that none can end a line, begin another or pass for something else; a reader takes exactly what the
 * writer writes. Formats: bridge.h. */
#include "tunnel/bridge.h"

#include "base/crypto.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define PREFIX        "CULVERT/1 "
#define PREFIX_LENGTH (sizeof(PREFIX) - 1)
#define REGISTER      PREFIX "bridge "
#define ERROR         PREFIX "error "
#define FROM          "from="
#define KEY_PREFIX    "SHA256:"
#define TICKET_LENGTH (TOKEN_TEXT - 1)
#define SOCKET_MAX    107 /* sun_path */
#define OFFER_VERSION 1

_Static_assert(TOKEN_TEXT <= BRIDGE_TICKET, "a ticket fits");

/* ---- words ---- */

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_word(const char *text, size_t length, size_t max, const char *also)
{
    if (length == 0 || length > max)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!is_alphanumeric(text[i]) && (text[i] == '\0' || !strchr(also, text[i])))
            return false;
    return true;
}

bool bridge_is_name(const char *text)
{
    return is_word(text, strlen(text), BRIDGE_NAME_MAX - 1, "._@+-");
}

static bool is_address(const char *text, size_t length)
{
    return is_word(text, length, BRIDGE_ADDRESS_MAX - 1, ".:%_-[]");
}

bool bridge_is_address(const char *text)
{
    return is_address(text, strlen(text));
}

bool bridge_is_key(const char *text)
{
    size_t prefix = sizeof(KEY_PREFIX) - 1, length = strlen(text);

    return length == prefix + TICKET_LENGTH && strncmp(text, KEY_PREFIX, prefix) == 0 &&
           is_word(text + prefix, length - prefix, TICKET_LENGTH, "+/");
}

static bool is_method(const char *text)
{
    return is_word(text, strlen(text), /* max= */ 32, "-");
}

static bool is_ticket(const char *text, size_t length)
{
    return length == TICKET_LENGTH && is_word(text, length, TICKET_LENGTH, "-_");
}

static bool service_of(const char *name, size_t length, enum bridge_service *ret)
{
    for (unsigned i = 0; i < BRIDGE_SERVICES; i++) {
        const char *known = bridge_service_name((enum bridge_service)i);
        if (strlen(known) == length && memcmp(known, name, length) == 0) {
            *ret = (enum bridge_service)i;
            return true;
        }
    }
    return false;
}

bool bridge_service_parse(const char *name, enum bridge_service *ret)
{
    return service_of(name, strlen(name), ret);
}

static bool begins(const char *line, size_t length, const char *with)
{
    size_t n = strlen(with);

    return length >= n && memcmp(line, with, n) == 0;
}

static size_t without_lf(const char *line, size_t length)
{
    return length > 0 && line[length - 1] == '\n' ? length - 1 : length;
}

/* ---- registering ---- */

/* What a claim may look like: one row each. */
static const struct {
    const char *key;
    size_t at;
    bool (*good)(const char *text);
} claims_rows[] = {
    {"as", offsetof(struct bridge_claims, as), bridge_is_name},
    {"address", offsetof(struct bridge_claims, address), bridge_is_address},
    {"key", offsetof(struct bridge_claims, key), bridge_is_key},
    {"method", offsetof(struct bridge_claims, method), is_method},
};

void bridge_write_register(struct buf *out, const struct bridge_claims *claims)
{
    struct json_writer w;

    buf_add_str(out, REGISTER);
    jw_init(&w, out);
    jw_object(&w);
    for (size_t i = 0; i < COUNT(claims_rows); i++) {
        const char *const *value =
            (const char *const *)(const void *)((const char *)claims + claims_rows[i].at);
        if (*value && claims_rows[i].good(*value))
            jw_kstr(&w, claims_rows[i].key, *value);
    }
    jw_object_end(&w);
    buf_add_char(out, '\n');
}

bool bridge_is_register(const char *line, size_t length)
{
    return begins(line, length, REGISTER);
}

int bridge_read_register(const char *line, size_t length, struct json **ret_tree,
                         struct bridge_claims *ret, struct fault *reterr_fault)
{
    CLEAN(json_free) struct json *tree = NULL;
    struct bridge_claims claims = {0};

    length = without_lf(line, length);
    if (length > BRIDGE_LINE_MAX)
        return fault_set(reterr_fault, -ERR_TOO_LARGE, "the bridge's line is too long");
    if (!bridge_is_register(line, length))
        return fault_set(reterr_fault, -ERR_INVALID, "not a bridge's line");
    tree = json_parse(line + strlen(REGISTER), length - strlen(REGISTER), reterr_fault);
    if (!tree)
        return -ERR_INVALID;
    if (json_kind(tree) != JSON_OBJECT)
        return fault_set(reterr_fault, -ERR_INVALID, "a bridge's claims are an object");
    for (size_t i = 0; i < COUNT(claims_rows); i++) {
        const struct json *member = json_get(tree, claims_rows[i].key);
        const char *value = json_string(member, NULL);
        if (!member)
            continue;
        if (!value || !claims_rows[i].good(value))
            return fault_set(reterr_fault, -ERR_INVALID, "the bridge's \"%s\" is not one",
                             claims_rows[i].key);
        *(const char **)(void *)((char *)&claims + claims_rows[i].at) = value;
    }
    *ret = claims;
    *ret_tree = TAKE(tree);
    return 0;
}

/* ---- the offer ---- */

void bridge_write_offer(struct buf *out, const struct bridge_offer *offer)
{
    struct json_writer w;

    jw_init(&w, out);
    jw_object(&w);
    jw_kint(&w, "culvert", OFFER_VERSION);
    if (offer->error) {
        jw_kstr(&w, "error", offer->error);
    } else {
        jw_kstr(&w, "version", offer->version);
        jw_kstr(&w, "socket", offer->socket);
        jw_kstr(&w, "ticket", offer->ticket);
        jw_kstr(&w, "gateway", offer->gateway);
        jw_karray(&w, "services");
        for (unsigned i = 0; i < BRIDGE_SERVICES; i++)
            if (offer->services[i])
                jw_str(&w, bridge_service_name((enum bridge_service)i));
        jw_array_end(&w);
    }
    jw_object_end(&w);
    buf_add_char(out, '\n');
}

/* For people and their terminals: one line, whatever the far end wrote. */
static char *plain_line(const char *text)
{
    char *line = mem_string(text);

    for (char *c = line; c && *c; c++)
        *c = (unsigned char)*c < ' ' || *c == 0x7f ? ' ' : *c;
    return line;
}

static int offer_read(const struct json *tree, struct bridge_offer *ret, struct fault *fault)
{
    const char *error = json_string(json_get(tree, "error"), NULL);
    const char *socket = json_string(json_get(tree, "socket"), NULL);
    const char *ticket = json_string(json_get(tree, "ticket"), NULL);
    enum bridge_service service;

    if (json_integer(json_get(tree, "culvert"), 0) != OFFER_VERSION)
        return fault_set(fault, -ERR_UNSUPPORTED,
                         "the culvert over there speaks another version of the bridge; bring both "
                         "to the same release");
    if (error) {
        ret->error = plain_line(error);
        return 0;
    }
    if (!socket || socket[0] != '/' || strlen(socket) > SOCKET_MAX)
        return fault_set(fault, -ERR_CORRUPT, "the bridge names no socket to connect to");
    if (!ticket || !is_ticket(ticket, strlen(ticket)))
        return fault_set(fault, -ERR_CORRUPT, "the bridge gave no ticket");
    snprintf(ret->ticket, sizeof(ret->ticket), "%s", ticket);
    ret->socket = mem_string(socket);
    ret->version = plain_line(json_string(json_get(tree, "version"), ""));
    ret->gateway = plain_line(json_string(json_get(tree, "gateway"), ""));
    json_each (item, json_get(tree, "services"))
        if (bridge_service_parse(json_string(item, ""), &service))
            ret->services[service] = true;
    return 0;
}

int bridge_read_offer(const char *line, size_t length, struct bridge_offer *ret,
                      struct fault *reterr_fault)
{
    struct bridge_offer offer = {0};

    length = without_lf(line, length);
    if (length > 0 && line[length - 1] == '\r')
        length--;
    if (length > BRIDGE_LINE_MAX || length == 0 || line[0] != '{')
        return fault_set(reterr_fault, -ERR_NOT_FOUND, "not the bridge's line");

    CLEAN(json_free) struct json *tree = json_parse(line, length, NULL);
    if (!tree || !json_get(tree, "culvert"))
        return fault_set(reterr_fault, -ERR_NOT_FOUND, "not the bridge's line");

    int r = offer_read(tree, &offer, reterr_fault);
    if (r == 0)
        *ret = offer;
    return r;
}

void bridge_offer_done(struct bridge_offer *offer)
{
    crypto_wipe(offer->ticket, sizeof(offer->ticket));
    mem_free(offer->socket);
    mem_free(offer->gateway);
    mem_free(offer->version);
    mem_free(offer->error);
    *offer = (struct bridge_offer){0};
}

/* ---- a stream ---- */

void bridge_write_stream(struct buf *out, const char *ticket, enum bridge_service service,
                         const char *from)
{
    buf_addf(out, PREFIX "%s %s", ticket, bridge_service_name(service));
    if (from && bridge_is_address(from))
        buf_addf(out, " " FROM "%s", from);
    buf_add_char(out, '\n');
}

/* The next word, parted from what follows by exactly one space. */
static struct json_slice next_word(const char **at, const char *end)
{
    struct json_slice word = {.at = *at};
    const char *space = memchr(*at, ' ', (size_t)(end - *at));

    word.length = (size_t)((space ? space : end) - *at);
    *at = space ? space + 1 : NULL;
    return word;
}

int bridge_read_stream(const char *line, size_t length, struct bridge_stream *ret,
                       struct fault *reterr_fault)
{
    struct bridge_stream stream = {0};
    const char *end = line + without_lf(line, length), *at = line + PREFIX_LENGTH;

    if ((size_t)(end - line) > BRIDGE_LINE_MAX)
        return fault_set(reterr_fault, -ERR_TOO_LARGE, "the first line is too long");
    if (!begins(line, (size_t)(end - line), PREFIX))
        return fault_set(reterr_fault, -ERR_INVALID,
                         "the first line does not begin with \"" PREFIX "\"");

    struct json_slice ticket = next_word(&at, end);
    if (!is_ticket(ticket.at, ticket.length))
        return fault_set(reterr_fault, -ERR_INVALID, "that is not a ticket");
    memcpy(stream.ticket, ticket.at, ticket.length);

    struct json_slice service = at ? next_word(&at, end) : (struct json_slice){0};
    if (!service.at || !service_of(service.at, service.length, &stream.service))
        return fault_set(reterr_fault, -ERR_INVALID,
                         "the service is neither \"gateway\" nor \"canvas\"");
    if (at) {
        size_t prefix = sizeof(FROM) - 1, left = (size_t)(end - at);
        if (!begins(at, left, FROM) || !is_address(at + prefix, left - prefix))
            return fault_set(reterr_fault, -ERR_INVALID, "after the service comes from=ADDRESS");
        memcpy(stream.from, at + prefix, left - prefix);
    }
    *ret = stream;
    return 0;
}

/* ---- why not ---- */

void bridge_write_error(struct buf *out, const char *why)
{
    buf_add_str(out, ERROR);
    for (size_t i = 0; why[i] && i < BRIDGE_ERROR_MAX - 1; i++)
        buf_add_char(out, (unsigned char)why[i] < ' ' ? ' ' : why[i]);
    buf_add_char(out, '\n');
}

bool bridge_read_error(const char *line, size_t length, char ret_why[BRIDGE_ERROR_MAX])
{
    size_t n = 0;

    length = without_lf(line, length);
    if (!begins(line, length, ERROR))
        return false;
    for (size_t i = strlen(ERROR); i < length && n < BRIDGE_ERROR_MAX - 1; i++)
        ret_why[n++] = (unsigned char)line[i] < ' ' || line[i] == 0x7f ? ' ' : line[i];
    ret_why[n] = '\0';
    return true;
}
