"""The real gateway under load: a gateway that may be killed and started again on the same directory, many clients in
one asyncio loop, a model that answers as slowly as a test needs. Everything started is stopped by its id."""
import asyncio
import base64
import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

CULVERT = os.environ["CULVERT_BIN"]
LONG = os.environ.get("CULVERT_LONG") == "1"
SEED = int(os.environ.get("CULVERT_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
TOKEN = "durable-test-token"
START_S, CALL_S = 30, 60
FRAME_MAX = 64 * 1024 * 1024
failures, passed = [], 0
pumps = set()  # nobody else holds the task of a client that was let go


def check(what, ok, seen=""):
    """One expectation; a failed one is told and the run goes on."""
    global passed
    if ok:
        passed += 1
        return True
    failures.append(what)
    print(f"FAIL {what}\n     {str(seen).strip()[:2000]}", flush=True)
    return False


def say(text):
    print(f"    {text}", flush=True)


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0.0


def main(*parts):
    """Runs the parts one after the other, each with a scratch folder; the status says whether all held."""
    only = sys.argv[1:]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    say(f"seed {SEED}{', long form' if LONG else ''}")
    for part in parts:
        if only and part.__name__ not in only:
            continue
        random.seed(SEED)
        started, folder = time.monotonic(), tempfile.mkdtemp(prefix="culvert-durable-")
        try:
            asyncio.run(part(folder))
        except Exception as error:  # what is broken here must not hide the parts behind it
            import traceback
            check(f"{part.__name__} runs to its end", False, "".join(traceback.format_exception(error))[-2000:])
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        say(f"{part.__name__}: {time.monotonic() - started:.1f} s")
    print(f"{passed} passed, {len(failures)} failed", flush=True)
    sys.exit(1 if failures else 0)


# ---- the gateway ----

class Gateway:
    """A gateway over one state directory. start, then kill or stop, then start again."""

    def __init__(self, folder, config=None):
        self.state = os.path.join(folder, "state")
        self.socket = os.path.join(self.state, "gateway.sock")
        os.makedirs(self.state, mode=0o700, exist_ok=True)
        self.log_path = os.path.join(folder, "gateway.log")
        self.process, self.port, self.starts = None, None, 0
        with open(os.open(os.path.join(self.state, "culvert.json"), os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            json.dump(config or {}, file)

    def spawn(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("CULVERT_", "OPENCLAW_"))}
        env["HOME"] = os.path.dirname(self.state)
        # What a sanitizer keeps back of freed memory would hide what the gateway itself keeps.
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=8:allocator_release_to_os_interval_ms=500"
        command = [CULVERT, "gateway", "--port", "0", "--state-dir", self.state, "--token", TOKEN]
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self.starts += 1

    async def ready(self):
        """Until the lock file names this process and its port."""
        until = time.monotonic() + START_S
        while time.monotonic() < until and self.process.poll() is None:
            with contextlib.suppress(OSError, ValueError, KeyError):
                told = json.load(open(os.path.join(self.state, "gateway.lock")))
                if told["pid"] == self.process.pid:
                    self.port = told["port"]
                    return self
            await asyncio.sleep(0.005)
        raise RuntimeError(f"the gateway did not start:\n{self.log()[-3000:]}")

    async def start(self):
        self.spawn()
        return await self.ready()

    def log(self):
        return open(self.log_path, errors="replace").read()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    async def stop(self, within=30.0):
        """SIGTERM; (status, seconds until it was gone)."""
        started = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        while self.process.poll() is None and time.monotonic() - started < within:
            await asyncio.sleep(0.005)
        if self.process.poll() is None:
            self.kill()
        return self.process.returncode, time.monotonic() - started

    def check_log(self, what):
        """No sanitizer has said anything in any of its lives, and nothing that cannot happen happened."""
        found = re.search(r"(ERROR: \w*Sanitizer|runtime error:|BUG:|cannot happen).*", self.log())
        check(f"{what}: no sanitizer report, no broken invariant", not found, found and self.log()[found.start():][:2000])

    def memory_kib(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1])
        return 0

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


@contextlib.asynccontextmanager
async def running(folder, config=None, leaves_well=True):
    gateway = Gateway(folder, config)
    try:
        await gateway.start()
        yield gateway
    finally:
        status, _ = await gateway.stop()
        if leaves_well:
            check("the gateway leaves with status 0", status == 0, f"{status}\n{gateway.log()[-2000:]}")
        gateway.check_log("the gateway")


# ---- a client ----

class Closed(Exception):
    def __init__(self, code, reason):
        super().__init__(f"{code} {reason}")
        self.code, self.reason = code, reason


class Client:
    """A WebSocket client. Calls wait for their answers; events go to on_event(frame) or to the list. reading.clear()
    makes it a slow one: what has come stays in the socket."""

    def __init__(self, reader, writer, on_event):
        self.reader, self.writer = reader, writer
        self.reading = asyncio.Event()
        self.reading.set()
        self.events, self.on_event = [], on_event
        self.waiting, self.count = {}, 0
        self.hello = self.closed = self.pump_task = None
        self.sequence, self.in_order = 0, True

    @classmethod
    async def open(cls, gateway, unix=False, version=4, on_event=None, buffer=None, scopes=("operator.admin",), pumped=True, caps=()):
        plain = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        if buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        plain.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(plain, gateway.socket if unix else ("127.0.0.1", gateway.port))
            reader, writer = await asyncio.open_connection(sock=plain, limit=buffer or 65536)
        except OSError as error:
            plain.close()
            raise Closed(0, str(error)) from error
        self = cls(reader, writer, on_event)
        try:
            await self.upgrade()
            await self.connect(version, scopes, caps)
        except (OSError, asyncio.IncompleteReadError) as error:
            self.abandon()
            raise Closed(1006, str(error)) from error
        if pumped:
            self.pump_task = asyncio.create_task(self.pump())
            pumps.add(self.pump_task)
            self.pump_task.add_done_callback(pumps.discard)
        return self

    async def upgrade(self):
        key = base64.b64encode(os.urandom(16)).decode()
        self.writer.write(f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise Closed(0, head.split(b"\r\n")[0].decode())

    async def connect(self, version, scopes, caps=()):
        await self.receive()  # the challenge
        self.send({"type": "req", "id": "hello", "method": "connect", "params": {
            "minProtocol": version, "maxProtocol": version, "role": "operator", "scopes": list(scopes), "caps": list(caps),
            "auth": {"token": TOKEN}, "client": {"id": "cli", "version": "durable", "platform": "linux", "mode": "cli"}}})
        while True:
            frame = await self.receive()
            if frame.get("id") == "hello":
                if not frame["ok"]:
                    raise Closed(0, frame["error"]["message"])
                self.hello = frame["payload"]
                return
            self.take_event(frame)

    def send_frame(self, opcode, data):
        """Masked with zeros: as good as any other key to a test."""
        size = len(data)
        head = bytes([0x80 | opcode]) + (bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size)
                                         if size < 65536 else b"\xff" + struct.pack(">Q", size))
        self.writer.write(head + b"\0\0\0\0" + data)

    def send(self, value):
        self.send_frame(1, json.dumps(value).encode())

    async def receive_frame(self):
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            size = struct.unpack(">H", await self.reader.readexactly(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", await self.reader.readexactly(8))[0]
        if size > FRAME_MAX:
            raise Closed(1009, f"a frame of {size} bytes")
        return first & 0x80, first & 0x0F, await self.reader.readexactly(size)

    async def receive(self):
        """The next message as a value. Raises Closed."""
        message = b""
        while True:
            final, opcode, data = await self.receive_frame()
            if opcode == 8:
                self.send_frame(8, data[:2])
                raise Closed(struct.unpack(">H", data[:2])[0] if len(data) >= 2 else 1005, data[2:].decode())
            if opcode == 9:
                self.send_frame(10, data)
            elif opcode in (0, 1):
                message += data
                if final:
                    return json.loads(message)

    def take_event(self, frame):
        if "seq" in frame:
            self.in_order = self.in_order and frame["seq"] == self.sequence + 1
            self.sequence = frame["seq"]
        if self.on_event:
            self.on_event(frame)
        else:
            self.events.append(frame)

    async def pump(self):
        why = Closed(1006, "")
        try:
            while True:
                await self.reading.wait()
                frame = await self.receive()
                if frame["type"] == "res":
                    waiting = self.waiting.pop(frame["id"], None)
                    if waiting and not waiting.done():
                        waiting.set_result(frame)
                else:
                    self.take_event(frame)
        except Closed as closed:
            why = closed
        except (OSError, asyncio.IncompleteReadError) as error:
            why = Closed(1006, str(error))
        finally:
            self.closed = why
            for waiting in self.waiting.values():
                if not waiting.done():
                    waiting.set_exception(why)
                    waiting.exception()
            self.abandon()

    def post(self, method, params):
        """Asks without waiting; the future of the answer."""
        if self.closed:
            raise self.closed
        self.count += 1
        waiting = self.waiting[str(self.count)] = asyncio.get_running_loop().create_future()
        self.send({"type": "req", "id": str(self.count), "method": method, "params": params})
        return waiting

    async def call(self, method, params=None, within=CALL_S):
        return await asyncio.wait_for(self.post(method, params or {}), within)

    async def value(self, method, params=None):
        """The payload of a call that must succeed."""
        answer = await self.call(method, params)
        if not answer["ok"]:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["payload"]

    async def gone(self, within):
        """Why the connection closed, None when it did not."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.pump_task), within)
        return self.closed

    def abandon(self):
        with contextlib.suppress(Exception):
            self.writer.transport.abort()

    async def close(self):
        if not self.closed:
            with contextlib.suppress(OSError):
                self.send_frame(8, b"\x03\xe8")
            self.reading.set()
            await self.gone(3)
        if self.pump_task and not self.pump_task.done():
            self.pump_task.cancel()
        self.abandon()


async def history(client, session):
    """The whole transcript, page after page, oldest first."""
    messages, offset = [], 0
    while True:
        page = await client.value("chat.history", {"sessionKey": session, "limit": 1000, "offset": offset})
        messages = page["messages"] + messages
        if not page.get("hasMore"):
            return messages
        offset = page["nextOffset"]


async def until(condition, within=30.0):
    end = time.monotonic() + within
    while not condition() and time.monotonic() < end:
        await asyncio.sleep(0.01)
    return condition()


# ---- a model behind HTTP ----

class Model:
    """A Chat Completions server that says `words` words, one each `pause` seconds, each `width` bytes; both may be
    changed while it runs. `with` stops it."""

    def __init__(self, words=20, pause=0.03, width=6):
        self.words, self.pause, self.width, self.asked = words, pause, width, 0
        self.server = self.port = None

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind, value, trace):
        self.server.close()

    async def serve(self, reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            self.asked += 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            for at in range(self.words):
                word = f"{at} ".rjust(self.width, ".")
                writer.write(f"data: {json.dumps({'choices': [{'delta': {'content': word}}]})}\n\n".encode())
                await writer.drain()
                await asyncio.sleep(self.pause)
            writer.write(b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
            await writer.drain()
        writer.close()

    def config(self, **more):
        return {"models": {"providers": {"slow": {"baseUrl": f"http://127.0.0.1:{self.port}/v1", "apiKey": "none"}}},
                "agents": {"defaults": {"model": {"primary": "slow/one"}, "maxConcurrent": 64}}, **more}
