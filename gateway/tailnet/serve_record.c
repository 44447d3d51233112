/* The record of a background claim: one JSON object in a file of ours, made whole before it has its name. */
#include "gateway/tailnet/serve_record.h"

#include "base/json.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RECORD_MAX 4096

static char *path_in(const char *state_dir, const char *suffix)
{
    return mem_format("%s/tailscale-serve.json%s", state_dir, suffix);
}

void serve_record_set(struct serve_record *record, const char *host, const char *target,
                      const char *session)
{
    /* The arguments may be the record's own. */
    char *new_host = mem_string(host), *new_target = mem_string(target);

    serve_record_done(record);
    record->host = new_host;
    record->target = new_target;
    snprintf(record->session, sizeof(record->session), "%s", session);
}

void serve_record_done(struct serve_record *record)
{
    mem_free(record->host);
    mem_free(record->target);
    *record = (struct serve_record){0};
}

bool serve_record_exists(const char *state_dir)
{
    CLEAN(mem_free) char *path = path_in(state_dir, "");
    return access(path, F_OK) == 0;
}

int serve_record_read(const char *state_dir, struct serve_record *ret)
{
    CLEAN(mem_free) char *path = path_in(state_dir, "");
    char text[RECORD_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return -ERR_NOT_FOUND;
    ssize_t length = read(fd, text, sizeof(text));
    close(fd);
    CLEAN(json_free)
    struct json *tree = length > 0 ? json_parse(text, (size_t)length, NULL) : NULL;
    const char *host = json_string(json_get(tree, "host"), NULL);
    const char *target = json_string(json_get(tree, "target"), NULL);
    if (!host || !target)
        return -ERR_CORRUPT;
    serve_record_set(ret, host, target, "");
    return 0;
}

int serve_record_write(const char *state_dir, const struct serve_record *record,
                       struct fault *reterr_fault)
{
    CLEAN(mem_free) char *path = path_in(state_dir, "");
    CLEAN(mem_free) char *new_path = path_in(state_dir, ".new");
    CLEAN(json_free) struct json *tree = json_new_object();

    json_put(tree, "host", json_new_string(record->host));
    json_put(tree, "target", json_new_string(record->target));
    CLEAN(mem_free) char *text = json_print(tree, /* pretty= */ false);
    int fd = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) &&
                   fsync(fd) == 0 && rename(new_path, path) == 0;
    int error = errno;

    if (fd >= 0)
        close(fd);
    return written ? 0
                   : fault_set(reterr_fault, -ERR_IO, "cannot write %s: %s", path, strerror(error));
}

void serve_record_remove(const char *state_dir)
{
    CLEAN(mem_free) char *path = path_in(state_dir, "");
    unlink(path);
}
