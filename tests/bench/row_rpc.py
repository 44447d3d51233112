"""Answers per second on 16 connections with 8 requests open each, against a bare server that sends the
same bytes (floor.c), in turns so that both meet the same machine."""
import json
import os
import subprocess
import tempfile
import time

from bench import TOKEN, Client, median, row

METHODS = {"last-heartbeat": 0.6, "health": 0.5}
CONNECTIONS, WINDOW, SECONDS, TURNS = 16, 8, 3, 3
CONNECT = json.dumps({"type": "req", "id": "c", "method": "connect", "params": {
    "minProtocol": 4, "maxProtocol": 4, "role": "operator", "scopes": ["operator.admin"], "auth": {"token": TOKEN},
    "client": {"id": "cli", "version": "bench", "platform": "linux", "mode": "cli"}}})


def load(bench, url, request):
    command = [bench.program("load"), "rpc", "--url", url, "--connections", str(CONNECTIONS), "--window", str(WINDOW),
               "--seconds", str(SECONDS), "--connect", CONNECT, "--request", request]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=60).stdout)


def answer_of(port, method):
    """The answer the gateway gives, so that the floor can give the same one."""
    client = Client(port)
    client.send({"type": "req", "id": "1", "method": method})
    while True:
        frame = client.receive()
        if frame.get("id") == "1":
            client.close()
            return json.dumps(frame, separators=(",", ":"))


def compare(bench, gateway, method, bar):
    with tempfile.TemporaryDirectory(prefix="culvert-bench-") as folder:
        socket = os.path.join(folder, "s")
        floor = subprocess.Popen([bench.program("floor"), "--unix", socket, "--handshake", "--reply",
                                  answer_of(gateway.port, method)])
        try:
            while not os.path.exists(socket):
                time.sleep(0.01)
            request = json.dumps({"type": "req", "id": "1", "method": method})
            pairs = [(load(bench, f"unix:{gateway.dir}/gateway.sock", request),
                      load(bench, f"unix:{socket}", request)) for _ in range(TURNS)]
        finally:
            floor.terminate()
            floor.wait()
    ours = median([a["per_second"] for a, _ in pairs])
    bare = median([b["per_second"] for _, b in pairs])
    return row(f"RPC {method}, {CONNECTIONS} connections, window {WINDOW}", f"{ours:,.0f}/s", f"≥ {bar} of the floor ({ours / bare:.2f})",
               ours >= bar * bare, f"{bare:,.0f}/s", runs=pairs)


def rows(bench):
    with bench.gateway() as gateway:
        for method, bar in METHODS.items():
            yield compare(bench, gateway, method, bar)
