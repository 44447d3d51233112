/* sd_notify without libsystemd: one datagram to $NOTIFY_SOCKET. Nothing happens when it is not set. */
#pragma once

void notify_service(const char *state); /* "READY=1", "STOPPING=1", "RELOADING=1" */
