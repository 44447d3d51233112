/* Attachments. What an attachment is decides its content, not what the client calls it. */
#include "gateway/session/attachment.h"

#include "base/crypto.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *mime;
    size_t at, length;
    const char *magic;
} attachment_kinds[] = {
    {"image/png", 0, 8, "\x89PNG\r\n\x1a\n"},
    {"image/jpeg", 0, 3, "\xff\xd8\xff"},
    {"image/gif", 0, 4, "GIF8"},
    {"image/webp", 8, 4, "WEBP"},
};

static const char *attachment_sniff(const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < COUNT(attachment_kinds); i++) {
        size_t end = attachment_kinds[i].at + attachment_kinds[i].length;

        if (length >= end && memcmp(data + attachment_kinds[i].at, attachment_kinds[i].magic,
                                    attachment_kinds[i].length) == 0)
            return attachment_kinds[i].mime;
    }
    return NULL;
}

/* Behind "data:…;base64," when it is a data URL. */
static const char *attachment_base64(const char *content)
{
    const char *comma = strncmp(content, "data:", 5) == 0 ? strchr(content, ',') : NULL;

    return comma ? comma + 1 : content;
}

static int attachment_write(const struct json *item, const char *label, struct json_writer *w,
                            struct fault *fault)
{
    const char *content = json_string(json_get(item, "content"), NULL);
    const char *base64 = content ? attachment_base64(content) : "";
    size_t length = strlen(base64), room = length / 4 * 3 + 4;
    CLEAN(mem_free) uint8_t *data = NULL;
    const char *mime;
    int r;

    if (length == 0)
        return fault_set(fault, -ERR_INVALID, "attachment %s: content must be base64", label);
    if (room > ATTACHMENT_BYTES_MAX + 4)
        return fault_set(fault, -ERR_TOO_LARGE,
                         "attachment %s: exceeds size limit (%zu > %d bytes)", label, room,
                         ATTACHMENT_BYTES_MAX);
    data = mem_new(room);
    r = crypto_base64_decode(base64, length, data, room);
    if (r <= 0)
        return fault_set(fault, -ERR_INVALID, "attachment %s: invalid base64 content", label);
    mime = attachment_sniff(data, (size_t)r);
    if (!mime)
        return fault_set(fault, -ERR_INVALID,
                         "attachment %s: only PNG, JPEG, GIF and WebP images are supported", label);
    jw_object(w);
    jw_kstr(w, "type", "image");
    jw_kstr(w, "data", base64);
    jw_kstr(w, "mimeType", mime);
    jw_object_end(w);
    return 0;
}

int attachments_images(const struct json *attachments, char **ret, struct fault *reterr_fault)
{
    struct json_writer w;
    struct buf b;
    size_t n = 0;
    int r = 0;

    *ret = NULL;
    if (json_count(attachments) == 0)
        return 0;
    if (json_count(attachments) > ATTACHMENTS_MAX)
        return fault_set(reterr_fault, -ERR_TOO_LARGE, "at most %d attachments in one message",
                         ATTACHMENTS_MAX);
    buf_init(&b, 64u * 1024 * 1024);
    jw_init(&w, &b);
    jw_array(&w);
    json_each (item, attachments) {
        char number[24];

        snprintf(number, sizeof(number), "%zu", ++n);
        r = attachment_write(item, json_string(json_get(item, "fileName"), number), &w,
                             reterr_fault);
        if (r < 0)
            break;
    }
    jw_array_end(&w);
    if (r == 0)
        *ret = buf_take(&b);
    buf_done(&b);
    return r;
}
