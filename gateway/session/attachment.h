/* Attachments of a message: images as base64 or data URLs become image parts. Pure. protocol.md 6.5. */
#pragma once

#include "base/json.h"

#define ATTACHMENTS_MAX      20
#define ATTACHMENT_BYTES_MAX 5000000 /* decoded */

/* attachments (array of {mimeType?, fileName?, content}, NULL: none) into a JSON array text of image
 * parts, owned by the caller; *ret NULL when there are none. -ERR_INVALID, -ERR_TOO_LARGE or
 * -ERR_UNSUPPORTED with a fault that names the attachment. */
int attachments_images(const struct json *attachments, char **ret, struct fault *reterr_fault);
