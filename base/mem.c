/* The only door to the heap: never NULL, overflow-checked, zeroed where the header says so. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t mem_bytes(size_t count, size_t size)
{
    size_t bytes;

    require(!__builtin_mul_overflow(count, size, &bytes));
    return bytes ? bytes : 1;
}

void *mem_new(size_t size)
{
    return mem_array(1, size);
}

void *mem_array(size_t count, size_t size)
{
    void *p = calloc(1, mem_bytes(count, size));

    require(p != NULL);
    return p;
}

void *mem_grow(void *old, size_t count, size_t size)
{
    void *p = realloc(old, mem_bytes(count, size));

    require(p != NULL);
    return p;
}

char *mem_string(const char *text)
{
    return text ? mem_slice(text, strlen(text)) : NULL;
}

char *mem_slice(const char *text, size_t length)
{
    char *p = malloc(mem_bytes(length + 1, 1));

    require(p != NULL);
    if (length)
        memcpy(p, text, length);
    p[length] = '\0';
    return p;
}

char *mem_format(const char *format, ...)
{
    va_list args, again;

    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    require(n >= 0);
    char *p = malloc((size_t)n + 1);
    require(p != NULL);
    vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    return p;
}

void *mem_copy(const void *data, size_t length)
{
    void *p = malloc(mem_bytes(length, 1));

    require(p != NULL);
    if (length)
        memcpy(p, data, length);
    return p;
}

void *mem_free(void *p)
{
    free(p);
    return NULL;
}

void *mem_wipe_free(void *p, size_t length)
{
    if (p)
        explicit_bzero(p, length);
    return mem_free(p);
}
