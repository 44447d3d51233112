/* The list of issues and its sentences. */
#include "gateway/config/issue.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

void issues_add(struct issues *issues, const char *path, const char *file, int line, char *message)
{
    issues->total++;
    if (issues->count == ISSUES_MAX) {
        mem_free(message);
        return;
    }
    if (!issues->items)
        issues->items = mem_array(ISSUES_MAX, sizeof(*issues->items));
    issues->items[issues->count++] = (struct issue){
        .path = mem_string(path), .file = mem_string(file), .line = line, .message = message};
}

void issues_done(struct issues *issues)
{
    for (size_t i = 0; i < issues->count; i++) {
        mem_free(issues->items[i].path);
        mem_free(issues->items[i].file);
        mem_free(issues->items[i].message);
    }
    mem_free(issues->items);
    *issues = (struct issues){0};
}

char *issue_text(const struct issue *issue)
{
    char where[16] = "";

    if (issue->line > 0)
        snprintf(where, sizeof(where), ":%d", issue->line);
    return mem_format("%s%s%s%s%s%s", issue->file ? issue->file : "", issue->file ? where : "",
                      issue->file ? ": " : "", issue->path, issue->path[0] ? ": " : "",
                      issue->message);
}

int issues_fault(const struct issues *issues, struct fault *reterr_fault)
{
    if (issues->count == 0)
        return 0;
    CLEAN(mem_free) char *first = issue_text(&issues->items[0]);
    if (issues->total > 1)
        return fault_set(reterr_fault, -ERR_INVALID, "%s (and %zu more)", first, issues->total - 1);
    return fault_set(reterr_fault, -ERR_INVALID, "%s", first);
}
