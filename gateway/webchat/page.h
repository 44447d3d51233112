/* The files of WebChat, embedded at build by gateway/webchat/embed.cmake. */
#pragma once

#include <stddef.h>

struct page_file {
    const char *path;                    /* "/js/main.js"; NULL ends the table */
    const char *type;                    /* content type */
    const char *etag;                    /* of the contents, with its quotes */
    const unsigned char *whole, *packed; /* packed: gzip */
    size_t whole_size, packed_size;
};
extern const struct page_file page_files[];
