"""How long a turn of the gateway's loop takes while 32 sessions stream, each to its own viewer, and 1,000 more
connections are idle. By the gateway's own measure, health's eventLoop."""
import threading

from bench import Client, row
from turns import gateway, model, send, until

SESSIONS, IDLE, CHUNKS, INTERVAL_MS = 32, 1000, 500, 20


def rows(bench):
    with model(bench, CHUNKS, INTERVAL_MS) as port, gateway(bench, port, SESSIONS) as culvert:
        idle = [Client(culvert.port, scoped=True) for _ in range(IDLE)]
        viewers = [Client(culvert.port, scoped=True) for _ in range(SESSIONS)]
        for at, viewer in enumerate(viewers):
            viewer.call("sessions.create", {"key": f"bench-{at}"})
            viewer.call("sessions.messages.subscribe", {"key": f"bench-{at}"})
        culvert.first.call("health", {"probe": True})  # the measure begins anew
        for at, viewer in enumerate(viewers):
            send(viewer, f"turn-{at}", session=f"bench-{at}")
        watchers = [threading.Thread(target=until, args=(viewer, f"turn-{at}", "final")) for at, viewer in enumerate(viewers)]
        for watcher in watchers:
            watcher.start()
        for watcher in watchers:
            watcher.join()
        loop = culvert.first.call("health", {"probe": True})["eventLoop"]
        for client in idle + viewers:
            client.close()
    what = f"loop delay, {SESSIONS} sessions streaming, {IDLE:,} idle connections"
    yield row(f"{what}: p99", f"{loop['delayP99Ms']:.2f} ms", "≤ 2 ms", loop["delayP99Ms"] <= 2, event_loop=loop)
    yield row(f"{what}: max", f"{loop['delayMaxMs']:.2f} ms", "≤ 10 ms", loop["delayMaxMs"] <= 10, event_loop=loop)
