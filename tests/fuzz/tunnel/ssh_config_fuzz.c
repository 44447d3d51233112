/* Any bytes as what `ssh -G` says, and as a target: full paths come out, names that no shell or option takes for
 * something else. */
#include "base/mem.h"
#include "tests/fuzz/fuzz.h"
#include "tunnel/ssh/host.h"

#include <string.h>

static void check_paths(char *const *paths, size_t count)
{
    require(count <= SSH_FILES_MAX);
    for (size_t i = 0; i < count; i++)
        require(paths[i] && *paths[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ssh_target target = {.host = (char[]){"box"}}, typed = {0};
    struct ssh_host host = {0};
    struct fault fault = {0};
    CLEAN(mem_free) char *text = mem_slice((const char *)data, size);

    if (ssh_host_parse(text, size, &target, &host, &fault) == 0) {
        require(host.hostname && host.user && host.port > 0 && host.port < 65536);
        require(host.user_known_hosts_count <= host.known_hosts_count);
        check_paths(host.identity_files, host.identity_count);
        check_paths(host.certificate_files, host.certificate_count);
        check_paths(host.known_hosts, host.known_hosts_count);
        ssh_host_done(&host);
    } else {
        require(fault.code < 0 && fault.text[0]);
    }
    require(host.hostname == NULL);

    if (ssh_target_parse(text, &typed, &fault) == 0) {
        require(typed.host[0] != '-' && !strpbrk(typed.host, " \n'\"`$;&<>|(){}/"));
        require(!typed.user || (typed.user[0] != '-' && !strpbrk(typed.user, "'\"`;&<>|(){}")));
    }
    ssh_target_done(&typed);
    return 0;
}
