/* Which secret guards the gateway. Order: command line, environment, configuration, the made token.
 * design.md section 3 "Without any credential", protocol.md 2.7. */
#include "gateway/credential.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKEN_FILE_MAX 4096

static const char *const modes[] = {"token", "password", "none", "trusted-proxy"};

static const char *first_given(const char *option, const char *env, const char *other_env)
{
    const char *value = option;

    if (!value || !value[0])
        value = getenv(env);
    if (!value || !value[0])
        value = getenv(other_env);
    return value && value[0] ? value : NULL;
}

static bool known_mode(const char *mode)
{
    for (size_t i = 0; i < COUNT(modes); i++)
        if (strcmp(mode, modes[i]) == 0)
            return true;
    return false;
}

char *credential_read(const char *state_dir)
{
    CLEAN(mem_free) char *path = mem_format("%s/identity/token", state_dir);
    char text[TOKEN_FILE_MAX];
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return NULL;
    ssize_t length = fstat(fd, &st) == 0 && !(st.st_mode & 077) ? read(fd, text, sizeof(text)) : -1;
    close(fd);
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == ' '))
        length--;
    char *token = length > 0 ? mem_slice(text, (size_t)length) : NULL;
    crypto_wipe(text, sizeof(text));
    return token;
}

static int make_token(const char *state_dir, char token[TOKEN_TEXT], struct fault *reterr_fault)
{
    CLEAN(mem_free) char *path = mem_format("%s/identity/token", state_dir);
    CLEAN(mem_free) char *temporary = mem_format("%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    crypto_token(token);
    bool written = fd >= 0 && write(fd, token, strlen(token)) == (ssize_t)strlen(token) &&
                   write(fd, "\n", 1) == 1 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    if (!written || rename(temporary, path) < 0)
        return fault_set(reterr_fault, -ERR_IO, "cannot store the gateway token in %s: %s", path,
                         strerror(errno));
    return 0;
}

static int settle_token(struct gateway *gw, bool *ret_made, struct fault *reterr_fault)
{
    char *stored = credential_read(gw->state_dir);
    char made[TOKEN_TEXT];
    int r = 0;

    if (!stored) {
        r = make_token(gw->state_dir, made, reterr_fault);
        *ret_made = r == 0;
    }
    if (r == 0)
        config_override(gw->config, KNOB_auth_token, stored ? stored : made);
    crypto_wipe(made, sizeof(made));
    mem_wipe_free(stored, stored ? strlen(stored) : 0);
    return r;
}

int credential_settle(struct gateway *gw, const struct gateway_options *options, bool *ret_made,
                      struct fault *reterr_fault)
{
    const char *token =
        first_given(options->token, "CULVERT_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_TOKEN");
    const char *password =
        first_given(options->password, "CULVERT_GATEWAY_PASSWORD", "OPENCLAW_GATEWAY_PASSWORD");

    *ret_made = false;
    /* The environment fills in what the configuration leaves open; the command line wins over both. */
    if (token && (options->token || !config_str(gw->config, KNOB_auth_token)))
        config_override(gw->config, KNOB_auth_token, token);
    if (password && (options->password || !config_str(gw->config, KNOB_auth_password)))
        config_override(gw->config, KNOB_auth_password, password);
    if (options->auth)
        config_override(gw->config, KNOB_auth_mode, options->auth);

    bool has_password = config_str(gw->config, KNOB_auth_password) != NULL;
    const char *mode = config_str(gw->config, KNOB_auth_mode);
    if (!mode)
        config_override(gw->config, KNOB_auth_mode, mode = has_password ? "password" : "token");
    if (!known_mode(mode))
        return fault_set(
            reterr_fault, -ERR_INVALID,
            "unknown authentication mode \"%s\": use token, password, none or trusted-proxy", mode);
    if (strcmp(mode, "password") == 0 && !has_password)
        return fault_set(reterr_fault, -ERR_INVALID,
                         "authentication by password needs one: set gateway.auth.password or "
                         "CULVERT_GATEWAY_PASSWORD");
    if (strcmp(mode, "token") == 0 && !config_str(gw->config, KNOB_auth_token))
        return settle_token(gw, ret_made, reterr_fault);
    return 0;
}
