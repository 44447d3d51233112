"""The load generator (ws/load.c) against the gateway and against the floor (ws/floor.c), in turns, so that
both meet the same machine."""
import json
import os
import subprocess
import tempfile
import time
from contextlib import contextmanager

from bench import TOKEN, Client, median

TURNS, SECONDS = 3, 3
CONNECT = json.dumps({"type": "req", "id": "c", "method": "connect", "params": {
    "minProtocol": 4, "maxProtocol": 4, "role": "operator", "scopes": ["operator.admin"], "auth": {"token": TOKEN},
    "client": {"id": "cli", "version": "bench", "platform": "linux", "mode": "cli"}}})


def load(bench, mode, url, connections, window, request, *more):
    command = [bench.program("load"), mode, "--url", url, "--connections", str(connections), "--window", str(window),
               "--seconds", str(SECONDS), "--connect", CONNECT, "--request", request, *more]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    return json.loads(run.stdout)


@contextmanager
def floor(bench, reply, *more):
    with tempfile.TemporaryDirectory(prefix="culvert-bench-") as folder:
        socket = os.path.join(folder, "s")
        server = subprocess.Popen([bench.program("floor"), "--unix", socket, "--handshake", "--reply", reply, *more])
        try:
            while not os.path.exists(socket):
                time.sleep(0.01)
            yield f"unix:{socket}"
        finally:
            server.terminate()
            server.wait()


def ask(port, request, event=None):
    """The text of the gateway's answer, or of the event named, so that the floor can write the same bytes."""
    client = Client(port)
    client.send(json.loads(request))
    while True:
        frame = client.receive()
        if frame.get("event") == event if event else frame.get("type") == "res" and frame.get("id") == "1":
            client.close()
            if frame.get("ok") is False:
                raise RuntimeError(f"the gateway refused: {frame['error']['message']}")
            return json.dumps(frame, separators=(",", ":"))


def compare(run):
    """Medians of what the gateway and the floor did per second; run(True) is the gateway."""
    pairs = [(run(True), run(False)) for _ in range(TURNS)]
    return median([a["per_second"] for a, _ in pairs]), median([b["per_second"] for _, b in pairs]), pairs
