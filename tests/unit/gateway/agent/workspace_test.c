/* Which folder is an agent's, and that it is made. */
#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "tests/rig/rig.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void is_workspace(struct rig *rig, const char *agent, const char *expected)
{
    struct fault fault = {0};
    CLEAN(mem_free) char *path = agent_workspace(rig->gw, agent, &fault);
    struct stat st;

    if (!path) {
        t_fail(__FILE__, __LINE__, "%s", fault.text);
        return;
    }
    t_str(path, expected);
    t_ok(stat(path, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 0077) == 0);
}

T(without_configuration_it_lies_in_the_state_directory)
{
    struct rig *rig = rig_new("{agents:{list:[{id:'main'},{id:'ops'}]}}");
    CLEAN(mem_free) char *first = mem_format("%s/workspace", rig->dir);
    CLEAN(mem_free) char *second = mem_format("%s/workspace-ops", rig->dir);

    is_workspace(rig, "main", first);
    is_workspace(rig, "ops", second);
    is_workspace(rig, "ops", second); /* there already */
    rig_free(rig);
}

T(a_shared_root_is_the_first_agents_and_holds_the_others)
{
    struct rig *rig =
        rig_new("{agents:{defaults:{workspace:'files/deep'},list:[{id:'main'},{id:'ops'},"
                "{id:'own',workspace:'elsewhere'}]}}");
    CLEAN(mem_free) char *first = mem_format("%s/files/deep", rig->dir);
    CLEAN(mem_free) char *second = mem_format("%s/files/deep/ops", rig->dir);
    CLEAN(mem_free) char *third = mem_format("%s/elsewhere", rig->dir);

    is_workspace(rig, "ops", second);
    is_workspace(rig, "main", first);
    is_workspace(rig, "own", third);
    rig_free(rig);
}

T(the_home_folder_is_meant_by_a_tilde)
{
    CLEAN(mem_free) char *home = mem_format("%s/home", t_tmpdir());
    CLEAN(mem_free) char *expected = mem_format("%s/a", home);
    CLEAN(mem_free) char *before = mem_string(getenv("HOME"));
    struct rig *rig = rig_new("{agents:{defaults:{workspace:'~/a'}}}");

    t_eq(setenv("HOME", home, 1), 0);
    is_workspace(rig, "main", expected);
    if (before)
        t_eq(setenv("HOME", before, 1), 0);
    rig_free(rig);
}

T(a_file_in_its_place_is_told)
{
    struct rig *rig = rig_new("{agents:{defaults:{workspace:'taken'}}}");
    CLEAN(mem_free) char *path = mem_format("%s/taken", rig->dir);
    struct fault fault = {0};
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    t_ok(fd >= 0);
    close(fd);
    t_ok(agent_workspace(rig->gw, "main", &fault) == NULL);
    t_has(fault.text, path);
    t_has(fault.text, "agents.defaults.workspace");
    rig_free(rig);
}
