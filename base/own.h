/* Ownership, ids and assertions: the small macros every file leans on. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CLEAN(json_free) struct json *j = NULL;   frees j when it leaves scope.
 * TAKE(j) hands the value over and leaves NULL behind. */
#define CLEAN(fn) __attribute__((cleanup(fn##p)))
#define DEFINE_CLEAN(type, fn)                                                                     \
    static inline __attribute__((unused)) void fn##p(type *p)                                      \
    {                                                                                              \
        if (*p)                                                                                    \
            *p = fn(*p);                                                                           \
    }
#define TAKE(p)                                                                                    \
    ({                                                                                             \
        __typeof__(p) take_ = (p);                                                                 \
        (p) = NULL;                                                                                \
        take_;                                                                                     \
    })

/* A local that is filled before it is read: the release build, which zeroes locals, leaves it alone. Only
 * where a profile shows it. */
#define LATER __attribute__((uninitialized))

#define MUSTCHECK                    __attribute__((warn_unused_result))
#define PRINTF(fmt, args)            __attribute__((format(printf, fmt, args)))
#define COUNT(array)                 (sizeof(array) / sizeof((array)[0]))
#define CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* A typed id: the compiler refuses a session id where a connection id is wanted. Zero is none. */
#define DEFINE_ID(name)                                                                            \
    typedef struct name {                                                                          \
        uint64_t v;                                                                                \
    } name

/* Three strengths. require: cannot happen, dies always. fails: must not happen, logs and returns
 * true, the caller handles it. CHECK: the object is what the void pointer claims (magic first). */
#define require(x)                                                                                 \
    do {                                                                                           \
        if (__builtin_expect(!(x), 0))                                                             \
            require_failed(#x, __FILE__, __LINE__);                                                \
    } while (0)
#define fails(x)           (__builtin_expect(!(x), 0) && fails_report(#x, __FILE__, __LINE__))
#define CHECK(obj, magic_) require((obj) != NULL && (obj)->magic == (magic_))

__attribute__((noreturn)) void require_failed(const char *what, const char *file, int line);
bool fails_report(const char *what, const char *file, int line);
