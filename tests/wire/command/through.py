"""Through a real sshd: a forced command's bridge, lines that sshd itself carries, and tunnel.publish. None of them is local."""
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import kit
from kit import CULVERT, TOKEN, WAIT_S, Gateway, check, environment, run, scratch

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
USER = __import__("pwd").getpwuid(os.getuid()).pw_name


class Sshd:
    """`sshd -i` for each connection to a port of its own; `with` ends what it started."""

    def __init__(self, folder, authorized="", user=USER):
        self.folder, self.children = folder, []
        for name in ("host", "id"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{name}"], check=True)
        key = open(f"{folder}/id.pub").read()
        kit.write(f"{folder}/authorized", f"{authorized} {key}")
        kit.write(f"{folder}/sshd_config", f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n"
                  "PermitRootLogin yes\nExposeAuthInfo yes\nPidFile none\nAllowStreamLocalForwarding yes\n")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        host = open(f"{folder}/host.pub").read().split()
        kit.write(f"{folder}/known", f"[127.0.0.1]:{self.port} {host[0]} {host[1]}\n")
        os.makedirs(f"{folder}/.ssh", mode=0o700, exist_ok=True)
        kit.write(f"{folder}/.ssh/config", f"Host far\n HostName 127.0.0.1\n Port {self.port}\n User {user}\n IdentityFile {folder}/id\n"
                  f" IdentitiesOnly yes\n IdentityAgent none\n UserKnownHostsFile {folder}/known\n GlobalKnownHostsFile none\n"
                  " StrictHostKeyChecking yes\n")
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.listener.accept()
                self.children.append(subprocess.Popen([SSHD, "-i", "-f", f"{self.folder}/sshd_config"], stdin=s, stdout=s,
                                                      stderr=subprocess.DEVNULL, start_new_session=True))
                s.close()

    def cut(self):
        """Ends every connection there is."""
        for child in self.children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, 9)
            child.wait()
        self.children.clear()

    def ssh(self, *args):
        return ["ssh", "-F", f"{self.folder}/.ssh/config", *args]

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()


def forced(home):
    keep = " ".join(f"{k}='{v}'" for k, v in environment(home).items() if k.endswith("SAN_OPTIONS") or k.startswith(("CULVERT", "HOME")))
    return f'command="env {keep} {CULVERT} bridge --as alice",restrict,port-forwarding'


@contextlib.contextmanager
def local_socket(sshd, path):
    """`ssh -L` of a unix socket: what connects at the far end is sshd."""
    here = f"{sshd.folder}/forward.sock"
    process = subprocess.Popen(sshd.ssh("-N", "-o", "ExitOnForwardFailure=yes", "-L", f"{here}:{path}", "far"), stdin=subprocess.DEVNULL)
    until = time.monotonic() + WAIT_S
    while not os.path.exists(here) and time.monotonic() < until and process.poll() is None:
        time.sleep(0.02)
    try:
        yield here
    finally:
        process.terminate()
        process.wait()


def answer(path, line):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(WAIT_S)
        s.connect(path)
        s.sendall(line)
        return s.recv(65536)


def bridges():
    with scratch() as home, scratch() as far, Gateway(home) as gateway, Sshd(far, forced(home)) as sshd:
        bridge = subprocess.Popen(sshd.ssh("far"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        offer = json.loads(bridge.stdout.readline() or b"{}")
        fingerprint = subprocess.run(["ssh-keygen", "-lf", f"{far}/id.pub"], capture_output=True, text=True).stdout.split()[1]
        check("a forced command's bridge is believed: its name, sshd's key and address",
              "ticket" in offer and gateway.wait_output(f"a tunnel for ssh {USER} as alice, key {fingerprint}, from 127.0.0.1"), gateway.output())
        asked = subprocess.run(sshd.ssh("far", "culvert bridge --stdio gateway"), input=b"GET /healthz HTTP/1.0\r\n\r\n", capture_output=True,
                               timeout=WAIT_S)
        check("and by stdio, when asked for in those words", b"HTTP/1" in asked.stdout, asked)
        tunnel = f"{home}/state/tunnel.sock"
        with local_socket(sshd, tunnel) as path:
            said = answer(path, b'CULVERT/1 bridge {"as":"admin","key":"SHA256:' + b"A" * 43 + b'"}\n')
            check("what the same person says to tunnel.sock through sshd does not count",
                  b'"ticket"' in said and gateway.wait_output("what a bridge tells of itself does not count")
                  and "as admin" not in gateway.output() and "AAAAAAA" not in gateway.output(), gateway.output())
            said = answer(path, f"CULVERT/1 {offer.get('ticket')} gateway\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            check("a stream of theirs with the ticket is served", b"200 OK" in said, said)
        bridge.stdin.close()
        bridge.wait(timeout=WAIT_S)
        bridge.stdout.close()


def bridge_and_forgery(home, sshd, gateway, user):
    """An honest bridge is believed, the same person's line through sshd is not."""
    bridge = subprocess.Popen(sshd.ssh("far"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    bridge.stdout.readline()
    check("a forced command's bridge is believed", gateway.wait_output(f"a tunnel for ssh {user} as alice, key SHA256:"), gateway.output())
    with local_socket(sshd, f"{home}/state/tunnel.sock") as path:
        answer(path, b'CULVERT/1 bridge {"as":"admin"}\n')
        check("the same person's word through sshd is not",
              gateway.wait_output("what a bridge tells of itself does not count") and "as admin" not in gateway.output(), gateway.output())
    bridge.stdin.close()
    bridge.wait(timeout=WAIT_S)
    bridge.stdout.close()


def as_an_ordinary_user():
    """A gateway that may not look into sshd, which runs as root. In a mount namespace of its own, where there is an account for it."""
    if os.getuid() != 0:
        kit.skip("a gateway of another account", "needs root")
        return
    done = subprocess.run(["unshare", "-m", sys.executable, "-B", __file__, "account"], capture_output=True, text=True, timeout=120)
    if "not permitted" in done.stderr or "ermission denied" in done.stderr:
        kit.skip("a gateway of another account", done.stderr.strip())
    else:
        check("the same with a gateway of an ordinary account", done.returncode == 0, done.stdout + done.stderr)


def account():
    with scratch() as etc, scratch() as home, scratch() as far:
        rows = {"passwd": f"tunuser:x:4242:4242::{home}:/bin/sh\n", "shadow": "tunuser:*:19000:0:99999:7:::\n"}
        for name, row in rows.items():
            kit.write(f"{etc}/{name}", open(f"/etc/{name}").read() + row, 0o644)
            subprocess.run(["mount", "--bind", f"{etc}/{name}", f"/etc/{name}"], check=True)
        os.makedirs(f"{home}/state", mode=0o700)
        for path in (home, f"{home}/state"):
            os.chown(path, 4242, 4242)
        os.chmod(far, 0o711)
        become = ("setpriv", "--reuid", "4242", "--regid", "4242", "--clear-groups")
        with Sshd(far, forced(home), "tunuser") as sshd, Gateway(home, prefix=become) as gateway:
            os.chmod(f"{far}/authorized", 0o644)
            bridge_and_forgery(home, sshd, gateway, "tunuser")


def forwarded_socket():
    with scratch() as home, scratch() as away, scratch() as far, Gateway(home), Sshd(far) as sshd:
        with local_socket(sshd, f"{home}/state/gateway.sock") as path:
            status, _, err = run(away, "status", "--url", f"unix:{path}", "--token", TOKEN)
            check("ssh -L to gateway.sock is not local", status == 4 and "pairing required" in err, (status, err))
        _, out, _ = run(home, "devices", "list")
        check("and the request names whose sshd it is", f"forwarded on this host by {USER}" in out, out)


def publish():
    with scratch() as home, scratch() as away, Sshd(home) as sshd:
        config = json.dumps({"tunnel": {"publish": [{"target": "far", "remotePort": 0}], "trust": {"unix": {USER: {"scopes": ["operator.read"]}}}}})
        with Gateway(home, config=config) as gateway:
            if not check("the gateway publishes itself", gateway.wait_output("published on far as "), gateway.output()):
                return
            address = gateway.output().split("published on far as ")[1].split()[0]
            status, _, err = run(away, "status", "--url", f"ws://{address}", "--token", TOKEN)
            check("who comes that way is not local", status == 4 and "pairing required" in err, (status, err))
            status, _, err = run(away, "status", "--url", f"ws://{address}")
            check("nor trusted as the user that ssh signs in as", status == 4 and "of its own" in err, (status, err))
            _, out, _ = run(home, "devices", "list")
            check("the request says by which host", "published on far" in out, out)
            status, out, err = run(home, "status")
            check("status shows where it is published", "PUBLISHED ON" in out and address in out, out + err)
            check("doctor too", f"on far: up as {address}" in run(home, "doctor")[1])
            check("a gateway that is published well is well", "published" not in json.loads(run(home, "health", "--json")[1]))
            sshd.cut()
            until = time.monotonic() + 30
            while gateway.output().count("published on far as ") < 2 and time.monotonic() < until:
                time.sleep(0.05)
            check("it comes back by itself", gateway.output().count("published on far as ") == 2, gateway.output())


if not os.path.exists(SSHD) or not shutil.which("ssh"):
    kit.skip("everything", "no OpenSSH here")
    kit.finish()
if os.getuid() == 0:
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
for part in (account,) if sys.argv[1:] == ["account"] else (bridges, as_an_ordinary_user, forwarded_socket, publish):
    part()
kit.finish()
