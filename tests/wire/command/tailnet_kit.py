"""A tailnet for the tests of the command: tailscaled's double (tests/tool/localapi.py) with a tailnet address on a network
namespace of the test's own, and a visitor that says what it likes in its headers."""
import base64
import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
sys.path.insert(0, os.path.join(TOP, "tests/net"))
from client import Device, base64url  # noqa: E402  (Ed25519 of its own)

OWN, BOX, TAGGED = "100.64.0.1", "100.64.0.2", "100.64.0.3"
OWN6, BOX6 = "fd7a:115c:a1e0::1", "fd7a:115c:a1e0::2"
NAME = "laptop.tail1234.ts.net"
NODES = {
    "laptop": {"ip": [OWN, OWN6], "login": "alice@example.com"},
    "box": {"ip": [BOX, BOX6], "login": "bob@example.com"},
    "robot": {"ip": [TAGGED], "tags": ["tag:robot"]},
}


def enter_namespace():
    """Runs this program again where the tailnet's addresses are this host's (all three, so that one can come from them). True
    when it is there already; false: not possible here."""
    if os.environ.get("TAILNET_NAMESPACE"):
        for command in (["ip", "link", "set", "lo", "up"], *(["ip", "addr", "add", f"{a}/32", "dev", "lo"] for a in (OWN, BOX, TAGGED))):
            subprocess.run(command, check=True)
        return True
    for way in (["unshare", "-n"], ["unshare", "-rn"]):
        if subprocess.run([*way, "ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0:
            os.environ["TAILNET_NAMESPACE"] = "1"
            os.execvp("unshare", [*way, sys.executable, "-B", *sys.argv])
    return False


@contextlib.contextmanager
def by_ipv6():
    """The tailnet's IPv6 addresses on the interface meanwhile. Yields whether there is IPv6."""
    change = lambda verb: [subprocess.run(["ip", "addr", verb, f"{a}/128", "dev", "lo"], capture_output=True).returncode for a in (OWN6, BOX6)]
    there = not any(change("add"))
    try:
        yield there
    finally:
        change("del")


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("double", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


class Daemon:
    """tailscaled's double."""

    def __init__(self, home, **script):
        self.path, self.script = os.path.join(home, "ts.sock"), os.path.join(home, "ts.json")
        self.home, self.carried = home, 0
        self.start(tun=True, nodes=NODES, status={"CertDomains": [NAME]}, **script)

    def start(self, **script):
        with open(self.script, "w") as file:
            json.dump(script, file)
        self.process = subprocess.Popen([sys.executable, "-B", os.path.join(TOP, "tests/tool/localapi.py"), self.path, self.script],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def restart(self, **script):
        self.stop()
        self.start(**{**json.load(open(self.script)), **script})

    def post(self, door, value):
        connection = Unix(self.path)
        connection.request("POST", f"/double/{door}", json.dumps(value) if not isinstance(value, str) else value)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def set(self, **patch):
        self.post("set", patch)
        self.post("bus", '{"State":6}')

    def serve(self):
        return self.post("log", "")["serve"] or {}

    def asked(self):
        return self.post("log", "")["log"]

    def carry(self, to, as_=None):
        """A socket whose connections the double brings there as its own."""
        self.carried += 1
        path = os.path.join(self.home, f"carry{self.carried}.sock")
        self.post("carry", {"listen": path, "to": to, **({"as": as_} if as_ else {})})
        return path

    def stop(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(timeout=10)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Visitor:
    """One WebSocket. to: (host, port), a unix socket's path, or a connected socket."""

    def __init__(self, to, headers=(), source=None, host=None):
        if isinstance(to, socket.socket):
            self.socket = to
            self.socket.settimeout(15)
        elif isinstance(to, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(15)
            self.socket.connect(to)
        else:
            self.socket = socket.create_connection(to, timeout=15, source_address=(source, 0) if source else None)
        host = host or ("localhost" if isinstance(to, str) else f"{to[0]}:{to[1]}")
        lines = ["GET / HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                 f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}", *(f"{k}: {v}" for k, v in headers)]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        while self.file.readline() not in (b"\r\n", b""):
            pass

    def read(self):
        """The next message; None when it is closed (self.closed says how)."""
        while True:
            head = self.file.read(2)
            if len(head) < 2:
                self.closed = (1006, "")
                return None
            length = head[1] & 127
            if length > 125:
                length = int.from_bytes(self.file.read(2 if length == 126 else 8), "big")
            data = self.file.read(length)
            if head[0] & 15 == 8:
                self.closed = (int.from_bytes(data[:2], "big"), data[2:].decode())
                return None
            if head[0] & 15 == 1:
                return json.loads(data)

    def write(self, value):
        data, mask = json.dumps(value).encode(), os.urandom(4)
        head = bytes([0x81, 0x80 | len(data)]) if len(data) < 126 else bytes([0x81, 0xFE]) + len(data).to_bytes(2, "big")
        self.socket.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def connect(self, device, auth=None, role="operator", scopes=("operator.read",)):
        """The answer to connect. device None: the secret alone."""
        challenge = self.read()["payload"]
        token = (auth or {}).get("token", "")
        kind = "node" if role == "node" else "cli"
        client = {"id": "node-host" if role == "node" else "cli", "version": "test", "platform": "linux", "mode": kind}
        params = {"minProtocol": 4, "maxProtocol": 4, "client": client, "role": role, "scopes": list(scopes), "caps": []}
        if auth:
            params["auth"] = auth
        signed = device and ["v3", device.id, client["id"], client["mode"], role, ",".join(scopes), str(challenge["ts"]), token, challenge["nonce"],
                  "linux", ""]
        if device:
            params["device"] = {"id": device.id, "publicKey": base64url(device.public), "signature": base64url(device.sign("|".join(signed))),
                                "signedAt": challenge["ts"], "nonce": challenge["nonce"]}
        self.write({"type": "req", "id": "1", "method": "connect", "params": params})
        while (frame := self.read()) is not None:
            if frame.get("type") == "res":
                return frame
        return {"ok": False, "error": {"message": "closed", "details": {"code": f"CLOSED {self.closed}"}}}

    def close(self):
        self.file.close()
        self.socket.close()


def code_of(answer):
    return "ok" if answer["ok"] else answer["error"].get("details", {}).get("code", answer["error"]["message"])


def until(fact, seconds=10):
    end = time.monotonic() + seconds
    while not (value := fact()) and time.monotonic() < end:
        time.sleep(0.02)
    return value
