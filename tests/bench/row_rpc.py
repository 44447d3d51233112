"""Answers per second on 16 connections with 8 requests open each, against a bare server that sends the
same bytes."""
import json

from bench import row
from load import ask, compare, floor, load

METHODS = {"last-heartbeat": 0.6, "health": 0.5}
CONNECTIONS, WINDOW = 16, 8


def rows(bench):
    with bench.gateway() as gateway:
        for method, bar in METHODS.items():
            request = json.dumps({"type": "req", "id": "1", "method": method})
            with floor(bench, ask(gateway.port, request)) as bare:
                urls = {True: f"unix:{gateway.dir}/gateway.sock", False: bare}
                ours, base, runs = compare(lambda mine: load(bench, "rpc", urls[mine], CONNECTIONS, WINDOW, request))
            yield row(f"RPC {method}, {CONNECTIONS} connections, window {WINDOW}", f"{ours:,.0f}/s",
                      f"≥ {bar} of the floor ({ours / base:.2f})", ours >= bar * base, f"{base:,.0f}/s", runs=runs)
