"""The tunnel against `ssh -L` and against bare libssh2 (tunnel/bare_ssh.c), one sshd, one run: a download in one
stream, and the time of a small call by each way."""
import json
import subprocess

from bench import TOKEN, median, row
from tunnel_line import THERE, line
from tunnel_world import World

TURNS, CALLS, BYTES = 3, 7, 400_000_000
# Round trip in ms, bytes of a download, bar against ssh -L (None: told only), the far host's largest TCP send buffer. With
# Linux's default of 4 MiB sshd has at most 2.8 MB under way, whatever the window.
DEFAULT_BUFFER = 4 << 20
FAR = [(20, 200_000_000, None, DEFAULT_BUFFER), (100, 200_000_000, 2, DEFAULT_BUFFER), (100, 200_000_000, None, 16 << 20)]
CONNECT = json.dumps({"type": "req", "id": "c", "method": "connect", "params": {
    "minProtocol": 4, "maxProtocol": 4, "role": "operator", "scopes": ["operator.read"], "auth": {"token": TOKEN},
    "client": {"id": "cli", "version": "bench", "platform": "linux", "mode": "cli"}}})
CONFIG = {"gateway": {"auth": {"secretScopes": ["operator.read"]}}}
# Where forwarding is forbidden every connection is a command of its own.
NO_FORWARDING = ["DisableForwarding yes"]


def said(command):
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
    if run.returncode != 0:
        raise RuntimeError(f"{command[0]}: {run.stderr.strip()[-300:]}")
    return json.loads(run.stdout)


def get(bench, port, size=BYTES, prefix=()):
    return said([*prefix, bench.program("transfer"), "get", "127.0.0.1", str(port), str(size)])["mb_per_s"]


def bare(bench, world, port, size=BYTES):
    return said([*world.here, bench.program("bare_ssh"), world.address, str(world.port), world.user, world.path("key"),
                 str(port), str(size)])["mb_per_s"]


def rpc(bench, port, seconds=1.5, prefix=()):
    request = json.dumps({"type": "req", "id": "1", "method": "last-heartbeat"})
    return said([*prefix, bench.program("load"), "rpc", "--url", f"ws://127.0.0.1:{port}", "--connections", "1",
                 "--window", "1", "--seconds", str(seconds), "--connect", CONNECT, "--request", request])["p50_us"]


def downloads(bench):
    with World() as world:
        port = world.serve(bench)
        with world.ssh(port) as theirs, world.culvert(bench, port, "direct-tcpip") as ours:
            runs = [(get(bench, ours), bare(bench, world, port), get(bench, theirs)) for _ in range(TURNS)]
    mine, floor, peer = (median(column) for column in zip(*runs))
    good = mine >= 0.85 * floor and mine >= 0.5 * peer
    yield row("tunnel download, one stream, no delay", f"{mine:.0f} MB/s",
              f"≥ 0.85 bare ({mine / floor:.2f}), ≥ 0.5 ssh ({mine / peer:.2f})", good,
              f"{floor:.0f}, ssh -L {peer:.0f}", runs=runs)


def bridge_of(bench, gateway, *more):
    return " ".join(["env", f"CULVERT_STATE_DIR={gateway.dir}", bench.culvert, "bridge", *more])


def calls(bench):
    with bench.gateway(config=CONFIG) as gateway:
        direct = rpc(bench, gateway.port)
        with World() as world:
            with world.ssh(gateway.port) as theirs:
                with world.culvert(bench, gateway.port, "direct-tcpip") as ours:
                    tcp = [(rpc(bench, ours), rpc(bench, theirs)) for _ in range(CALLS)]
                with world.culvert(bench, gateway.port, "bridge", bridge_of(bench, gateway)) as ours:
                    local = [(rpc(bench, ours), rpc(bench, theirs)) for _ in range(CALLS)]
        with World() as open_world, World(NO_FORWARDING) as world:
            with open_world.ssh(gateway.port) as theirs, world.culvert(bench, gateway.port, "exec", bridge_of(bench, gateway)) as ours:
                command = [(rpc(bench, ours), rpc(bench, theirs)) for _ in range(CALLS)]
    for what, runs, bar in [("direct channel", tcp, 1.1), ("streamlocal channel", local, 1.1), ("one exec per connection", command, 1.25)]:
        mine, peer = (median(column) for column in zip(*runs))
        yield row(f"small RPC through the tunnel, p50, {what}", f"{mine:.0f} µs", f"≤ {bar} × ssh -L ({mine / peer:.2f})",
                  mine <= bar * peer, f"{peer:.0f} µs, without {direct:.0f}", runs=runs)


def far(bench):
    with line(bench) as (wire, there, here), World(address=THERE, there=there, here=here) as world:
        port = world.serve(bench)
        for milliseconds, size, bar, buffer in FAR:
            wire.round_trip(milliseconds)
            wire.send_buffer(there, buffer)
            with world.ssh(port) as theirs, world.culvert(bench, port, "direct-tcpip") as ours:
                runs = [(get(bench, ours, size, here), bare(bench, world, port, size), get(bench, theirs, size, here))
                        for _ in range(TURNS)]
            mine, floor, peer = (median(column) for column in zip(*runs))
            far_end = "" if buffer == DEFAULT_BUFFER else f", far tcp_wmem {buffer >> 20} MiB"
            yield row(f"tunnel download, one stream, {milliseconds} ms round trip{far_end}", f"{mine:.0f} MB/s",
                      f"≥ {bar} × ssh -L ({mine / peer:.2f})" if bar else f"({mine / peer:.2f} × ssh -L)",
                      mine >= bar * peer if bar else None, f"{floor:.0f}, ssh -L {peer:.0f}", runs=runs)


def rows(bench):
    yield from downloads(bench)
    yield from calls(bench)
    yield from far(bench)
