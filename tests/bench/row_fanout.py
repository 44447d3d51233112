"""One event to every connection: chat.inject puts a message into a session and every reader is told, after
the commit. The floor writes the same bytes to as many connections and commits nothing."""
import json

from bench import row
from load import ask, compare, floor, load

BAR, WINDOW = 0.7, 16
CREATE = json.dumps({"type": "req", "id": "1", "method": "sessions.create", "params": {"key": "main"}})
REQUEST = json.dumps({"type": "req", "id": "1", "method": "chat.inject",
                      "params": {"sessionKey": "main", "message": "What a fine day to measure something."}})


def rows(bench):
    for connections in (100, 1000):
        with bench.gateway() as gateway:
            ask(gateway.port, CREATE)
            event = ask(gateway.port, REQUEST, event="chat")
            answer = ask(gateway.port, REQUEST)
            with floor(bench, answer, "--event", event) as bare:
                urls = {True: f"unix:{gateway.dir}/gateway.sock", False: bare}
                ours, base, runs = compare(lambda mine: load(
                    bench, "fanout", urls[mine], connections, WINDOW, REQUEST, "--match", '"event":"chat"'))
        yield row(f"event fan-out to {connections:,} connections", f"{ours:,.0f}/s", f"≥ {BAR} of the floor ({ours / base:.2f})",
                  ours >= BAR * base, f"{base:,.0f}/s", runs=runs)
