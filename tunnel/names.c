/* The words for states and steps: on the wire of `tunnel status --json`, in logs, for people. */
#include "tunnel/ssh/session.h"
#include "tunnel/tunnel.h"

static const char *const step_names[] = {
    [SSH_STEP_CONFIG] = "configuration", [SSH_STEP_RESOLVE] = "name",
    [SSH_STEP_CONNECT] = "connection",   [SSH_STEP_HANDSHAKE] = "key exchange",
    [SSH_STEP_HOST_KEY] = "host key",    [SSH_STEP_AUTH] = "authentication",
    [SSH_STEP_READY] = "ready",
};

const char *ssh_step_name(enum ssh_step step)
{
    return step_names[step];
}

static const char *const state_names[] = {
    [TUNNEL_CONNECTING] = "connecting", [TUNNEL_UP] = "up",
    [TUNNEL_WAITING] = "waiting",       [TUNNEL_RECONNECTING] = "reconnecting",
    [TUNNEL_FAILED] = "failed",         [TUNNEL_CLOSED] = "closed",
};

const char *tunnel_state_name(enum tunnel_state state)
{
    return state_names[state];
}

static const char *const service_names[] = {
    [BRIDGE_GATEWAY] = "gateway",
    [BRIDGE_CANVAS] = "canvas",
};

const char *bridge_service_name(enum bridge_service service)
{
    return service_names[service];
}
