/* Files of the command line's device. Losing cli-tokens.json costs one more pairing, so a write that fails
 * is not an error of the command. */
#include "gateway/cli/device_store.h"

#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/credential.h"
#include "gateway/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKENS_MAX 262144

/* The system socket's folder is not ours (root may write to it all the same): the key lives in the home then. */
static char *identity_home(const struct target *target)
{
    struct stat st;

    if (stat(target->state_dir, &st) < 0 || st.st_uid == geteuid())
        return mem_string(target->state_dir);
    return mem_format("%s/.culvert", getenv("HOME") ? getenv("HOME") : "");
}

int device_store_identity(const struct target *target, struct identity **ret,
                          struct fault *reterr_fault)
{
    CLEAN(mem_free) char *home = identity_home(target);
    CLEAN(mem_free) char *folder = mem_format("%s/identity", home);

    if ((mkdir(home, 0700) < 0 && errno != EEXIST) || (mkdir(folder, 0700) < 0 && errno != EEXIST))
        return fault_set(
            reterr_fault, -ERR_IO,
            "cannot make %s for our device key: %s; set CULVERT_STATE_DIR to a folder of yours",
            folder, strerror(errno));
    return identity_load(home, "cli", ret, reterr_fault);
}

static char *tokens_path(const struct target *target)
{
    CLEAN(mem_free) char *home = identity_home(target);
    return mem_format("%s/identity/cli-tokens.json", home);
}

static struct json *tokens_read(const struct target *target)
{
    CLEAN(mem_free) char *path = tokens_path(target);
    CLEAN(mem_free) char *text = mem_array(TOKENS_MAX, 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t length = fd < 0 ? -1 : read(fd, text, TOKENS_MAX);
    struct json *tokens = length > 0 ? json_parse(text, (size_t)length, NULL) : NULL;

    if (fd >= 0)
        close(fd);
    return json_kind(tokens) == JSON_OBJECT ? tokens : (json_free(tokens), json_new_object());
}

static void tokens_write(const struct target *target, const struct json *tokens)
{
    CLEAN(mem_free) char *path = tokens_path(target);
    CLEAN(mem_free) char *temporary = mem_format("%s.new", path);
    CLEAN(mem_free) char *text = json_print(tokens, true);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    if (!written || rename(temporary, path) < 0)
        unlink(temporary);
}

/* One entry per place: a token of one gateway is never shown to another. */

char *device_store_get(const struct target *target)
{
    CLEAN(json_free) struct json *tokens = tokens_read(target);

    return mem_string(json_string(json_get(tokens, target->place), NULL));
}

bool device_store_has(const struct target *target)
{
    CLEAN(mem_free) char *token = device_store_get(target);
    return token != NULL;
}

void device_store_put(const struct target *target, const char *token)
{
    CLEAN(json_free) struct json *tokens = tokens_read(target);

    if (!token || strcmp(json_string(json_get(tokens, target->place), ""), token) == 0)
        return;
    json_put(tokens, target->place, json_new_string(token));
    tokens_write(target, tokens);
}

void device_store_forget(const struct target *target)
{
    CLEAN(json_free) struct json *tokens = tokens_read(target);

    json_remove(tokens, target->place);
    tokens_write(target, tokens);
}

char *device_store_local_secret(const struct target *target, char **ret_password)
{
    CLEAN(mem_free) char *path = mem_format("%s/culvert.json", target->state_dir);
    struct config *config = NULL;
    char *token = NULL;

    if (config_load(path, &config, NULL) == 0) {
        token = mem_string(config_str(config, KNOB_auth_token));
        if (!token && !*ret_password)
            *ret_password = mem_string(config_str(config, KNOB_auth_password));
        config_free(config);
    }
    return token || *ret_password ? token : credential_read(target->state_dir);
}
