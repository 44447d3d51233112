/* The log: file name and mode, one JSON object per line, levels, hostile text, threads. */
#include "tests/t.h"

#define LOG_SUBSYSTEM "probe"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The whole of today's file; the caller frees. */
static char *log_text(void)
{
    char path[4096];
    struct buf b;
    char piece[4096];
    size_t n;

    buf_init(&b, 1 << 24);
    log_file_path(path, sizeof(path));
    FILE *file = fopen(path, "r");
    while (file && (n = fread(piece, 1, sizeof(piece), file)) > 0)
        buf_add(&b, piece, n);
    if (file)
        fclose(file);
    return buf_take(&b);
}

static const char *fresh_directory(void)
{
    static int count;
    static char path[256];

    snprintf(path, sizeof(path), "%s/logs%d", t_tmpdir(), count++);
    mkdir(path, 0700);
    return path;
}

static void set_up(enum log_level level)
{
    struct fault fault = {.text = ""};
    struct log_config config = {.level = level, .quiet = true, .directory = fresh_directory()};

    t_eq(log_setup(&config, &fault), 0);
    t_str(fault.text, "");
}

T(file)
{
    char path[4096];
    struct stat status;

    set_up(LOG_INFO);
    log_file_path(path, sizeof(path));
    t_has(path, "/culvert-20");
    t_str(path + strlen(path) - 4, ".log");
    t_eq(strlen(strrchr(path, '/')), strlen("/culvert-2026-02-03.log"));
    log_info("hello %d", 7);
    t_eq(stat(path, &status), 0);
    t_eq(status.st_mode & 0777, 0600);
    CLEAN(mem_free) char *text = log_text();
    t_json(text, "{'time':'*','level':'info','subsystem':'probe','message':'hello 7'}");
    log_close();
    log_file_path(path, sizeof(path));
    t_str(path, "");
}

T(levels)
{
    set_up(LOG_WARN);
    log_debug("no");
    log_info("no");
    log_warn("yes");
    t_ok(log_enabled(LOG_ERROR) && !log_enabled(LOG_INFO));
    CLEAN(mem_free) char *text = log_text();
    t_json(text, "{'level':'warn','message':'yes'}");
    log_close();
}

T(hostile_text_stays_one_line)
{
    set_up(LOG_DEBUG);
    log_error("a\nb\t\"c\" \x1b[31m \xff\xc3");
    CLEAN(mem_free) char *text = log_text();
    t_eq(strchr(text, '\n') - text, (long long)strlen(text) - 1);
    t_json(text, "{'message':'a\\nb\\t\\\"c\\\" \\u001b[31m \xef\xbf\xbd\xef\xbf\xbd'}");
    log_close();
}

T(long_messages_are_cut)
{
    CLEAN(mem_free) char *big = mem_array(100001, 1);

    memset(big, '\x01', 100000); /* the worst: each byte takes six */
    set_up(LOG_DEBUG);
    log_error("%s", big);
    CLEAN(mem_free) char *text = log_text();
    t_ok(strlen(text) > 8000 && strlen(text) < 60000);
    t_json(text, "{'message':'*'}");
    log_close();
}

/* What a line on stderr looks like, read back through a file. */
static char *stderr_of(bool json)
{
    struct log_config config = {.level = LOG_INFO, .json = json};
    char path[256], piece[4096] = "";
    int saved = dup(STDERR_FILENO);

    snprintf(path, sizeof(path), "%s/stderr%d", t_tmpdir(), json);
    FILE *file = fopen(path, "w+");
    dup2(fileno(file), STDERR_FILENO);
    t_eq(log_setup(&config, NULL), 0);
    log_warn("line\nbreak \x1b");
    log_close();
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    size_t n = fread(piece, 1, sizeof(piece) - 1, file);
    fclose(file);
    return mem_slice(piece, n);
}

T(stderr_text_and_json)
{
    CLEAN(mem_free) char *text = stderr_of(false);
    CLEAN(mem_free) char *json = stderr_of(true);

    t_str(text + strlen("00:00:00.000"), " warn  probe: line break  \n");
    t_json(json, "{'level':'warn','subsystem':'probe','message':'line\\nbreak \\u001b'}");
}

T(old_files_go)
{
    static const char *const names[] = {"culvert-2001-01-01.log", "culvert-2001-01-01.log.txt",
                                        "other-2001-01-01.log", "culvert-2999-01-01.log"};
    const char *directory = fresh_directory();
    struct log_config config = {.quiet = true, .directory = directory};
    char path[512];

    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        FILE *file = fopen(path, "w");
        t_ok(file && fclose(file) == 0);
    }
    t_eq(log_setup(&config, NULL), 0);
    log_close();
    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        t_eq(access(path, F_OK), i == 0 ? -1 : 0);
    }
}

T(unwritable_directory)
{
    struct fault fault = {.text = ""};
    struct log_config config = {.quiet = true, .directory = "/nonexistent/culvert"};

    t_eq(log_setup(&config, &fault), -ERR_IO);
    t_has(fault.text, "cannot write the log file /nonexistent/culvert/culvert-");
    t_has(fault.text, "No such file or directory");
    log_error("goes nowhere");
    log_close();
}

static void *writer(void *arg)
{
    (void)arg;
    for (int i = 0; i < 500; i++)
        log_info("line %d of a thread", i);
    return NULL;
}

T(threads_do_not_mix_lines)
{
    pthread_t threads[4];
    size_t lines = 0;

    set_up(LOG_INFO);
    for (size_t i = 0; i < COUNT(threads); i++)
        t_eq(pthread_create(&threads[i], NULL, writer, NULL), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    CLEAN(mem_free) char *text = log_text();
    for (char *at = text; *at; lines++) {
        char *end = strchr(at, '\n');
        t_ok(end && json_scan(at, (size_t)(end - at), NULL) == 0);
        at = end + 1;
    }
    t_eq(lines, 2000);
    log_close();
}

/* A line of the log says what the fails() macro met; the caller goes on. */
T(fails_reports)
{
    int one = 1;

    set_up(LOG_INFO);
    t_ok(!fails(one == 1));
    t_ok(fails(one == 2));
    CLEAN(mem_free) char *text = log_text();
    t_json(text, "{'level':'error'}");
    t_has(text, "one == 2");
    log_close();
}
