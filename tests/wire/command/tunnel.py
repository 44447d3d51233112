"""culvert tunnel up, status and check, against a real sshd and a real gateway behind it."""
import contextlib
import glob
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import kit
import sshd
from kit import TOKEN, Gateway, check, environment, run, scratch, write

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BIN = os.path.dirname(os.path.abspath(kit.CULVERT))


@contextlib.contextmanager
def world(path=f"{BIN}:{os.environ['PATH']}", **more):
    """A gateway on a host `gate` that has an sshd (with that PATH), and a laptop's home whose ssh configuration knows it."""
    with scratch() as folder:
        far, near = os.path.join(folder, "far"), os.path.join(folder, "near")
        os.makedirs(os.path.join(near, ".ssh"), mode=0o700)
        os.makedirs(far)
        with Gateway(far, **more) as gateway, sshd.Sshd(folder, CULVERT_STATE_DIR=f"{far}/state", PATH=path) as host:
            shutil.copy(host.config, os.path.join(near, ".ssh/config"))
            yield near, gateway, host


class Up:
    """`culvert tunnel up` in the background, its lines read as they come."""

    def __init__(self, home, *args, env=None):
        self.home = home
        self.process = subprocess.Popen([kit.CULVERT, "tunnel", "up", *args], env=env or environment(home), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True)
        self.lines, self.seen = [], 0
        self.reader = threading.Thread(target=lambda: self.lines.extend(iter(self.process.stdout.readline, "")), daemon=True)
        self.reader.start()

    def wait_line(self, part):
        """The next line with part in it."""
        until = time.monotonic() + kit.WAIT_S
        while time.monotonic() < until and (self.process.poll() is None or self.seen < len(self.lines)):
            while self.seen < len(self.lines):
                self.seen += 1
                if part in self.lines[self.seen - 1]:
                    return self.lines[self.seen - 1]
            time.sleep(0.01)
        raise RuntimeError(f"no line with {part!r}:\n{''.join(self.lines)}{self.process.stderr.read() if self.process.poll() is not None else ''}")

    def status(self):
        return json.loads(run(self.home, "tunnel", "status", "--json")[1])[0]

    def wait(self, what, holds):
        until = time.monotonic() + kit.WAIT_S
        while time.monotonic() < until:
            seen = self.status()
            if holds(seen):
                return seen
            time.sleep(0.05)
        check(what, False, seen)
        return seen

    def url(self, service="gateway"):
        return next(e["url"] for e in self.status()["endpoints"] if e["service"] == service)

    def end(self, how=signal.SIGINT):
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(timeout=kit.WAIT_S)
        self.reader.join(timeout=kit.WAIT_S)
        return self.process.returncode, "".join(self.lines), self.process.stderr.read()


@contextlib.contextmanager
def up(home, *args, **more):
    tunnel = Up(home, *args, **more)
    try:
        yield tunnel
    finally:
        if tunnel.process.poll() is None:
            tunnel.process.kill()
        tunnel.process.wait()


def at_terminal(home, args, prompt=None, answer="", until=None):
    """A command on a terminal of its own: (status, what it showed)."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(kit.CULVERT, [kit.CULVERT, *args], environment(home))
    shown, end, typed, stopped = b"", time.monotonic() + kit.WAIT_S, 0, False
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                shown += os.read(fd, 4096)
            except OSError:
                break
        if prompt and shown.count(prompt.encode()) > typed:
            typed += 1
            os.write(fd, answer.encode() + b"\n")
        if until and until.encode() in shown and not stopped:
            stopped = True
            os.write(fd, b"\x03")
    os.close(fd)
    with contextlib.suppress(ProcessLookupError):
        if time.monotonic() >= end:
            os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace"), typed


def left_behind(home):
    return glob.glob(f"{home}/state/tunnels/*.sock") + glob.glob(f"{home}/state/culvert-*") + glob.glob(f"{home}/run/*")


def usage():
    with scratch() as home:
        cases = {
            (): "usage: culvert tunnel", ("up",): "usage: culvert tunnel up TARGET", ("check",): "usage: culvert tunnel check TARGET",
            ("discover", "x"): "usage: culvert tunnel discover", ("sideways",): 'no "sideways"', ("up", "a", "b"): 'not also "b"',
            ("up", "a", "--listen", "x"): "--listen takes", ("up", "a", "--listen", "1.2.3.4:70000"): "--listen takes",
            ("up", "a", "--listen", "unix:x"): "--listen takes", ("up", "a", "--gateway-port", "0"): "--gateway-port takes",
            ("up", "a", "--sideways"): "sideways",
        }
        for args, says in cases.items():
            code, out, err = run(home, "tunnel", *args)
            check(f"tunnel {' '.join(args)}: status 2 and why", code == 2 and says in err and not out, f"{code} {out} {err}")
        code, out, err = run(home, "tunnel", "--help")
        check("--help is about tunnels", code == 0 and "up TARGET " in out and "systemctl --user" in out, out)
        code, out, err = run(home, "tunnel", "status")
        check("no tunnel: status 3 and how to start one", code == 3 and "culvert tunnel up" in err, f"{code} {err}")
        code, out, err = run(home, "tunnel", "status", "--json")
        check("… and an empty list as JSON", code == 3 and json.loads(out) == [], f"{code} {out}")
        code, out, err = run(home, "tunnel", "up", "a host", "--listen", "127.0.0.1:0")
        check("a target that is none is said", code != 0 and "host" in err and not left_behind(home), f"{code} {err}")
        code, out, _ = run(home, "completion", "words", "tunnel", "")
        check("its words complete", out.split() == ["up", "status", "check", "discover"], out)
        code, out, _ = run(home, "completion", "words", "tunnel", "up", "--li")
        check("its options complete", out.split() == ["--listen"], out)


def a_tunnel():
    with world() as (home, gateway, host):
        with up(home, "gate", "--listen", "127.0.0.1:0") as tunnel:
            line = tunnel.wait_line("up: gate")
            url = re.search(r"ws://127\.0\.0\.1:\d+", line)[0]
            check("changes are told a line each, with where the gateway is", "by bridge" in line and "canvas at http://" in line, line)
            at = ["--url", url, "--token", TOKEN]
            code, _, err = run(home, "health", *at)
            check("what comes through it is remote and has to pair", code == 4 and "devices approve" in err, f"{code} {err}")
            request = re.search(r"devices approve (\S+)", err)[1]
            asked = run(gateway.home, "devices", "list")[1]
            check("the request names the ssh user", f"ssh {host.user}" in asked, asked)
            run(gateway.home, "devices", "approve", request)
            check("approved, it comes in", run(home, "health", *at)[0] == 0)
            showing(home, tunnel, url)
            one_per_target(home, tunnel)
            check("a tunnel's state and lock are its user's alone", oct(os.stat(f"{home}/state/tunnels").st_mode & 0o777) == "0o700"
                  and all(os.stat(p).st_mode & 0o077 == 0 for p in glob.glob(f"{home}/state/tunnels/*")))
            comes_back(home, tunnel, host, at)
            code, out, err = tunnel.end(signal.SIGINT)
            check("Ctrl-C ends it with status 0", code == 0 and not err, f"{code} {out} {err}")
            check("nothing stays behind", not left_behind(home) and not glob.glob(f"{home}/state/tunnels/*"), left_behind(home))
        with up(home, "gate", "--listen", f"unix:{home}/gw.sock") as tunnel:
            tunnel.wait_line(f"gateway at unix:{home}/gw.sock")
            check("a socket as the near end", run(home, "health", "--url", f"unix:{home}/gw.sock", "--token", TOKEN)[0] in (0, 4))
            check("SIGTERM ends it with status 0", tunnel.end(signal.SIGTERM)[0] == 0)
            check("its socket is gone", not os.path.exists(f"{home}/gw.sock"))


def showing(home, tunnel, url):
    code, out, _ = run(home, "tunnel", "status")
    check("status shows a table and where to connect", code == 0 and re.search(r"^gate +up ", out, re.M) and url in out, f"{code} {out}")
    seen = tunnel.status()
    check("its JSON has what the table has", seen["state"] == "up" and seen["way"] == "bridge" and seen["pid"] == tunnel.process.pid
          and seen["bytesIn"] > 0 and seen["bytesOut"] > 0 and seen["reconnects"] == 0 and seen["peer"] and seen["hostKey"].startswith("SHA256:"), seen)
    check("status by another spelling of the target", run(home, "tunnel", "status", "ssh://gate/")[0] == 0)
    check("status of another target: 3", run(home, "tunnel", "status", "elsewhere")[0] == 3)
    tunnel.process.send_signal(signal.SIGSTOP)
    code, out, _ = run(home, "tunnel", "status")
    tunnel.process.send_signal(signal.SIGCONT)
    check("one that is stopped is told apart", code == 1 and "silent" in out, f"{code} {out}")


def one_per_target(home, tunnel):
    code, _, err = run(home, "tunnel", "up", "ssh://gate")
    check("a second one for the target: status 1 and the pid", code == 1 and f"pid {tunnel.process.pid}" in err, f"{code} {err}")
    port = tunnel.url().rsplit(":", 1)[1]
    code, _, err = run(home, "tunnel", "up", "elsewhere", "--listen", f"127.0.0.1:{port}")
    check("a port that is taken: status 1, by whom, and what to do", code == 1 and f"(pid {tunnel.process.pid})" in err and "--listen" in err,
          f"{code} {err}")


def comes_back(home, tunnel, host, at):
    host.refuse = True
    host.cut()
    tunnel.wait_line("lost: ")
    seen = tunnel.wait("it waits", lambda s: s["state"] in ("waiting", "reconnecting"))
    check("a lost one has a reason", seen.get("lastError"), seen)
    code, out, _ = run(home, "tunnel", "status")
    check("status 1 while it is not up, and why", code == 1 and seen["lastError"][:20] in out or tunnel.status()["lastError"][:20] in out, f"{code} {out}")
    held = subprocess.Popen([kit.CULVERT, "health", *at], env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    tunnel.wait("a connection waits", lambda s: s["held"] == 1)
    host.refuse = False
    tunnel.wait_line("back after ")
    check("what waited gets through", held.wait(timeout=kit.WAIT_S) == 0, held.communicate())
    seen = tunnel.status()
    check("the reconnect is counted", seen["reconnects"] == 1 and seen["lostAt"] and seen["backAt"] >= seen["lostAt"], seen)


def killed():
    """kill -9 leaves a socket and a lock without a holder: neither shown nor in the way."""
    with world() as (home, gateway, host):
        with up(home, "gate", "--listen", "127.0.0.1:0") as tunnel:
            tunnel.wait_line("up: gate")
            tunnel.end(signal.SIGKILL)
            check("a killed one is not listed", run(home, "tunnel", "status")[0] == 3 and left_behind(home))
        with up(home, "gate", "--listen", "127.0.0.1:0") as tunnel:
            tunnel.wait_line("up: gate")
            check("the next one takes its place", tunnel.end()[0] == 0 and not left_behind(home))


def for_systemd():
    with world() as (home, gateway, host), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{home}/notify")
        manager.settimeout(kit.WAIT_S)
        with up(home, "gate", "--listen", "127.0.0.1:0", env=environment(home, NOTIFY_SOCKET=f"{home}/notify", JOURNAL_STREAM="1:2")) as tunnel:
            heard = []
            while not any("STATUS=up" in text for text in heard):
                heard.append(manager.recv(4096).decode())
            check("the service manager hears READY and the state", "READY=1" in heard, heard)
            check("lines for a journal carry no time of their own", tunnel.wait_line("up: gate").startswith("up: gate"))
            tunnel.end(signal.SIGTERM)
            check("and that it stops", manager.recv(4096) == b"STOPPING=1")


def the_unit():
    """deploy/systemd/culvert-tunnel@.service is one that systemd takes without a word."""
    if not shutil.which("systemd-analyze"):
        kit.skip("the systemd unit", "no systemd-analyze here")
        return
    with scratch() as folder:
        text = open(f"{TOP}/deploy/systemd/culvert-tunnel@.service").read()
        unit = f"{folder}/culvert-tunnel@gate.service"
        write(unit, text.replace("ExecStart=culvert ", f"ExecStart={os.path.abspath(kit.CULVERT)} "))
        done = subprocess.run(["systemd-analyze", "verify", "--user", "--man=no", "--recursive-errors=no", unit], capture_output=True, text=True,
                              env={**os.environ, "XDG_RUNTIME_DIR": folder}, timeout=kit.WAIT_S)
        check("systemd takes the unit", done.returncode == 0 and not done.stderr, done.stderr)


def not_there():
    """A host that is away is waited for, and that is said once."""
    with world() as (home, gateway, host):
        host.leave()
        with up(home, "gate", "--listen", "127.0.0.1:0") as tunnel:
            tunnel.wait_line("no way yet: ")
            time.sleep(2)
            check("one line however often it tries", len(tunnel.lines) == 2 and "refused" in tunnel.lines[1], tunnel.lines)
            code, out, _ = run(home, "tunnel", "status", "gate")
            check("status 1, and why", code == 1 and "refused" in out, f"{code} {out}")
            check("it ends as well as any", tunnel.end(signal.SIGTERM)[0] == 0 and not left_behind(home))


def checked():
    with world() as (home, gateway, host):
        write(f"{home}/token", TOKEN + "\n")
        args = ["tunnel", "check", "gate", "--token-file", f"{home}/token"]
        code, out, err = run(home, *args)
        check("check goes as far as the pairing, and says what to do", code == 4 and re.search(r"^ok +gateway ", out, re.M)
              and re.search(r"^fail +pairing .*devices approve", out, re.M), f"{code} {out} {err}")
        run(gateway.home, "devices", "approve", re.search(r"devices approve (\S+)", out)[1])
        code, out, err = run(home, *args, "--json")
        steps = {step["step"]: step["result"] for step in json.loads(out)}
        check("all well: status 0", code == 0 and steps["host key"] == steps["authentication"] == steps["forwarding"] == steps["pairing"] == "ok",
              f"{code} {out} {err}")
        os.unlink(host.path("known_hosts"))
        code, out, err = run(home, *args)
        check("an unknown host: status 4, nothing after it", code == 4 and re.search(r"^fail +host key .*--accept-new", out, re.M)
              and "pairing" not in out, f"{code} {out} {err}")
        code, out, err = run(home, "tunnel", "check", f"ssh://{host.user}@127.0.0.1:{host.port}", "-F", "/dev/null", "-i", host.path("id"), "--accept-new",
                             "--token-file", f"{home}/token", env=environment(home, HOME=home))
        check("a target with a port, a key and no configuration", code == 0 and re.search(r"^ok +pairing", out, re.M), f"{code} {out} {err}")
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            port = nobody.getsockname()[1]
        code, out, err = run(home, "tunnel", "check", f"ssh://127.0.0.1:{port}")
        check("nobody there: status 3 at the step that fails", code == 3 and re.search(r"^fail +tcp .*refused", out, re.M), f"{code} {out} {err}")
        check("nothing stays behind", not left_behind(home))


if __name__ == "__main__":
    if why := sshd.missing():
        kit.skip("everything", why)
        kit.finish()
    parts = [usage, a_tunnel, killed, for_systemd, the_unit, not_there, checked]
    for part in parts:
        if not sys.argv[1:] or part.__name__ in sys.argv[1:]:
            part()
    kit.finish()
