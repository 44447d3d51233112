"""What a tunnel leaves behind when it is killed: nothing. Its ports are free at once, no child lives on, at the far end
neither; the next start has the same ports. One instance per target."""
import os
import signal
import time

from culvert import PORT, PROGRAM, Gateway, Person, Tunnel
from kit import World, check, finish, say, until
from ssh import Sshd, may_log_in, ssh_config

KEEPALIVE_S = 4  # of sshd here: it asks each 2 s, twice
OURS = ("ssh", "culvert")


def main():
    with World() as world:
        laptop, gate = world.host("laptop"), world.host("gate")
        line = world.line(laptop, "10.8.0.2/24", gate, "10.8.0.1/24")
        gate.user("alice")
        Gateway(gate, "alice")
        sshd = Sshd(gate, ClientAliveInterval=2, ClientAliveCountMax=1)
        may_log_in(laptop, "root", sshd, "alice")
        at_rest = len(gate.processes("culvert"))

        killed(laptop, gate, sshd, at_rest)
        killed_in_the_dark(laptop, gate, sshd, line, at_rest)
        killed_with_a_child(laptop, gate, sshd)
        one_instance(laptop)
        port_taken(laptop)
        told_to_stop(laptop, gate, sshd, at_rest)
    finish()


def up(laptop, *args):
    tunnel = Tunnel(laptop, "alice@gate", *args)
    tunnel.wait_up()
    return tunnel


def gone_there(gate, sshd, at_rest):
    return not sshd.sessions() and len(gate.processes("culvert")) <= at_rest


def killed(laptop, gate, sshd, at_rest):
    tunnel = up(laptop)
    check("it listens on the two ports", laptop.listens(PORT) and laptop.listens(PORT + 4))
    tunnel.process.kill(signal.SIGKILL)
    tunnel.process.popen.wait(5)
    check("killed: its ports are free at once", not laptop.listens(PORT) and not laptop.listens(PORT + 4))
    check("killed: no child lives on", not laptop.processes(*OURS), lambda: laptop.processes(*OURS))
    began = time.monotonic()
    check("killed: nothing of it is left at the far end", until("the far end to clear", lambda: gone_there(gate, sshd, at_rest), 5))
    say(f"killed: the far end was clear after {time.monotonic() - began:.2f} s")
    again = up(laptop)
    check("started again, it has the same ports", laptop.listens(PORT) and laptop.listens(PORT + 4))
    check("and says so", f":{PORT}" in str(again.status()), again.status)
    again.stop()


def killed_in_the_dark(laptop, gate, sshd, line, at_rest):
    """The far host cannot be told: sshd's own keepalive ends what is there."""
    tunnel = up(laptop)
    line.set(drop=True)
    tunnel.process.kill(signal.SIGKILL)
    tunnel.process.popen.wait(5)
    check("killed while the line is cut: nothing lives on here", not laptop.processes(*OURS), lambda: laptop.processes(*OURS))
    gone = until("sshd's keepalive to end it", lambda: gone_there(gate, sshd, at_rest), KEEPALIVE_S + 6)
    check("and the far end is clear after sshd's keepalive", gone, lambda: gate.processes())
    line.set(drop=False)


def killed_with_a_child(laptop, gate, sshd):
    """A configuration that needs a child (ProxyCommand): it goes with its parent."""
    config = os.path.join(laptop.folder, "proxy_config")
    laptop.write(config, f"Host proxied\n HostName 10.8.0.1\n User alice\n HostKeyAlias gate\n ProxyCommand socat - TCP:%h:%p\n", user="root")
    ssh_config(laptop, "root", f"Include {config}\n")
    tunnel = Tunnel(laptop, "proxied")
    tunnel.wait_up()
    check("a ProxyCommand runs as a child", laptop.processes("socat"), lambda: laptop.processes())
    tunnel.process.kill(signal.SIGKILL)
    tunnel.process.popen.wait(5)
    left = lambda: laptop.processes("socat", *OURS)
    check("killed: the child is gone too", until("the child to end", lambda: not left(), 5), left)


def one_instance(laptop):
    tunnel = up(laptop)
    second = laptop.run([PROGRAM, "tunnel", "up", "alice@gate"], timeout=20)
    check("a second one to the same target is refused and says why", second.status != 0 and "already" in second.err, second)
    other = laptop.run([PROGRAM, "tunnel", "up", "root@gate"], timeout=20)
    check("a second target without --listen is refused and told of it", other.status != 0 and "--listen" in other.err, other)
    check("neither harms the first", Person(laptop).culvert("status", url=f"ws://127.0.0.1:{PORT}").status == 4)
    tunnel.stop()


def port_taken(laptop):
    holder = laptop.start(["socat", f"TCP-LISTEN:{PORT},bind=127.0.0.1,fork,reuseaddr", "SYSTEM:true"])
    until("the port to be taken", lambda: laptop.listens(PORT))
    done = laptop.run([PROGRAM, "tunnel", "up", "alice@gate"], timeout=20)
    check("a port that is taken is named", done.status != 0 and str(PORT) in done.err, done)
    check("with who has it", "socat" in done.err, done)
    check("and it does not drift to another", not laptop.processes("culvert"))
    holder.stop()


def told_to_stop(laptop, gate, sshd, at_rest):
    tunnel = up(laptop)
    tunnel.stop(signal.SIGINT)
    check("Ctrl-C ends it well", tunnel.process.popen.returncode in (0, 130), tunnel.process.popen.returncode)
    check("its ports are free", not laptop.listens(PORT))
    check("the far end is clear", until("the far end to clear", lambda: gone_there(gate, sshd, at_rest), 5))
    done = laptop.run([PROGRAM, "tunnel", "status"])
    check("status without a tunnel says that there is none", "alice@gate" not in done.out or "up" not in done.out.split(), done)


main()
