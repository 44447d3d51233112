"""How soon the first word comes: from chat.send to the first chat delta, less what the model server itself takes
from a request to its first chunk. The message is on disk before the model is asked. And what turns leave
behind in memory."""
import http.client
import json
import time

from bench import median, row
from turns import gateway, model, send, until

TURNS, WARM, MANY = 300, 3000, 1000
BODY = json.dumps({"model": "bench", "stream": True, "messages": [{"role": "user", "content": "go"}]})


def direct(port):
    """Milliseconds from a request to the server until its first chunk, on a kept connection."""
    connection, taken = http.client.HTTPConnection("127.0.0.1", port), []
    for _ in range(TURNS):
        begin = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", BODY, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        reply.readline()
        taken.append((time.perf_counter() - begin) * 1000)
        reply.read()
    connection.close()
    return taken


def through(client, turns, name):
    taken = []
    for turn in range(turns):
        key = f"{name}-{turn}"
        begin = time.perf_counter()
        send(client, key, session=f"bench-{turn % 20}")
        until(client, key, "delta")
        taken.append((time.perf_counter() - begin) * 1000)
        until(client, key, "final")
    return taken


def rows(bench):
    with model(bench) as port, gateway(bench, port) as culvert:
        through(culvert.first, 20, "warm")
        base, ours = direct(port), through(culvert.first, TURNS, "first")
        added = median(ours) - median(base)
        yield row("first delta of a turn, added to the model server's, p50", f"{added:.2f} ms", "≤ 2 ms", added <= 2,
                  f"{median(base):.2f} ms", ours=sorted(ours), direct=sorted(base))

        through(culvert.first, WARM - TURNS, "fill")
        before = culvert.memory()
        through(culvert.first, MANY, "many")
        after = culvert.memory()
        grown = after["VmRSS"] - before["VmRSS"]
        yield row(f"memory after {MANY:,} more turns (of {WARM:,} before): RSS", f"{grown / 1024:+.2f} MB", "flat (≤ 0.5 MB)",
                  grown <= 512, f"{before['VmRSS'] / 1024:.1f} MB", before=before, after=after)
