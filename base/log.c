/* The log. One mutex keeps lines whole. The file changes with the UTC day, holds at most LOG_FILE_MAX
 * bytes (then stderr carries on alone until the next day) and lives LOG_DAYS_KEPT days. A file that
 * cannot be written is said once a day on stderr. */
#define LOG_SUBSYSTEM "log"
#include "base/log.h"

#include "base/json.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_MESSAGE_MAX 8192
#define LOG_LINE_MAX    (LOG_MESSAGE_MAX * 6 + 512)
#define LOG_PATH_MAX    4096
#define LOG_FILE_MAX    (256 << 20)
#define LOG_DAYS_KEPT   14

static struct {
    pthread_mutex_t lock;
    enum log_level level;
    bool json, quiet;
    char *directory; /* NULL: no file */
    char day[11];    /* "2026-02-03" of the open file */
    int fd;
    size_t written; /* size of the open file */
} log_state = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_INFO, .fd = -1};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

struct log_stamp {
    char day[11];  /* 2026-02-03 */
    char time[25]; /* 2026-02-03T04:05:06.789Z */
};

static void log_stamp_now(struct log_stamp *stamp)
{
    struct timespec now;
    struct tm tm;
    char seconds[20];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(stamp->day, sizeof(stamp->day), "%Y-%m-%d", &tm);
    strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &tm);
    unsigned ms = (unsigned)(now.tv_nsec / 1000000) % 1000;
    snprintf(stamp->time, sizeof(stamp->time), "%s.%03uZ", seconds, ms);
}

static bool log_path(const char *day, char *out, size_t size)
{
    int n = snprintf(out, size, "%s/culvert-%s.log", log_state.directory, day);

    return n > 0 && (size_t)n < size;
}

/* ---- with the lock held ---- */

/* The name of the oldest file that is kept. */
static void log_oldest_name(char *out, size_t size)
{
    struct timespec now;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &now);
    time_t oldest = now.tv_sec - (LOG_DAYS_KEPT - 1) * 86400;
    gmtime_r(&oldest, &tm);
    strftime(out, size, "culvert-%Y-%m-%d.log", &tm);
}

static void log_remove_old(void)
{
    char oldest[sizeof("culvert-2026-02-03.log")];
    const struct dirent *entry;
    DIR *dir = opendir(log_state.directory);

    log_oldest_name(oldest, sizeof(oldest));
    while (dir && (entry = readdir(dir))) {
        const char *name = entry->d_name;
        bool ours = strlen(name) == strlen(oldest) && strncmp(name, "culvert-", 8) == 0 &&
                    strcmp(name + strlen(name) - 4, ".log") == 0;
        if (ours && strcmp(name, oldest) < 0) /* dates in this form sort as text */
            unlinkat(dirfd(dir), name, 0);
    }
    if (dir)
        closedir(dir);
}

static int log_open(const struct log_stamp *stamp, struct fault *fault)
{
    char path[LOG_PATH_MAX];

    if (log_state.fd >= 0)
        close(log_state.fd);
    log_state.fd = -1;
    memcpy(log_state.day, stamp->day, sizeof(log_state.day));
    if (!log_path(stamp->day, path, sizeof(path)))
        return fault_set(fault, -ERR_INVALID, "the log directory's path is too long");
    log_state.fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log_state.fd >= 0) {
        struct stat status;
        log_state.written = fstat(log_state.fd, &status) == 0 ? (size_t)status.st_size : 0;
        log_remove_old();
        return 0;
    }
    return fault_set(fault, -ERR_IO, "cannot write the log file %s: %s", path,
                     strerrordesc_np(errno));
}

static void log_write_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, text, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* disk full or a closed terminal: nobody left to tell */
        text += n;
        length -= (size_t)n;
    }
}

static void log_json_line(struct buf *out, enum log_level level, const struct log_stamp *stamp,
                          const char *subsystem, const char *message)
{
    struct json_writer w;

    jw_init(&w, out);
    jw_object(&w);
    jw_kstr(&w, "time", stamp->time);
    jw_kstr(&w, "level", level_names[level]);
    jw_kstr(&w, "subsystem", subsystem);
    jw_kstr(&w, "message", message);
    jw_object_end(&w);
    buf_add_char(out, '\n');
}

/* Control characters would let a message forge lines or drive the terminal. */
static void log_text_line(struct buf *out, enum log_level level, const struct log_stamp *stamp,
                          const char *subsystem, const char *message)
{
    buf_addf(out, "%.12s %-5s %s: ", stamp->time + 11, level_names[level], subsystem);
    for (const char *c = message; *c; c++)
        buf_add_char(out, (unsigned char)*c < 0x20 || *c == 0x7f ? ' ' : *c);
    buf_add_char(out, '\n');
}

static void log_write_file(const struct log_stamp *stamp, const struct buf *line)
{
    struct fault fault;

    if (memcmp(stamp->day, log_state.day, sizeof(stamp->day)) != 0) {
        bool failed = log_open(stamp, &fault) < 0;
        if (failed && !log_state.quiet)
            fprintf(stderr, "culvert: %s\n", fault.text);
    }
    if (log_state.fd < 0 || line->bad || log_state.written + line->length > LOG_FILE_MAX)
        return;
    log_write_all(log_state.fd, line->data, line->length);
    log_state.written += line->length;
}

static void log_write(enum log_level level, const char *subsystem, const char *message)
{
    CLEAN(buf_done) struct buf json, text;
    struct log_stamp stamp;

    buf_init(&json, LOG_LINE_MAX);
    buf_init(&text, LOG_LINE_MAX);
    log_stamp_now(&stamp);
    if (log_state.directory || log_state.json)
        log_json_line(&json, level, &stamp, subsystem, message);
    if (log_state.directory)
        log_write_file(&stamp, &json);
    if (log_state.quiet)
        return;
    if (!log_state.json)
        log_text_line(&text, level, &stamp, subsystem, message);
    const struct buf *line = log_state.json ? &json : &text;
    if (!line->bad)
        log_write_all(STDERR_FILENO, line->data, line->length);
}

/* ---- public ---- */

int log_setup(const struct log_config *config, struct fault *reterr_fault)
{
    struct log_stamp stamp;
    int r = 0;

    log_stamp_now(&stamp);
    pthread_mutex_lock(&log_state.lock);
    __atomic_store_n(&log_state.level, config->level, __ATOMIC_RELAXED);
    log_state.json = config->json;
    log_state.quiet = config->quiet;
    if (log_state.fd >= 0)
        close(log_state.fd);
    log_state.fd = -1;
    mem_free(log_state.directory);
    log_state.directory = mem_string(config->directory);
    if (log_state.directory)
        r = log_open(&stamp, reterr_fault);
    pthread_mutex_unlock(&log_state.lock);
    return r;
}

void log_close(void)
{
    pthread_mutex_lock(&log_state.lock);
    if (log_state.fd >= 0)
        close(log_state.fd);
    log_state.fd = -1;
    log_state.directory = mem_free(log_state.directory);
    pthread_mutex_unlock(&log_state.lock);
}

bool log_enabled(enum log_level level)
{
    return level >= __atomic_load_n(&log_state.level, __ATOMIC_RELAXED);
}

void log_to(enum log_level level, const char *subsystem, const char *format, ...)
{
    char message[LOG_MESSAGE_MAX];
    va_list args;

    if (!log_enabled(level))
        return;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    pthread_mutex_lock(&log_state.lock);
    log_write(level, subsystem, message);
    pthread_mutex_unlock(&log_state.lock);
}

void log_file_path(char *out, size_t size)
{
    struct log_stamp stamp;

    log_stamp_now(&stamp);
    pthread_mutex_lock(&log_state.lock);
    if (!log_state.directory || !log_path(stamp.day, out, size))
        out[0] = '\0';
    pthread_mutex_unlock(&log_state.lock);
}
