/* Between known_hosts.c (files and verdicts), known_hosts_line.c (one line, pure) and known_hosts_add.c. */
#pragma once

#include "tunnel/ssh/known_hosts.h"

enum known_marker { KNOWN_PLAIN, KNOWN_REVOKED, KNOWN_AUTHORITY };

/* Borrowed from the line. */
struct known_line {
    enum known_marker marker;
    const char *names, *type, *base64;
    size_t names_length, type_length, base64_length;
};
/* length without the LF. False: empty, a comment, or nothing that makes sense. */
bool known_line_read(const char *text, size_t length, struct known_line *ret);
/* A line of RevokedHostKeys: the key alone. */
bool known_line_revoked(const char *text, size_t length, struct known_line *ret);
/* name as known_hosts_name gives it. */
bool known_line_names(const struct known_line *line, const char *name);
/* "|1|salt|hash" of name, with a salt or a new one; out holds 64 bytes. */
int known_name_hash(const char *name, const uint8_t salt[20], char out[64]);

/* Lower case, "[name]:port" for a port that is not 22. Caller owns. */
char *known_hosts_name(const char *name, int port) MUSTCHECK;
struct known_hosts *known_hosts_of_fd(int fd, const char *path, struct fault *reterr_fault)
    MUSTCHECK;
struct known_hosts *known_hosts_of_text(const char *text, size_t length) MUSTCHECK;
bool known_hosts_ends_within_line(const struct known_hosts *hosts); /* of the first file */
