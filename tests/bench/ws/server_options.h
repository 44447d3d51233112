/* Options that the floor and the bare door share. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct server_options {
    const char *unix_path; /* NULL: TCP on 127.0.0.1 */
    int port;
    bool handshake;    /* a challenge first, and the first request is the connect */
    const char *reply; /* to each request */
    const char *event; /* not NULL: each request also sends it to every connection */
};

static const char challenge_text[] =
    "{\"type\":\"event\",\"event\":\"connect.challenge\",\"payload\":{\"nonce\":\"0\",\"ts\":0}}";

static inline const char *text_of(const char *value)
{
    char *text = NULL;
    FILE *file = value[0] == '@' ? fopen(value + 1, "r") : NULL;

    if (!file)
        return value;
    text = calloc(1, 1 << 20);
    if (text && fread(text, 1, (1 << 20) - 1, file) > 0)
        text[strcspn(text, "\n")] = '\0';
    fclose(file);
    return text;
}

static inline bool server_options_parse(int argc, char **argv, struct server_options *o)
{
    memset(o, 0, sizeof(*o));
    o->reply = "{\"type\":\"res\",\"id\":\"1\",\"ok\":true,\"payload\":{\"ts\":1700000000000,"
               "\"status\":\"ok\",\"reason\":\"nothing to report\"}}";
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--handshake") == 0) {
            o->handshake = true;
            continue;
        }
        if (!value)
            return false;
        if (strcmp(argv[i], "--unix") == 0)
            o->unix_path = value;
        else if (strcmp(argv[i], "--port") == 0)
            o->port = (int)strtol(value, NULL, 10);
        else if (strcmp(argv[i], "--reply") == 0)
            o->reply = text_of(value);
        else if (strcmp(argv[i], "--event") == 0)
            o->event = text_of(value);
        else
            return false;
        i++;
    }
    return true;
}
