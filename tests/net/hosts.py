"""The world itself, proved with plain tools before anything is proved in it: hosts apart from this machine and from one
another, users, sshd, forwards, NAT, and a line that is slow, lossy, narrow or cut when told."""
import shutil
import time

from kit import World, check, finish, os, say, signal, subprocess, sys, until
from ssh import Sshd, forward, may_log_in

ECHO = """
import socket, threading
server = socket.create_server(("127.0.0.1", 7000))
def serve(peer):
    while data := peer.recv(65536):
        peer.sendall(data)
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=[server.accept()[0]], daemon=True).start()
"""
ASK = """
import socket, sys, time
port, count, size = map(int, sys.argv[1:])
peer = socket.create_connection(("127.0.0.1", port), 20)
peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
times, data = [], b"x" * size
for _ in range(count):
    began, left = time.monotonic(), size
    peer.sendall(data)
    while left:
        left -= len(peer.recv(min(left, 65536)))
    times.append(time.monotonic() - began)
print(sorted(times)[count // 2] * 1000)
"""


def main():
    with World() as world:
        laptop, nat, gate = (world.host(name) for name in ("laptop", "nat", "gate"))
        world.cable(laptop, "192.168.5.2/24", nat, "192.168.5.1/24")
        line = world.line(nat, "10.8.0.2/24", gate, "10.8.0.1/24")
        behind_nat(laptop, nat)
        alice = gate.user("alice")
        sshd = Sshd(gate)
        may_log_in(laptop, "root", sshd, "alice", name="gate")
        apart(laptop, gate, alice, sshd)

        gate.start([sys.executable, "-c", ECHO], name="echo").wait_output("ready")
        tunnel = forward(laptop, "root", "-L", "7001:127.0.0.1:7000", "alice@gate")
        the_line(laptop, line)
        the_cut(laptop, sshd, tunnel)
    no_trace(world)
    no_trace_of_a_killed_test()
    finish()


def behind_nat(laptop, nat):
    laptop.run_ok(["ip", "route", "add", "default", "via", "192.168.5.1"])
    nat.run_ok(["sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"])
    nat.nft("table ip nat { chain out { type nat hook postrouting priority 100; oifname gate masquerade; }; }")


def apart(laptop, gate, alice, sshd):
    seen = laptop.run(["ssh", "-o", "BatchMode=yes", "alice@gate", "id -u; hostname; echo $SSH_CONNECTION; which culvert"])
    told = seen.out.split()
    check("a person logs in at another host by a real sshd", told[:2] == [str(alice.uid), "gate"], seen)
    check("and is seen as coming from the NAT", told[2:3] == ["10.8.0.2"], seen)
    check("culvert is on the PATH there", told[-1:] == ["/run/bin/culvert"], seen)
    check("the accounts are not this machine's", "alice" not in open("/etc/passwd").read())
    check("nor is its /run", not os.path.exists("/run/bin/culvert"))
    check("a host sees its own processes only", all("gate" not in " ".join(argv) for _, argv in laptop.processes("sshd")))
    check("sshd's sessions are found", until("the session to end", lambda: not sshd.sessions()))


def the_line(laptop, line):
    plain = ask(laptop, 50, 100)
    line.set(delay=30)
    slow = ask(laptop, 10, 100)
    check("30 ms each way cost 60 ms", 60 <= slow <= 60 + plain + 15, (plain, slow))
    line.set(delay=0, loss=5)
    check("a lossy line carries all bytes", ask(laptop, 1, 1 << 20) > 0)
    check("and loses some packets", line.stats()["up"]["lost"] > 0, line.stats())
    line.set(loss=0, rate=1 << 20)
    took = ask(laptop, 1, 1 << 20) / 1000
    check("a line of 1 MB/s takes a second for a MB", 0.8 <= took <= 4, took)
    line.set(rate=0)
    line.set(drop=True)
    began = time.monotonic()
    gone = laptop.run(["ssh", "-o", "ConnectTimeout=1", "-o", "BatchMode=yes", "alice@gate", "true"])
    check("a cut line carries nothing", gone.status != 0, gone)
    line.set(drop=False)
    check("and carries again when mended", ask(laptop, 1, 100) < 20_000)
    say(f"small round trip {plain:.2f} ms, at 30 ms each way {slow:.1f} ms; cut for {time.monotonic() - began:.1f} s")


def ask(laptop, count, size):
    """Median ms of `count` round trips of so many bytes through the forwarded port."""
    return float(laptop.run_ok([sys.executable, "-c", ASK, "7001", str(count), str(size)]))


def the_cut(laptop, sshd, tunnel):
    check("ss -K ends the connection of an ssh", "ESTAB" in laptop.run_ok(["ss", "-K", "dport", "=", "22"]))
    check("which ends it", until("ssh to end", lambda: not tunnel.running()))
    again = forward(laptop, "root", "-L", "7001:127.0.0.1:7000", "alice@gate")
    sshd.signal_sessions(signal.SIGKILL)
    check("a killed session ends the ssh on it", until("ssh to end", lambda: not again.running()))
    sshd.restart()
    check("a restarted sshd lets in", forward(laptop, "root", "-L", "7001:127.0.0.1:7000", "alice@gate").running())


def no_trace(world):
    left = [host.name for host in world.hosts if os.path.exists(f"/proc/{host.pid}")]
    check("the hosts are gone", not left, left)
    mounts = subprocess.run(["grep", "-c", world.folder, "/proc/mounts"], capture_output=True, text=True).stdout.strip()
    check("and nothing of them is mounted here", mounts == "0", mounts)


def no_trace_of_a_killed_test():
    """A test that is killed takes its hosts along, and all that runs in them."""
    killed = subprocess.run([sys.executable, "-B", __file__, "and-be-killed"], capture_output=True, text=True)
    pids = killed.stdout.split()
    check("a test can be killed in the midst of it", killed.returncode == -signal.SIGKILL and len(pids) == 2, killed)
    check("its hosts and what ran in them are gone", until("them to be gone", lambda: not any(running(pid) for pid in pids), 5), pids)


def running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")")[-1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def be_killed():
    host = World().host("short-lived")
    print(host.pid, host.start(["sleep", "300"]).pid, flush=True)
    shutil.rmtree(host.world.folder)
    os.kill(os.getpid(), signal.SIGKILL)


if "and-be-killed" in sys.argv:
    be_killed()
else:
    main()
