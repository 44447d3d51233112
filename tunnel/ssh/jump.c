#include "tunnel/ssh/session_internal.h"
void ssh_jump_start(struct ssh *ssh)
{
    ssh_fail(ssh, -ERR_UNSUPPORTED, "jump hosts: not yet");
}
void ssh_jump_stop(struct ssh *ssh)
{
    (void)ssh;
}
