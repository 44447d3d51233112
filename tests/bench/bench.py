"""What every row has in hand: a gateway, a bare client, the memory of a process, a way to say a result."""
import base64
import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import tempfile
import time

TOKEN = "bench-secret-token"


def row(what, measured, bar, good, floor="", **values):
    """One line of the table. good: True, False, or None when it is information only."""
    return {"what": what, "measured": measured, "floor": floor, "bar": bar, "good": good, "values": values}


def memory(pid):
    """{'VmRSS': KiB, 'RssAnon': KiB} of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        pairs = (line.split(":") for line in file if line.startswith(("VmRSS", "RssAnon")))
        return {name: int(value.split()[0]) for name, value in pairs}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Client:
    """A WebSocket client with nothing in it but what a row needs. Blocking."""

    def __init__(self, port, connect=True, scoped=False):
        """scoped: hears of the sessions it subscribes to, of no others."""
        self.caps = ["session-scoped-events"] if scoped else []
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
                            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                            "Sec-WebSocket-Version: 13\r\n\r\n".encode())
        while b"\r\n\r\n" not in self.pending:
            self.more()
        head, self.pending = self.pending.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise RuntimeError(f"no upgrade: {head[:80]!r}")
        if connect:
            self.hello()

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise RuntimeError("the gateway closed the connection")
        self.pending += data

    def take(self, count):
        while len(self.pending) < count:
            self.more()
        data, self.pending = self.pending[:count], self.pending[count:]
        return data

    def send(self, value):
        data, mask = json.dumps(value).encode(), os.urandom(4)
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        self.socket.sendall(b"\x81" + size + mask + masked)

    def receive(self):
        """The next text message as a value; pings and the like are passed over."""
        whole = b""
        while True:
            first, second = self.take(2)
            size = second & 0x7F
            if size == 126:
                size = struct.unpack(">H", self.take(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", self.take(8))[0]
            data = self.take(size)
            if first & 0x0F == 8:
                raise RuntimeError(f"closed: {data[2:].decode(errors='replace')}")
            if first & 0x0F <= 1:  # text, or more of it
                whole += data
                if first & 0x80:
                    return json.loads(whole)

    def hello(self):
        self.receive()  # the challenge
        client = {"id": "cli", "version": "bench", "platform": "linux", "mode": "cli"}
        self.send({"type": "req", "id": "hello", "method": "connect", "params": {
            "minProtocol": 4, "maxProtocol": 4, "client": client, "role": "operator",
            "scopes": ["operator.admin"], "caps": self.caps, "auth": {"token": TOKEN}}})
        while True:
            frame = self.receive()
            if frame.get("type") == "res" and frame.get("id") == "hello":
                if not frame["ok"]:
                    raise RuntimeError(f"refused: {frame['error']['message']}")
                return frame["payload"]

    def call(self, method, params):
        """The payload of the answer; what comes in between is passed over."""
        self.send({"type": "req", "id": method, "method": method, "params": params})
        while True:
            frame = self.receive()
            if frame.get("type") == "res" and frame.get("id") == method:
                if not frame["ok"]:
                    raise RuntimeError(f"refused: {frame['error']['message']}")
                return frame["payload"]

    def close(self):
        self.socket.close()


class Bench:
    def __init__(self, culvert, programs):
        self.culvert, self.programs = os.path.abspath(culvert), os.path.abspath(programs)

    def program(self, name):
        """The path of a measuring program, wherever its folder put it."""
        for folder, _, files in os.walk(self.programs):
            if name in files and os.access(os.path.join(folder, name), os.X_OK):
                return os.path.join(folder, name)
        raise RuntimeError(f"the program {name} is not built")

    def gateway(self, *args, config=None):
        return Gateway(self.culvert, args, config)

    def baseline(self):
        return Baseline(self.program("baseline"))


class Process:
    """A started program and the seconds from exec until it was ready; its folder goes with it."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="culvert-bench-")
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        process = getattr(self, "process", None)
        if process and process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def memory(self):
        return memory(self.process.pid)


class Gateway(Process):
    def __init__(self, culvert, args, config=None):
        self.culvert, self.args, self.config = culvert, args, config

    def start(self):
        self.port = free_port()
        token = os.path.join(self.dir, "token.txt")
        with open(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write(TOKEN + "\n")
        if self.config:
            with open(os.path.join(self.dir, "culvert.json"), "w", encoding="utf-8") as file:
                json.dump(self.config, file)
        log = open(os.path.join(self.dir, "log"), "wb")
        command = [self.culvert, "gateway", "--port", str(self.port), "--state-dir", self.dir,
                   "--auth", "token", "--token-file", token, *self.args]
        environment = {"PATH": os.environ["PATH"], "HOME": self.dir}
        begin = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        self.first = self.wait(begin + 20)
        self.ready = time.monotonic() - begin

    def wait(self, deadline):
        while True:
            try:
                return Client(self.port)
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as log:
                        raise RuntimeError(f"the gateway did not start:\n{log.read()[-2000:]}") from None
                time.sleep(0.0002)


class Baseline(Process):
    def __init__(self, program):
        self.path = program

    def start(self):
        begin = time.monotonic()
        self.process = subprocess.Popen([self.path, os.path.join(self.dir, "baseline.db")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            raise RuntimeError("the baseline program did not start")
        self.ready = time.monotonic() - begin


def median(values):
    return statistics.median(values)
