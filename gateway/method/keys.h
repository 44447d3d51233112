/* Field rows whose JSON key differs from the member's name, for the method groups of sessions and chat,
 * and the rows several of them share. */
#pragma once

#include "base/field.h"

/* clang-format off */
#define K_(t, k, m, f, kind_) .key = (k), .kind = FIELD_##kind_, .flags = (f), .at = offsetof(struct t, m), .set_at = FIELD_NO_SET
#define K_BOOL(t, k, m, other) {K_(t, k, m, OPTIONAL, BOOL), .otherwise = (other)}
#define K_INT(t, k, m, f, lo, hi, other) {K_(t, k, m, f, INT), .min = (lo), .max = (hi), .otherwise = (other)}
#define K_STR(t, k, m, f, cap) {K_(t, k, m, f, STR), .max = (cap)}
#define K_ENUM(t, k, m, list, other) {K_(t, k, m, OPTIONAL, ENUM), .names = (list), .otherwise = (other)}
#define K_STRS(t, k, m, f, cap) {K_(t, k, m, f, STRS), .max = (cap)}
#define K_OBJECTS(t, k, m, rows, cap) {K_(t, k, m, OPTIONAL, OBJECTS), .sub = (rows), .max = (cap)}
#define K_CHOICE(t, k, m, list) {K_(t, k, m, OPTIONAL, ANY), .names = (list)} /* true, false or a name */
#define K_ANY(t, k, m) {K_(t, k, m, OPTIONAL, ANY)}

#define KEY_CAP 512       /* characters of a session key */
#define MESSAGE_CAP 26214400 /* of a message: the frame ends before */
/* clang-format on */
