/* Attachments of a message, base64 or data URLs: images become image parts, text files text parts with their
 * name and contents in a fence. What an attachment is decides its content, not what the client calls it.
 * Pure. protocol.md 6.5. */
#pragma once

#include "base/json.h"

#define ATTACHMENTS_MAX      20
#define ATTACHMENT_IMAGE_MAX 5000000 /* bytes decoded; hello's policy.attachments.maxImageBytes */
#define ATTACHMENT_TEXT_MAX  (512 * 1024) /* of a text file; hello's policy.attachments.maxBytes */

/* attachments (array of {mimeType?, fileName?, content}, NULL: none) into a JSON array text of content
 * parts, owned by the caller; *ret NULL when there are none. -ERR_INVALID, -ERR_TOO_LARGE or
 * -ERR_UNSUPPORTED with a fault that names the attachment. */
int attachments_parts(const struct json *attachments, char **ret, struct fault *reterr_fault);
/* The same, refusing what is no image. */
int attachments_images(const struct json *attachments, char **ret, struct fault *reterr_fault);
