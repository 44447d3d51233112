"""Bytes through a tunnel: all of them, in order, while sshd changes keys each MB and small calls run beside. A hundred
connections at once. A server that allows few sessions, where each connection needs one.

    transfer.py [--long]      64 MB each way, or 1 GB
"""
import json
import os
import sys

from culvert import PORT, TOKEN, Gateway, Tunnel, client, pair
from kit import HERE, LONG, World, check, finish, say, until
from ssh import Sshd, may_log_in

BYTES = (1 << 30) if LONG else 64 << 20
CALLS, SLOWEST_MS = 200, 1500  # a second; with the sanitizers, on two cores that also do both ends' cryptography
CANVAS = PORT + 4  # any server that stands there is forwarded
PROGRAM = [sys.executable, "-B", os.path.join(HERE, "bytes.py")]
CLIENT = [sys.executable, "-B", os.path.join(HERE, "client.py")]
PAGE = "/schema.json"
STRICT, WHOLE = 2223, 2224  # sshd that forwards nothing; sshd with culvert on its PATH


def main():
    with World() as world:
        laptop, gate = world.host("laptop"), world.host("gate")
        world.line(laptop, "10.8.0.2/24", gate, "10.8.0.1/24", options=["--mtu", "9000"])
        gate.user("alice")
        gateway = Gateway(gate, "alice")
        gate.start([*PROGRAM, "serve", str(CANVAS)], name="bytes").wait_output("ready")
        bare = Sshd(gate, culvert=False, RekeyLimit="1M", LogLevel="DEBUG1")
        strict = Sshd(gate, STRICT, AllowTcpForwarding="no", AllowStreamLocalForwarding="no", MaxSessions=4)
        whole = Sshd(gate, WHOLE, RekeyLimit="1M")
        for sshd in (bare, strict, whole):
            may_log_in(laptop, "root", sshd, "alice")

        tunnel = Tunnel(laptop, "alice@gate")
        tunnel.wait_up()
        device, url = os.path.join(laptop.folder, "device"), f"ws://127.0.0.1:{PORT}"
        pair(gateway, laptop, url, device)
        both_ways(laptop, device, url, bare)
        crowd(laptop, device, url, tunnel)
        tunnel.stop()
        through_the_bridge(laptop, gate)
        few_sessions(laptop, device)
    finish()


def moved(laptop, what, size, port=CANVAS):
    done = laptop.run([*PROGRAM, what, str(port), str(size)], timeout=900 if LONG else 120)
    return done.json() if done.status == 0 else {"ok": False, "failed": str(done)[-600:]}


def key_exchanges(sshd):
    return sshd.process.output().count("SSH2_MSG_KEXINIT received")


def both_ways(laptop, device, url, sshd):
    for what in ("get", "put"):
        environment = {"CULVERT_TOKEN": TOKEN}
        beside = laptop.start([*CLIENT, device, url, "watch", "1000"], name="beside", env=environment)
        loading = laptop.start([*CLIENT, device, url, "load", str(CALLS), "900"], name="load", env=environment)
        beside.wait_output('"answer"')
        before = key_exchanges(sshd)
        told = moved(laptop, what, BYTES)
        changes = key_exchanges(sshd) - before
        loading.stop()
        calls = last_line(loading)
        check(f"{what}: {BYTES >> 20} MB through the tunnel, byte for byte, with a new key each MB", told["ok"], told)
        check(f"{what}: keys were changed all the time", changes >= BYTES >> 22, changes)
        check(f"{what}: all of {CALLS} calls a second beside it are answered", calls.get("asked") == calls.get("answered") != 0, calls)
        check(f"{what}: none waits longer than {SLOWEST_MS} ms", calls.get("max", 1e9) <= SLOWEST_MS, calls)
        check(f"{what}: a client that was there before is still there", beside.running() and '"down"' not in beside.output(), beside.output)
        beside.stop()
        say(f"{what}: {told.get('bytes', 0) >> 20} MB at {told.get('rate')} MB/s, {changes} key exchanges; {calls.get('asked')} calls beside it: p50 {calls.get('p50')} ms, "
            f"p99 {calls.get('p99')} ms, slowest {calls.get('max')} ms")


def through_the_bridge(laptop, gate):
    """The same by streams of the gateway itself: a page of it, many times."""
    here = gate.run([*PROGRAM, "fetch", str(PORT), PAGE, "1"]).json()["pages"]
    tunnel = Tunnel(laptop, f"ssh://alice@gate:{WHOLE}", "--listen", "127.0.0.1:19003")
    tunnel.wait_up()
    check("the way is the bridge", tunnel.status().get("way") == "bridge", tunnel.status)
    done = laptop.run([*PROGRAM, "fetch", "19003", PAGE, str(BYTES // 4)], timeout=600)
    told = done.json() if done.status == 0 else {"failed": str(done)}
    check(f"{BYTES >> 22} MB by the bridge are what they are at the gateway's host", told.get("pages") == here and here[0][0] == 200, told)
    say(f"bridge: {told.get('bytes', 0) >> 20} MB of pages at {told.get('rate')} MB/s")
    tunnel.stop()


def last_line(process):
    lines = [line for line in process.output().splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {"failed": process.output()[-600:]}


def crowd(laptop, device, url, tunnel):
    told = client(laptop, url, device, "many", 100)
    check("100 WebSockets through one tunnel, all open at the same time, all answered", (told.get("connected"), told.get("answered")) == (100, 100), told)
    done = laptop.run([*PROGRAM, "echo", str(CANVAS), "100"], timeout=60)
    check("100 plain connections too", done.status == 0 and done.json() == {"connected": 100, "answered": 100}, done)
    until("their streams to end", lambda: tunnel.status().get("streams", 1) == 0)


def few_sessions(laptop, device):
    """Without forwarding each connection is a command of its own, and sshd allows four on a connection."""
    tunnel = Tunnel(laptop, f"ssh://alice@gate:{STRICT}", "--listen", "127.0.0.1:19001")
    tunnel.wait_up()
    check("where forwarding is forbidden, the way is exec", tunnel.status().get("way") == "exec", tunnel.status)
    url = "ws://127.0.0.1:19001"
    told = client(laptop, url, device, "many", 2)
    check("a few connections pass", (told.get("connected"), told.get("answered")) == (2, 2), told)
    told = client(laptop, url, device, "many", 20)
    check("of many those pass that sshd allows", 1 <= told.get("connected", 0) < 20 and told.get("answered") == told.get("connected"), told)
    check("and it is said what limits them", "MaxSessions" in str(tunnel.status()) + tunnel.process.output(), lambda: f"{tunnel.status()}\n{tunnel.process.output()}")
    told = client(laptop, url, device, "many", 2)
    check("afterwards connections pass as before", (told.get("connected"), told.get("answered")) == (2, 2), told)
    tunnel.stop()


main()
