/* Reading a configuration: root file, then depth first every $include below it. An included file must
 * lie in the root file's folder or below (symbolic links resolved), so that someone who may write the
 * configuration cannot read other files through it. Errors of included files name file, line and
 * column and never quote the text. */
#include "gateway/config/source.h"

#include "base/mem.h"
#include "gateway/config/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One file being merged; a chain through its includers finds cycles. */
struct include {
    const struct include *up;
    const char *path;
    const struct step *mount;
    unsigned depth;
};

struct builder {
    struct sources *sources;
    struct issues *issues;
    char *folder; /* real path of the root's folder, "" when it has none */
};

static int read_all(int fd, char *text, size_t size, size_t *ret_length)
{
    size_t length = 0;

    while (length < size) {
        ssize_t n = read(fd, text + length, size - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -ERR_IO;
        if (n == 0)
            break;
        length += (size_t)n;
    }
    *ret_length = length;
    return 0;
}

static int read_open(int fd, const char *path, char **ret_text, size_t *ret_length,
                     struct fault *reterr_fault)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return fault_set(reterr_fault, -ERR_INVALID, "%s is not a regular file", path);
    if (st.st_size > (off_t)SOURCE_BYTES_MAX)
        return fault_set(reterr_fault, -ERR_TOO_LARGE, "%s is larger than %zu bytes", path,
                         SOURCE_BYTES_MAX);
    char *text = mem_new(SOURCE_BYTES_MAX + 1);
    size_t length = 0;
    int r = read_all(fd, text, SOURCE_BYTES_MAX, &length);
    if (r == 0) {
        *ret_text = mem_slice(text, length);
        *ret_length = length;
    } else {
        fault_set(reterr_fault, r, "cannot read %s: %s", path, strerrordesc_np(errno));
    }
    mem_wipe_free(text, length);
    return r;
}

int source_read(const char *path, char **ret_text, size_t *ret_length, struct fault *reterr_fault)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0) {
        int code = errno == ENOENT ? -ERR_NOT_FOUND : errno == EACCES ? -ERR_DENIED : -ERR_IO;
        return fault_set(reterr_fault, code, "cannot open %s: %s", path, strerrordesc_np(errno));
    }
    int r = read_open(fd, path, ret_text, ret_length, reterr_fault);
    close(fd);
    return r;
}

/* Values below and with j; SIZE_MAX when some object has too many members. */
static size_t count_values(const struct json *j)
{
    size_t count = 1, members = 0;

    json_each (item, j) {
        size_t below = count_values(item);
        members += json_key(item) != NULL;
        if (below == SIZE_MAX || members > SOURCE_MEMBERS_MAX)
            return SIZE_MAX;
        count += below;
    }
    return count;
}

static char **mount_copy(const struct step *mount, size_t *ret_count)
{
    const struct step *steps[JSON_DEPTH_MAX];
    size_t count = step_list(mount, steps, COUNT(steps));
    char **keys = mem_array(count + 1, sizeof(*keys));

    for (size_t i = 0; i < count; i++)
        keys[i] = steps[i]->key ? mem_string(steps[i]->key) : mem_format("%zu", steps[i]->index);
    *ret_count = count;
    return keys;
}

/* Keeps the text and parses it. NULL with an issue. */
static struct json *source_add(struct builder *b, const struct include *file, char *text,
                               size_t length)
{
    struct sources *sources = b->sources;
    struct fault fault = {0};

    if (!sources->items)
        sources->items = mem_array(SOURCE_COUNT_MAX, sizeof(*sources->items));
    struct source *source = &sources->items[sources->count++];
    *source = (struct source){.path = mem_string(file->path), .text = text, .length = length};
    source->mount = mount_copy(file->mount, &source->mount_count);
    struct json *tree = json5_parse(text, length, &fault);
    if (!tree) {
        issues_add(b->issues, "", file->path, 0, mem_string(fault.text));
        return NULL;
    }
    size_t values = count_values(tree);
    sources->values += values == SIZE_MAX ? 0 : values;
    if (values == SIZE_MAX || sources->values > SOURCE_VALUES_MAX) {
        issues_add(b->issues, "", file->path, 0,
                   mem_format("larger than a configuration may be: %d values in all, %d members in "
                              "one object",
                              SOURCE_VALUES_MAX, SOURCE_MEMBERS_MAX));
        return json_free(tree);
    }
    return tree;
}

static void include_issue(struct builder *b, const struct include *file, const struct step *at,
                          char *message)
{
    char path[CONFIG_PATH_MAX];
    int line;
    const char *where = sources_locate(b->sources, at, &line);

    step_text(at, path, sizeof(path));
    issues_add(b->issues, path, line ? where : file->path, line, message);
}

static bool is_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);

    return !strncmp(path, folder, length) && (length == 1 || path[length] == '/');
}

/* The real path of what file names by name, or NULL with an issue. */
static char *include_resolve(struct builder *b, const struct include *file, const struct step *at,
                             const char *name)
{
    const char *slash = strrchr(file->path, '/');
    char real[PATH_MAX];
    CLEAN(mem_free)
    char *path = name[0] == '/' || !slash
                     ? mem_string(name)
                     : mem_format("%.*s/%s", (int)(slash - file->path), file->path, name);

    if (!realpath(path, real)) {
        include_issue(b, file, at,
                      mem_format("cannot include %s: %s", path, strerrordesc_np(errno)));
        return NULL;
    }
    if (!is_below(real, b->folder)) {
        include_issue(b, file, at,
                      mem_format("%s lies outside %s; included files must be in the folder of the "
                                 "configuration or below it",
                                 path, b->folder));
        return NULL;
    }
    for (const struct include *up = file; up; up = up->up) {
        if (strcmp(up->path, real) == 0) {
            include_issue(b, file, at, mem_format("%s includes itself", real));
            return NULL;
        }
    }
    return mem_string(real);
}

static struct json *merge_value(struct builder *b, const struct include *file,
                                const struct step *at, const struct json *in);

/* One named file as a merged value, or NULL with an issue. */
static struct json *include_file(struct builder *b, const struct include *file,
                                 const struct step *at, const struct json *name)
{
    struct fault fault = {0};
    char *text = NULL;
    size_t length = 0;

    if (json_kind(name) != JSON_STRING) {
        include_issue(b, file, at, mem_string("$include: expected a file name or a list of them"));
        return NULL;
    }
    if (file->depth == SOURCE_DEPTH_MAX || b->sources->count == SOURCE_COUNT_MAX) {
        include_issue(b, file, at,
                      mem_format("too many included files (at most %d, %d deep)", SOURCE_COUNT_MAX,
                                 SOURCE_DEPTH_MAX));
        return NULL;
    }
    CLEAN(mem_free) char *path = include_resolve(b, file, at, json_string(name, ""));
    if (!path)
        return NULL;
    if (source_read(path, &text, &length, &fault) < 0) {
        include_issue(b, file, at, mem_string(fault.text));
        return NULL;
    }
    struct include next = {.up = file, .path = path, .mount = at, .depth = file->depth + 1};
    CLEAN(json_free) struct json *tree = source_add(b, &next, text, length);
    return tree ? merge_value(b, &next, at, tree) : NULL;
}

/* from over into: objects member by member, lists joined, else from wins. Takes both. */
static struct json *merge_over(struct json *into, struct json *from)
{
    if (json_kind(into) == JSON_ARRAY && json_kind(from) == JSON_ARRAY) {
        json_each (item, from)
            json_append(into, json_copy(item));
    } else if (json_kind(into) == JSON_OBJECT && json_kind(from) == JSON_OBJECT) {
        json_each (item, from) {
            const struct json *old = json_get(into, json_key(item));
            struct json *value = json_copy(item);
            json_put(into, json_key(item), old ? merge_over(json_copy(old), value) : value);
        }
    } else {
        json_free(into);
        return from;
    }
    json_free(from);
    return into;
}

/* All files of an object's $include, in order; NULL with an issue. */
static struct json *include_all(struct builder *b, const struct include *file,
                                const struct step *at, const struct json *names)
{
    if (json_kind(names) != JSON_ARRAY)
        return include_file(b, file, at, names);
    struct json *all = json_new_object();
    json_each (name, names) {
        struct json *one = include_file(b, file, at, name);
        if (!one)
            return json_free(all);
        all = merge_over(all, one);
    }
    return all;
}

static struct json *merge_object(struct builder *b, const struct include *file,
                                 const struct step *at, const struct json *in)
{
    const struct json *names = json_get(in, "$include");
    struct json *out = names ? include_all(b, file, at, names) : json_new_object();

    if (!out)
        return NULL;
    if (json_kind(out) != JSON_OBJECT && json_count(in) > 1) {
        include_issue(b, file, at,
                      mem_string("an included file that is not an object cannot stand beside "
                                 "other keys"));
        return json_free(out);
    }
    json_each (item, in) {
        if (strcmp(json_key(item), "$include") == 0)
            continue;
        struct step below = step_to(at, item, 0);
        struct json *value = merge_value(b, file, &below, item);
        if (!value)
            return json_free(out);
        const struct json *old = json_get(out, json_key(item));
        json_put(out, json_key(item), old ? merge_over(json_copy(old), value) : value);
    }
    return out;
}

static struct json *merge_value(struct builder *b, const struct include *file,
                                const struct step *at, const struct json *in)
{
    if (json_kind(in) == JSON_OBJECT)
        return merge_object(b, file, at, in);
    if (json_kind(in) != JSON_ARRAY)
        return json_copy(in);
    struct json *out = json_new_array();
    size_t index = 0;
    json_each (item, in) {
        struct step below = step_to(at, item, index++);
        struct json *value = merge_value(b, file, &below, item);
        if (!value)
            return json_free(out);
        json_append(out, value);
    }
    return out;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char real[PATH_MAX];
    CLEAN(mem_free)
    char *folder = !slash          ? mem_string(".")
                   : slash == path ? mem_string("/")
                                   : mem_slice(path, (size_t)(slash - path));

    return mem_string(realpath(folder, real) ? real : folder);
}

struct json *sources_build(struct sources *sources, const char *root_path, const char *text,
                           size_t length, struct json **ret_parsed, struct issues *issues)
{
    CLEAN(mem_free) char *folder = folder_of(root_path);
    char real[PATH_MAX];
    const char *path = realpath(root_path, real) ? real : root_path;
    struct builder b = {.sources = sources, .issues = issues, .folder = folder};
    struct include root = {.path = path};

    CLEAN(json_free) struct json *parsed = source_add(&b, &root, mem_slice(text, length), length);
    if (!parsed)
        return NULL;
    if (json_kind(parsed) != JSON_OBJECT) {
        issues_add(issues, "", root_path, 1, mem_string("expected an object"));
        return NULL;
    }
    struct json *merged = merge_value(&b, &root, NULL, parsed);
    *ret_parsed = TAKE(parsed);
    return merged;
}

void sources_done(struct sources *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        struct source *source = &sources->items[i];
        mem_free(source->path);
        mem_wipe_free(source->text, source->length);
        for (size_t k = 0; k < source->mount_count; k++)
            mem_free(source->mount[k]);
        mem_free(source->mount);
    }
    mem_free(sources->items);
    *sources = (struct sources){0};
}

/* Does the chain begin with the source's mount? */
static bool is_mounted(const struct source *source, const struct step *const *steps, size_t count)
{
    if (count < source->mount_count)
        return false;
    for (size_t i = 0; i < source->mount_count; i++) {
        char index[24];
        snprintf(index, sizeof(index), "%zu", steps[i]->index);
        if (strcmp(steps[i]->key ? steps[i]->key : index, source->mount[i]) != 0)
            return false;
    }
    return true;
}

const char *sources_locate(const struct sources *sources, const struct step *step, int *ret_line)
{
    const struct step *steps[JSON_DEPTH_MAX];
    size_t count = step_list(step, steps, COUNT(steps));

    *ret_line = 0;
    for (size_t n = count + 1; n-- > 0;) {
        for (size_t i = 0; i < sources->count; i++) {
            const struct source *source = &sources->items[i];
            size_t mount = source->mount_count;
            if (n < mount || !is_mounted(source, steps, n) || (n == mount && mount && n != count))
                continue;
            int line = lines_find(source->text, source->length, steps + mount, n - mount);
            if (line > 0) {
                *ret_line = line;
                return source->path;
            }
        }
    }
    return sources->count ? sources->items[0].path : NULL;
}
