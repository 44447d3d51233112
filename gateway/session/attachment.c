/* Attachments: decoded, looked at, written as parts. Owns nothing. */
#include "gateway/session/attachment.h"

#include "base/crypto.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define PARTS_MAX (64u * 1024 * 1024)
#define LABEL_MAX 128 /* bytes of a file's name that are told */

static const struct {
    const char *mime;
    size_t at, length;
    const char *magic;
} image_kinds[] = {
    {"image/png", 0, 8, "\x89PNG\r\n\x1a\n"},
    {"image/jpeg", 0, 3, "\xff\xd8\xff"},
    {"image/gif", 0, 4, "GIF8"},
    {"image/webp", 8, 4, "WEBP"},
};

static const char *attachment_sniff(const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < COUNT(image_kinds); i++) {
        size_t end = image_kinds[i].at + image_kinds[i].length;

        if (length >= end &&
            memcmp(data + image_kinds[i].at, image_kinds[i].magic, image_kinds[i].length) == 0)
            return image_kinds[i].mime;
    }
    return NULL;
}

/* Whole UTF-8 without the control characters that no text has. */
static bool attachment_is_text(const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (data[i] < ' ' && !strchr("\t\n\r\f", data[i]))
            return false;
    }
    return json_is_utf8((const char *)data, length);
}

/* Behind "data:…;base64," when it is a data URL. */
static const char *attachment_base64(const char *content)
{
    const char *comma = strncmp(content, "data:", 5) == 0 ? strchr(content, ',') : NULL;

    return comma ? comma + 1 : content;
}

/* ---- text files ---- */

/* What a person may read of a name: no line breaks, no backticks. */
static void attachment_name(const char *label, char out[LABEL_MAX + 1])
{
    size_t n = 0;

    for (; label[n] && n < LABEL_MAX; n++)
        out[n] = (unsigned char)label[n] < ' ' || label[n] == '`' ? '_' : label[n];
    while (label[n] && n > 0 && ((unsigned char)label[n] & 0xc0) == 0x80)
        n--; /* not in the middle of a character */
    out[n] = '\0';
}

/* One backtick more than the longest run in the text, three at least. */
static int attachment_fence(const char *text, size_t length)
{
    int longest = 2, run = 0;

    for (size_t i = 0; i < length; i++) {
        run = text[i] == '`' ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest + 1;
}

static void attachment_write_text(const char *label, const char *text, size_t length,
                                  struct json_writer *w)
{
    int fence = attachment_fence(text, length);
    char name[LABEL_MAX + 1];
    struct buf b;

    attachment_name(label, name);
    buf_init(&b, PARTS_MAX);
    buf_addf(&b, "Attached file %s:\n", name);
    for (int i = 0; i < fence; i++)
        buf_add_char(&b, '`');
    buf_add_char(&b, '\n');
    buf_add(&b, text, length);
    buf_add_str(&b, length > 0 && text[length - 1] == '\n' ? "" : "\n");
    for (int i = 0; i < fence; i++)
        buf_add_char(&b, '`');
    jw_object(w);
    jw_kstr(w, "type", "text");
    jw_key(w, "text");
    jw_strn(w, b.data, b.length);
    jw_object_end(w);
    buf_done(&b);
}

/* ---- one attachment ---- */

static int attachment_too_large(const char *label, size_t length, size_t max, struct fault *fault)
{
    return fault_set(fault, -ERR_TOO_LARGE, "attachment %s: exceeds size limit (%zu > %zu bytes)",
                     label, length, max);
}

static int attachment_write_data(const char *label, const char *base64, const uint8_t *data,
                                 size_t length, bool images_only, struct json_writer *w,
                                 struct fault *fault)
{
    const char *mime = attachment_sniff(data, length);

    if (mime) {
        if (length > ATTACHMENT_IMAGE_MAX)
            return attachment_too_large(label, length, ATTACHMENT_IMAGE_MAX, fault);
        jw_object(w);
        jw_kstr(w, "type", "image");
        jw_kstr(w, "data", base64);
        jw_kstr(w, "mimeType", mime);
        jw_object_end(w);
        return 0;
    }
    if (images_only)
        return fault_set(fault, -ERR_INVALID,
                         "attachment %s: only PNG, JPEG, GIF and WebP images are supported", label);
    if (length >= 5 && memcmp(data, "%PDF-", 5) == 0)
        return fault_set(
            fault, -ERR_INVALID,
            "attachment %s: this gateway does not read PDF; send its text, or its pages "
            "as images",
            label);
    if (!attachment_is_text(data, length))
        return fault_set(
            fault, -ERR_INVALID,
            "attachment %s: only PNG, JPEG, GIF and WebP images and text files (UTF-8) "
            "are supported",
            label);
    if (length > ATTACHMENT_TEXT_MAX)
        return attachment_too_large(label, length, ATTACHMENT_TEXT_MAX, fault);
    attachment_write_text(label, (const char *)data, length, w);
    return 0;
}

static int attachment_write(const struct json *item, const char *label, bool images_only,
                            struct json_writer *w, struct fault *fault)
{
    const char *content = json_string(json_get(item, "content"), NULL);
    const char *base64 = content ? attachment_base64(content) : "";
    size_t length = strlen(base64), room = length / 4 * 3 + 4;
    CLEAN(mem_free) uint8_t *data = NULL;
    int r;

    if (length == 0)
        return fault_set(fault, -ERR_INVALID, "attachment %s: content must be base64", label);
    if (room > ATTACHMENT_IMAGE_MAX + 4) /* nothing may be larger */
        return attachment_too_large(label, room, ATTACHMENT_IMAGE_MAX, fault);
    data = mem_new(room);
    r = crypto_base64_decode(base64, length, data, room);
    if (r <= 0)
        return fault_set(fault, -ERR_INVALID, "attachment %s: invalid base64 content", label);
    return attachment_write_data(label, base64, data, (size_t)r, images_only, w, fault);
}

/* ---- all of them ---- */

static int attachments_write(const struct json *attachments, bool images_only, char **ret,
                             struct fault *reterr_fault)
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
    buf_init(&b, PARTS_MAX);
    jw_init(&w, &b);
    jw_array(&w);
    json_each (item, attachments) {
        char number[24];

        snprintf(number, sizeof(number), "%zu", ++n);
        r = attachment_write(item, json_string(json_get(item, "fileName"), number), images_only, &w,
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

int attachments_parts(const struct json *attachments, char **ret, struct fault *reterr_fault)
{
    return attachments_write(attachments, false, ret, reterr_fault);
}

int attachments_images(const struct json *attachments, char **ret, struct fault *reterr_fault)
{
    return attachments_write(attachments, true, ret, reterr_fault);
}
