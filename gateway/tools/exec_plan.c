/* From words to what execve gets. The environment is made from a list of what is harmless, so that no
 * secret of ours is ever in it; the program is looked up once, here, and run by the path without links that was found. */
#include "gateway/tools/exec_plan.h"

#include "base/mem.h"
#include "gateway/tools/words.h"
#include "gateway/tools/workspace.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define ENV_MAX      128 /* variables of a call */
#define SHELL        "/bin/sh"

struct exec_plan *exec_plan_new(const char *command, const char *workdir, const struct json *env,
                                const char *workspace, const char *forbidden)
{
    struct exec_plan *plan = NEW(struct exec_plan);

    plan->command = mem_string(command);
    plan->workdir = mem_string(workdir);
    plan->env = env ? json_copy(env) : NULL;
    plan->workspace = mem_string(workspace);
    plan->forbidden = mem_string(forbidden);
    plan->cwd_fd = -1;
    return plan;
}

struct exec_plan *exec_plan_again(const struct exec_plan *plan)
{
    return exec_plan_new(plan->command, plan->workdir, plan->env, plan->workspace, plan->forbidden);
}

struct exec_plan *exec_plan_free(struct exec_plan *plan)
{
    if (!plan)
        return NULL;
    if (plan->cwd_fd >= 0)
        close(plan->cwd_fd);
    words_free(plan->argv);
    words_free(plan->envp);
    json_free(plan->env);
    mem_free(plan->command);
    mem_free(plan->workdir);
    mem_free(plan->workspace);
    mem_free(plan->forbidden);
    mem_free(plan->resolved);
    mem_free(plan->cwd);
    return mem_free(plan);
}

/* ---- programs that run others ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The name itself, or with a version or a variant behind it ("python3.11", "vim.basic"). */
static bool is_one_of(const char *path, const char *const *names, size_t count)
{
    const char *name = base_name(path);

    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(names[i]);

        if (strncmp(name, names[i], n) == 0 &&
            (name[n] == '.' || strspn(name + n, "0123456789.-") == strlen(name + n)))
            return true;
    }
    return false;
}

static const char *const shell_names[] = {
    "sh",
    "bash",
    "dash",
    "ash",
    "zsh",
    "ksh",
    "mksh",
    "fish",
    "csh",
    "tcsh",
    "busybox",
    "toybox",
    "env",
    "xargs",
    "sudo",
    "su",
    "doas",
    "runuser",
    "nohup",
    "nice",
    "ionice",
    "timeout",
    "setsid",
    "stdbuf",
    "script",
    "watch",
    "time",
    "chroot",
    "unshare",
    "nsenter",
    "strace",
    "ltrace",
    "gdb",
    "ssh",
    "find",
    "parallel",
    "flock",
    "exec",
    "eval",
    "systemd-run",
    "at",
    "batch",
    "make",
    "rlwrap",
    "expect",
    "rbash",
    "pkexec",
    "taskset",
    "chrt",
    "prlimit",
    "setpriv",
    "setarch",
    "linux32",
    "linux64",
    "i386",
    "x86_64",
    "choom",
    "uclampset",
    "capsh",
    "sg",
    "newgrp",
    "start-stop-daemon",
    "run-parts",
    "systemd-inhibit",
    "systemd-nspawn",
    "dbus-run-session",
    "ssh-agent",
    "bwrap",
    "firejail",
    "fakeroot",
    "numactl",
    "tmux",
    "screen",
    "xvfb-run",
    "torsocks",
    "proxychains4",
    "coreutils",
    "ld.so",
    "ld-linux-x86-64.so",
    "ld-linux-aarch64.so",
};

bool exec_is_shell(const char *path)
{
    return is_one_of(path, shell_names, COUNT(shell_names));
}

bool exec_is_interpreter(const char *path)
{
    static const char *const names[] = {
        "python", "pypy",   "perl",   "ruby",      "irb",   "node",    "nodejs", "deno",
        "bun",    "php",    "lua",    "luajit",    "tclsh", "wish",    "awk",    "gawk",
        "mawk",   "nawk",   "sed",    "osascript", "R",     "Rscript", "julia",  "ghci",
        "java",   "npx",    "npm",    "uvx",       "vi",    "vim",     "ed",     "emacs",
        "git",    "docker", "podman", "tar",       "rsync", "man",     "less",   "m4",
        "nvim",   "yarn",   "pnpm",   "uv",        "pipx",  "cargo",   "go",     "bundle",
    };
    return is_one_of(path, names, COUNT(names));
}

/* ---- environment ---- */

/* Of ours, what a program needs to feel at home. */
static bool is_harmless(const char *entry)
{
    static const char *const names[] = {"HOME", "USER",   "LOGNAME", "LANG",
                                        "TZ",   "TMPDIR", "LANGUAGE"};
    size_t n = strcspn(entry, "=");

    if (strncmp(entry, "LC_", 3) == 0)
        return true;
    for (size_t i = 0; i < COUNT(names); i++) {
        if (strlen(names[i]) == n && strncmp(entry, names[i], n) == 0)
            return true;
    }
    return false;
}

/* Only absolute folders: "." and empty ones would let the workspace stand in for a program. */
static char *clean_path(void)
{
    const char *path = getenv("PATH");
    struct buf b;

    buf_init(&b, 65536);
    for (path = path ? path : PATH_DEFAULT; *path; path += *path == ':') {
        size_t n = strcspn(path, ":");

        if (*path == '/') {
            if (b.length > 0)
                buf_add_char(&b, ':');
            buf_add(&b, path, n);
        }
        path += n;
    }
    if (b.length == 0)
        buf_add_str(&b, PATH_DEFAULT);
    return buf_take(&b);
}

/* Names by which a program is made to load or run something else. */
static bool is_dangerous(const char *name)
{
    static const char *const names[] = {
        "PATH",
        "IFS",
        "ENV",
        "BASH_ENV",
        "SHELLOPTS",
        "BASHOPTS",
        "PS4",
        "PROMPT_COMMAND",
        "CDPATH",
        "SHELL",
        "HOME",
        "EDITOR",
        "VISUAL",
        "PAGER",
        "MANPAGER",
        "LESSOPEN",
        "LESSCLOSE",
        "BROWSER",
        "GCONV_PATH",
        "GLIBC_TUNABLES",
        "NODE_OPTIONS",
        "NODE_PATH",
        "JAVA_TOOL_OPTIONS",
        "_JAVA_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "RUBYOPT",
        "RUBYLIB",
        "PERL5OPT",
        "PERL5LIB",
        "PERL5DB",
        "PERLLIB",
        "LUA_INIT",
        "LUA_PATH",
        "LUA_CPATH",
        "PHPRC",
        "PHP_INI_SCAN_DIR",
        "TERMINFO",
        "TERMCAP",
        "OPENSSL_CONF",
        "OPENSSL_MODULES",
        "SSH_ASKPASS",
        "SUDO_ASKPASS",
        "AWKPATH",
        "MAKEFLAGS",
        "CLASSPATH",
    };
    static const char *const prefixes[] = {"LD_",    "DYLD_",      "BASH_FUNC", "GIT_",
                                           "PYTHON", "NPM_CONFIG", "CULVERT_",  "OPENCLAW_"};

    for (size_t i = 0; i < COUNT(names); i++) {
        if (strcasecmp(name, names[i]) == 0)
            return true;
    }
    for (size_t i = 0; i < COUNT(prefixes); i++) {
        if (strncasecmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    return false;
}

static int check_name(const char *name, struct fault *fault)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

    if (n == 0 || name[n] || isdigit((unsigned char)name[0]) || n > 128)
        return fault_set(fault, -ERR_INVALID, "env: \"%.64s\" is no name of a variable", name);
    if (is_dangerous(name))
        return fault_set(fault, -ERR_DENIED,
                         "env: %s may not be set: it makes programs load or run something else",
                         name);
    return 0;
}

static bool is_given(const struct exec_plan *plan, const char *entry)
{
    CLEAN(mem_free) char *name = mem_slice(entry, strcspn(entry, "="));
    return json_get(plan->env, name) != NULL;
}

static int plan_environment(struct exec_plan *plan, struct fault *fault)
{
    size_t own = 0, count = 0;
    CLEAN(mem_free) char *path = clean_path();

    if (json_count(plan->env) > ENV_MAX)
        return fault_set(fault, -ERR_INVALID, "env: more than %d variables", ENV_MAX);
    while (environ[own])
        own++;
    plan->envp = mem_array(own + json_count(plan->env) + 3, sizeof(char *));
    plan->envp[count++] = mem_format("PATH=%s", path);
    if (!json_get(plan->env, "TERM"))
        plan->envp[count++] = mem_string("TERM=dumb");
    for (size_t i = 0; i < own; i++) {
        if (is_harmless(environ[i]) && !is_given(plan, environ[i]))
            plan->envp[count++] = mem_string(environ[i]);
    }
    json_each (item, plan->env) {
        int r = check_name(json_key(item), fault);

        if (r < 0)
            return r;
        plan->envp[count++] = mem_format("%s=%s", json_key(item), json_string(item, ""));
    }
    return 0;
}

/* ---- folder ---- */

static int plan_folder(struct exec_plan *plan, struct fault *fault)
{
    CLEAN(mem_free)
    char *plain = workspace_relative(plan->workspace,
                                     plan->workdir && *plan->workdir ? plan->workdir : ".", fault);
    char link[64], real[PATH_MAX];
    int root, r;
    ssize_t n;

    if (!plain)
        return fault->code;
    if ((root = workspace_root(plan->workspace, fault)) < 0)
        return root;
    plan->cwd_fd = workspace_open(root, plain, O_PATH | O_DIRECTORY, 0, fault);
    r = plan->cwd_fd < 0 ? plan->cwd_fd
                         : workspace_guard(root, plan->cwd_fd, plan->forbidden, plain, fault);
    close(root);
    if (r < 0)
        return r;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", plan->cwd_fd);
    n = readlink(link, real, sizeof(real) - 1);
    if (n <= 0)
        return fault_set(fault, -ERR_IO, "cannot tell where the folder is: %s",
                         strerrordesc_np(errno));
    plan->cwd = mem_slice(real, (size_t)n);
    return 0;
}

/* ---- program ---- */

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* The absolute path of the program, as execvp would find it with the PATH it gets; NULL: none. */
static char *find_program(const struct exec_plan *plan, const char *name)
{
    const char *path = plan->envp[0] + strlen("PATH=");

    if (strchr(name, '/')) {
        char *full = name[0] == '/' ? mem_string(name) : mem_format("%s/%s", plan->cwd, name);
        return is_program(full) ? full : mem_free(full);
    }
    for (; *path; path += *path == ':') {
        size_t n = strcspn(path, ":");
        char *full = mem_format("%.*s/%s", (int)n, path, name);

        if (is_program(full))
            return full;
        mem_free(full);
        path += n;
    }
    return NULL;
}

/* Also when it cannot be told. */
static bool is_editable(const struct exec_plan *plan)
{
    char top[PATH_MAX];
    size_t n;

    if (!realpath(plan->workspace, top))
        return true;
    n = strcmp(top, "/") == 0 ? 0 : strlen(top);
    return strncmp(plan->resolved, top, n) == 0 && plan->resolved[n] == '/';
}

static int plan_program(struct exec_plan *plan, struct fault *fault)
{
    char *found, real[PATH_MAX];
    int r = words_split(plan->command, &plan->argv, fault);

    if (r < 0)
        return r;
    if (r == 1) {
        plan->shell = true;
        plan->argv = mem_array(4, sizeof(char *));
        plan->argv[0] = mem_string(SHELL);
        plan->argv[1] = mem_string("-c");
        plan->argv[2] = mem_string(plan->command);
    }
    found = find_program(plan, plan->argv[0]);
    if (!found)
        return fault_set(fault, -ERR_NOT_FOUND, "there is no program \"%.200s\" on this machine",
                         plan->argv[0]);
    mem_free(plan->argv[0]);
    plan->argv[0] = found;
    if (!realpath(found, real))
        return fault_set(fault, -ERR_IO, "%.200s: %s", found, strerrordesc_np(errno));
    plan->resolved = mem_string(real);
    plan->editable = is_editable(plan);
    plan->shell = plan->shell || exec_is_shell(found) || exec_is_shell(real);
    return 0;
}

/* ---- fingerprint ---- */

static void print_list(struct buf *b, const char *name, char *const *list)
{
    for (size_t i = 0; list[i]; i++)
        buf_addf(b, "%s %zu:%s\n", name, strlen(list[i]), list[i]);
}

static int plan_print(struct exec_plan *plan, struct fault *fault)
{
    struct stat st;
    struct buf b;

    if (stat(plan->resolved, &st) < 0)
        return fault_set(fault, -ERR_IO, "%.200s: %s", plan->resolved, strerrordesc_np(errno));
    buf_init(&b, 16u << 20);
    print_list(&b, "argv", plan->argv);
    print_list(&b, "env", plan->envp);
    buf_addf(&b,
             "cwd %s\nfile %s %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64 ".%09ld %" PRId64
             ".%09ld\n",
             plan->cwd, plan->resolved, (uint64_t)st.st_dev, (uint64_t)st.st_ino,
             (int64_t)st.st_size, (int64_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
             (int64_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    if (b.bad) {
        buf_done(&b);
        return fault_set(fault, -ERR_TOO_LARGE, "the command is too long");
    }
    crypto_sha256_hex(b.data, b.length, plan->print);
    buf_done(&b);
    return 0;
}

int exec_plan_work(struct exec_plan *plan, struct fault *reterr_fault)
{
    int r;

    if ((r = plan_environment(plan, reterr_fault)) < 0 ||
        (r = plan_folder(plan, reterr_fault)) < 0 || (r = plan_program(plan, reterr_fault)) < 0 ||
        (r = plan_print(plan, reterr_fault)) < 0)
        return r;
    return 0;
}
