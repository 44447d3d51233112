"""A client left running comes back by itself, whatever happens to the tunnel under it: links cut, addresses changed, servers
killed, stopped and restarted, the laptop asleep. For each fault: when it was noticed (detect: from the cut to
"not up") and when the tunnel stood again (reconnect: from the path being back, or from noticing when it never
went away). Six faults by default; with --long (CULVERT_LONG=1) all, and the table of design.md section 13.

    faults.py [--long] [WORD...]      only faults whose name has one of the words
"""
import json
import os
import signal
import statistics
import sys
import time

from culvert import PORT, Gateway, Tunnel, Watcher, pair
from kit import BUILD, LONG, World, asleep, check, finish, say, until
from ssh import Sshd, may_log_in, signal_all

DETECT_MS, RECONNECT_MS, CLIENT_MS = 6000, 1000, 3000  # design.md section 13; the client asks every 100 ms
NAT = "table ip nat {{ chain out {{ type nat hook postrouting priority 100; oifname gate {what}; }}; }}"


def wall():
    return int(time.time() * 1000)


class Site:
    """laptop -- (line) -- nat -- (cable) -- gate; a gateway of alice's, a tunnel and a client that stay."""

    def __init__(self, world):
        self.laptop, self.nat, self.gate = (world.host(name) for name in ("laptop", "nat", "gate"))
        self.line = world.line(self.laptop, "192.168.5.2/24", self.nat, "192.168.5.1/24")
        world.cable(self.nat, "10.8.0.2/24", self.gate, "10.8.0.1/24")
        self.nat.run_ok(["sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"])
        self.nat.nft(NAT.format(what="masquerade"))
        self.route()
        self.gate.user("alice")
        self.gateway = Gateway(self.gate, "alice")
        self.sshd = Sshd(self.gate)
        may_log_in(self.laptop, "root", self.sshd, "alice")
        self.tunnel = Tunnel(self.laptop, "alice@gate")
        self.tunnel.wait_up()
        device, url = os.path.join(self.laptop.folder, "device"), f"ws://127.0.0.1:{PORT}"
        pair(self.gateway, self.laptop, url, device)
        self.watcher = Watcher(self.laptop, url, device)
        self.wan = 2

    def route(self):
        self.laptop.run_ok(["ip", "route", "replace", "default", "via", "192.168.5.1"])

    def calm(self):
        """Everything stands, and the client is being answered."""
        self.tunnel.wait_up()
        self.watcher.answered_after(wall())
        time.sleep(0.3)

    def new_wan_address(self):
        """What a router does when its line comes back: another address; all mappings are lost."""
        self.nat.run_ok(["ip", "addr", "del", f"10.8.0.{self.wan}/24", "dev", "gate"])
        self.wan = 5 - self.wan
        self.nat.run_ok(["ip", "addr", "add", f"10.8.0.{self.wan}/24", "dev", "gate"])


# ---- the faults: each breaks, mends, and gives back (when cut, when the path was back) ----

def cut_line(site, seconds, **how):
    cut = wall()
    site.line.set(drop=True, **how)
    time.sleep(seconds)
    site.line.set(drop=False, **how)
    return cut, wall()


def line_down_3(site):
    return cut_line(site, 3)


def line_down_20(site):
    return cut_line(site, 20)


def line_down_60(site):
    return cut_line(site, 60)


def only_up_cut(site):
    return cut_line(site, 10, direction="up")


def only_down_cut(site):
    return cut_line(site, 10, direction="down")


def at_once(site, what):
    cut = wall()
    what()
    return cut, cut


def killed_socket_here(site):
    return at_once(site, lambda: site.laptop.run_ok(["ss", "-K", "dport", "=", "22"]))


def killed_socket_there(site):
    return at_once(site, lambda: site.gate.run_ok(["ss", "-K", "sport", "=", "22"]))


def killed_session(site):
    return at_once(site, lambda: site.sshd.signal_sessions(signal.SIGKILL))


def stopped_session(site):
    stopped = [pid for pid, _ in site.sshd.sessions()]
    times = at_once(site, lambda: site.sshd.signal_sessions(signal.SIGSTOP))
    site.clean_up = lambda: signal_all(stopped, signal.SIGKILL)
    return times


def restarted_sshd(site):
    def restart():
        site.sshd.signal_sessions(signal.SIGKILL)
        site.sshd.restart()
    cut, _ = at_once(site, restart)
    return cut, wall()


def sshd_away_5(site):
    cut = wall()
    site.sshd.process.stop()
    site.sshd.signal_sessions(signal.SIGKILL)
    time.sleep(5)
    site.sshd.start()
    return cut, wall()


def other_address(site):
    """The laptop goes to another network of the same building."""
    old, new = ("2", "3") if not getattr(site, "moved", False) else ("3", "2")
    site.moved = not getattr(site, "moved", False)
    cut = wall()
    site.laptop.run_ok(["ip", "addr", "del", f"192.168.5.{old}/24", "dev", "nat"])
    site.laptop.run_ok(["ip", "addr", "add", f"192.168.5.{new}/24", "dev", "nat"])
    site.route()
    return cut, wall()


def mapping_lost(site):
    """The router says nothing: packets of what it no longer knows go nowhere."""
    site.nat.run_ok(["sh", "-c", "echo 0 >/proc/sys/net/netfilter/nf_conntrack_tcp_loose"])
    times = at_once(site, site.new_wan_address)
    site.clean_up = lambda: site.nat.run_ok(["sh", "-c", "echo 1 >/proc/sys/net/netfilter/nf_conntrack_tcp_loose"])
    return times


def mapping_lost_reset(site):
    """The router lets them out under its new address, and the far host says that it knows no such connection."""
    return at_once(site, site.new_wan_address)


def restarted_gateway(site):
    cut = wall()
    site.gateway.stop()
    site.gateway.start()
    return cut, wall()


def gateway_away_8(site):
    cut = wall()
    site.gateway.process.stop(signal.SIGKILL)
    time.sleep(8)
    site.gateway.start()
    return cut, wall()


def sleep_through(site, seconds, meanwhile):
    """The tunnel of a laptop that sleeps; what is cut, is cut for it when it wakes."""
    with asleep(site.tunnel.process.pid):
        time.sleep(seconds / 2)
        meanwhile()
        time.sleep(seconds / 2)
    woke = wall()
    return woke, woke


def slept_and_dropped(site):
    return sleep_through(site, 8, lambda: site.sshd.signal_sessions(signal.SIGKILL))


def slept_and_moved(site):
    """In another network when it wakes: nobody answers the old connection, nobody says so."""
    return sleep_through(site, 8, lambda: other_address(site))


def slept_only(site):
    return sleep_through(site, 12, lambda: None)


def lossy_30(site):
    cut = wall()
    site.line.set(loss=30)
    time.sleep(15)
    site.line.set(loss=0)
    return cut, wall()


def slow_and_jittery(site):
    cut = wall()
    site.line.set(delay=400, jitter=200)
    time.sleep(12)
    site.line.set(delay=0, jitter=0)
    return cut, wall()


def refused_by_firewall(site):
    cut = wall()
    site.gate.nft("table inet f { chain i { type filter hook input priority 0; tcp dport 22 reject; }; }")
    time.sleep(10)
    site.gate.nft("")
    return cut, wall()


def device_down(site):
    cut = wall()
    site.laptop.run_ok(["ip", "link", "set", "nat", "down"])
    time.sleep(8)
    site.laptop.run_ok(["ip", "link", "set", "nat", "up"])
    site.route()
    return cut, wall()


def no_route(site):
    cut = wall()
    site.laptop.run_ok(["ip", "route", "del", "default"])
    time.sleep(8)
    site.route()
    return cut, wall()


def down_and_moved(site):
    cut, _ = wall(), site.line.set(drop=True)
    time.sleep(8)
    other_address(site)
    site.line.set(drop=False)
    return cut, wall()


def killed_twice(site):
    cut = wall()
    site.sshd.signal_sessions(signal.SIGKILL)
    time.sleep(0.4)
    site.sshd.signal_sessions(signal.SIGKILL)
    return cut, wall()


# The tunnel goes and comes; it does not even go; whichever; the same, and the path was never wholly gone: no cut to measure from.
LOST, RIDDEN, EITHER, ALIVE = "lost", "ridden", "either", "alive"
FAULTS = [  # what, how, in the default set, what is expected
    ("line down for 3 s", line_down_3, True, EITHER),
    ("line down for 20 s", line_down_20, False, LOST),
    ("line down for 60 s", line_down_60, False, LOST),
    ("only the way up cut, 10 s", only_up_cut, False, LOST),
    ("only the way down cut, 10 s", only_down_cut, False, LOST),
    ("socket killed on the laptop (ss -K)", killed_socket_here, True, LOST),
    ("socket killed at the gateway's host (ss -K)", killed_socket_there, False, LOST),
    ("session's sshd killed", killed_session, True, LOST),
    ("session's sshd stopped (SIGSTOP)", stopped_session, True, LOST),
    ("session's sshd killed twice", killed_twice, False, LOST),
    ("sshd restarted", restarted_sshd, False, LOST),
    ("sshd away for 5 s", sshd_away_5, False, LOST),
    ("laptop's address changed", other_address, False, LOST),
    ("NAT mapping lost, silence", mapping_lost, False, LOST),
    ("NAT mapping lost, reset", mapping_lost_reset, False, LOST),
    ("gateway restarted", restarted_gateway, True, EITHER),
    ("gateway away for 8 s", gateway_away_8, False, EITHER),
    ("laptop asleep, nothing else", slept_only, False, EITHER),
    ("laptop asleep, session ended meanwhile", slept_and_dropped, True, LOST),
    ("laptop asleep, elsewhere when it wakes", slept_and_moved, False, LOST),
    ("30 % of packets lost for 15 s", lossy_30, False, ALIVE),
    ("400 ms each way, 200 ms jitter", slow_and_jittery, False, RIDDEN),
    ("refused by a firewall for 10 s", refused_by_firewall, False, LOST),
    ("laptop's device down for 8 s", device_down, False, LOST),
    ("no route for 8 s", no_route, False, LOST),
    ("line down, elsewhere when it is back", down_and_moved, False, LOST),
]


def suffer(site, name, how, expected):
    """One fault; its row of the table."""
    site.calm()
    site.clean_up = lambda: None
    before = site.tunnel.status()
    cut, back = how(site)

    def settled():
        row = site.tunnel.status()
        lost = row.get("lostAt", 0) > before.get("lostAt", 0)
        return row if row.get("state") == "up" and (not lost or row["backAt"] >= row["lostAt"]) and (lost or expected != LOST) else None

    if expected != LOST:
        site.watcher.answered_after(back)
        time.sleep(0.5)
    row = until(f"{name}: the tunnel to be up again", settled, 45, every=0.1)
    lost = row.get("lostAt", 0) > before.get("lostAt", 0)
    stood = row["backAt"] if lost else back
    answered = site.watcher.answered_after(max(stood, back) - 1)
    site.clean_up()
    measured = {"fault": name, "lost": lost, "detect": max(0, row["lostAt"] - cut) if lost and expected != ALIVE else None,
                "reconnect": max(0, row["backAt"] - max(back, row["lostAt"])) if lost else None, "client": answered - max(stood, back)}
    judge(name, measured, expected)
    return measured


def judge(name, row, expected):
    say(f"{name:45} " + " ".join(f"{k} {row[k]}" for k in ("detect", "reconnect", "client")))
    if expected == RIDDEN:
        check(f"{name}: the tunnel rides through", not row["lost"], row)
    if row["detect"] is not None:
        check(f"{name}: noticed within {DETECT_MS} ms", row["detect"] <= DETECT_MS, row)
    if row["reconnect"] is not None:
        check(f"{name}: up within {RECONNECT_MS} ms of the path being back", row["reconnect"] <= RECONNECT_MS, row)
    check(f"{name}: the client is answered within {CLIENT_MS} ms of that", row["client"] <= CLIENT_MS, row)


def tell_table(rows):
    print(f"\n{'fault':45} {'detect':>8} {'reconnect':>10} {'client':>8}  ms")
    for row in rows:
        print(f"{row['fault']:45} " + " ".join(f"{'-' if row[k] is None else row[k]:>{w}}" for k, w in (("detect", 8), ("reconnect", 10), ("client", 8))))
    summary = {}
    for what in ("detect", "reconnect", "client"):
        values = [row[what] for row in rows if row[what] is not None]
        summary[what] = {"median": statistics.median(values), "worst": max(values), "count": len(values)} if values else None
    print(f"{'median':45} " + " ".join(f"{summary[k] and summary[k]['median'] or 0:>{w}.0f}" for k, w in (("detect", 8), ("reconnect", 10), ("client", 8))))
    print(f"{'worst':45} " + " ".join(f"{summary[k] and summary[k]['worst'] or 0:>{w}.0f}" for k, w in (("detect", 8), ("reconnect", 10), ("client", 8))))
    folder = os.path.join(BUILD, "artifacts")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "faults.json"), "w") as file:
        json.dump({"bars": {"detect": DETECT_MS, "reconnect": RECONNECT_MS}, "summary": summary, "faults": rows}, file, indent=1)


def main():
    words, rows = [word for word in sys.argv[1:] if not word.startswith("-")], []
    chosen = [fault for fault in FAULTS if (any(word in fault[0] for word in words) if words else LONG or fault[2])]
    with World() as world:
        site = Site(world)
        for name, how, _, expected in chosen:
            rows.append(suffer(site, name, how, expected))
        tell_table(rows)
    finish()


main()
