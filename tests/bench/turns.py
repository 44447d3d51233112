"""What the rows of turns share: a model server with a pace, a gateway that asks it, one chat turn."""
import json
import os
import subprocess
from contextlib import contextmanager


@contextmanager
def model(bench, chunks=1, interval_ms=0):
    """Yields the port of a model server (model/model.c)."""
    server = subprocess.Popen([bench.program("model_server"), "--chunks", str(chunks), "--interval-ms", str(interval_ms)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield int(server.stdout.readline())
    finally:
        server.stdin.close()
        server.wait(10)


def gateway(bench, port, concurrent=4):
    """A gateway whose agent is answered by that model server. Its configuration is gone with its folder."""
    config = {"models": {"providers": {"bench": {"baseUrl": f"http://127.0.0.1:{port}/v1", "api": "openai-completions",
                                                 "apiKey": "bench", "models": [{"id": "bench", "name": "bench"}]}}},
              "agents": {"defaults": {"model": {"primary": "bench/bench"}, "maxConcurrent": concurrent}}}
    return bench.gateway(config=config)


def send(client, key, text="go", session="main"):
    client.send({"type": "req", "id": key, "method": "chat.send",
                 "params": {"sessionKey": session, "message": text, "idempotencyKey": key}})


def until(client, key, *states):
    """The first chat event of that run in one of these states."""
    while True:
        frame = client.receive()
        payload = frame.get("payload") or {}
        if frame.get("type") == "res" and frame.get("id") == key and not frame.get("ok"):
            raise RuntimeError(f"refused: {frame['error']['message']}")
        if frame.get("event") == "chat" and payload.get("runId") == key:
            if payload["state"] in states:
                return payload
            if payload["state"] == "error":
                raise RuntimeError(f"the turn failed: {payload.get('errorMessage')}")
