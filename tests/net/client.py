"""A small client of the gateway's protocol, left running on a host of the tests: it connects, asks, and when the connection
goes it comes back. What happens is told a JSON line each, times as wall milliseconds.

    client.py FILE URL watch [PERIOD_MS]          {"up": ms} {"down": ms, "why"} {"answer": ms, "took"} ...
    client.py FILE URL load PER_SECOND SECONDS    {"asked", "answered", "p50", "p99", "max"} (ms); SIGTERM ends it sooner
    client.py FILE URL many COUNT                 {"connected", "answered"}: all open at the same time
    client.py FILE URL once                       {"up"} or {"refused", "request"}

FILE keeps the key of its device; it is made when missing. CULVERT_TOKEN is the shared secret."""
import asyncio
import base64
import hashlib
import json
import os
import signal
import sys
import time

METHOD, LIMIT_S = "last-heartbeat", 15
FRAME_MAX = 1 << 20


def wall():
    return int(time.time() * 1000)


def tell(**what):
    print(json.dumps(what), flush=True)


# ---- Ed25519 (RFC 8032), for the device's signature ----

P, Q = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
BASE_Y = 4 * pow(5, P - 2, P) % P


def base_point():
    x2 = (BASE_Y * BASE_Y - 1) * pow(D * BASE_Y * BASE_Y + 1, P - 2, P)
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    x = P - x if x & 1 else x
    return x, BASE_Y, 1, x * BASE_Y % P


def add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(scalar):
    point, sum_ = base_point(), (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            sum_ = add(sum_, point)
        point, scalar = add(point, point), scalar >> 1
    z = pow(sum_[2], P - 2, P)
    return (sum_[1] * z % P | (sum_[0] * z % P & 1) << 255).to_bytes(32, "little")


class Device:
    def __init__(self, path):
        if not os.path.exists(path):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(os.urandom(32))
        with open(path, "rb") as file:
            digest = hashlib.sha512(file.read()).digest()
        self.secret = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | 1 << 254
        self.prefix, self.public = digest[32:], times(self.secret)
        self.id = hashlib.sha256(self.public).hexdigest()

    def sign(self, text):
        number = lambda *parts: int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % Q
        r = number(self.prefix, text.encode())
        point = times(r)
        s = (r + number(point, self.public, text.encode()) * self.secret) % Q
        return point + s.to_bytes(32, "little")


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


# ---- one connection ----

class Refused(Exception):
    pass


class Peer:
    """request() may run many times at once; every answer finds its asker."""

    def __init__(self, device, url):
        self.device, (self.host, self.port) = device, url.split("//")[1].strip("/").rsplit(":", 1)
        self.waiting, self.next, self.ended = {}, 0, None

    async def connect(self):
        self.reader, self.writer = await asyncio.open_connection(self.host, int(self.port), limit=2 * FRAME_MAX)
        self.writer.write((f"GET / HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n").encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise Refused(head.decode(errors="replace"))
        challenge = (await self.read())["payload"]
        self.task = asyncio.create_task(self.run())
        client = {"id": "cli", "version": "net-test", "platform": "linux", "mode": "cli"}
        scopes, token = ["operator.read"], os.environ["CULVERT_TOKEN"]
        signed = ["v3", self.device.id, "cli", "cli", "operator", ",".join(scopes), str(challenge["ts"]), token, challenge["nonce"], "linux", ""]
        answer = await self.request("connect", {
            "minProtocol": 4, "maxProtocol": 4, "client": client, "role": "operator", "scopes": scopes, "caps": [], "auth": {"token": token},
            "device": {"id": self.device.id, "publicKey": base64url(self.device.public), "signature": base64url(self.device.sign("|".join(signed))),
                       "signedAt": challenge["ts"], "nonce": challenge["nonce"]}})
        if not answer["ok"]:
            raise Refused(answer["error"])
        return self

    async def request(self, method, params=None):
        if self.ended:
            raise ConnectionError(self.ended)
        self.next += 1
        key, answer = str(self.next), asyncio.get_running_loop().create_future()
        self.waiting[key] = answer
        self.write({"type": "req", "id": key, "method": method, **({"params": params} if params is not None else {})})
        return await asyncio.wait_for(answer, LIMIT_S)

    async def run(self):
        try:
            while True:
                frame = await self.read()
                if frame.get("type") == "res" and frame["id"] in self.waiting:
                    self.waiting.pop(frame["id"]).set_result(frame)
        except (OSError, EOFError, asyncio.CancelledError) as error:
            self.ended = str(error) or type(error).__name__
            self.close()
            for answer in self.waiting.values():
                if not answer.done():
                    answer.set_exception(ConnectionError(self.ended))

    def write(self, value):
        data, mask = json.dumps(value).encode(), os.urandom(4)
        head = bytes([0x81, 0x80 | len(data)]) if len(data) < 126 else bytes([0x81, 0xFE]) + len(data).to_bytes(2, "big")
        spread = (mask * (len(data) // 4 + 1))[:len(data)]
        self.writer.write(head + mask + (int.from_bytes(data, "big") ^ int.from_bytes(spread, "big")).to_bytes(len(data), "big"))

    async def read(self):
        while True:
            first, second = await self.reader.readexactly(2)
            length = second & 127
            if length > 125:
                length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8), "big")
            data = await self.reader.readexactly(length)
            if first & 15 == 1:
                return json.loads(data)
            if first & 15 == 8:
                raise EOFError(f"closed {int.from_bytes(data[:2], 'big')} {data[2:].decode(errors='replace')}")

    def close(self):
        self.writer.close()


# ---- what it is told to do ----

async def watch(device, url, period="100"):
    while True:
        peer = None
        try:
            peer = await asyncio.wait_for(Peer(device, url).connect(), LIMIT_S)
            tell(up=wall())
            while True:
                began = time.monotonic()
                await peer.request(METHOD)
                tell(answer=wall(), took=round((time.monotonic() - began) * 1000, 1))
                await asyncio.sleep(int(period) / 1000)
        except (OSError, EOFError, asyncio.TimeoutError, Refused) as error:
            tell(down=wall(), why=f"{type(error).__name__}: {error}"[:300])
            if peer:
                peer.close()
        await asyncio.sleep(0.05)


async def load(device, url, per_second, seconds):
    peer, took, running = await Peer(device, url).connect(), [], set()

    async def one():
        began = time.monotonic()
        await peer.request(METHOD)
        took.append((time.monotonic() - began) * 1000)

    began, asked, told = time.monotonic(), 0, asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    while time.monotonic() - began < float(seconds) and not told.is_set():
        task = asyncio.create_task(one())
        running.add(task)
        task.add_done_callback(running.discard)
        asked += 1
        await asyncio.sleep(max(0, began + asked / float(per_second) - time.monotonic()))
    await asyncio.gather(*running, return_exceptions=True)
    took.sort()
    at = lambda share: round(took[min(len(took) - 1, int(len(took) * share))], 2)
    tell(asked=asked, answered=len(took), p50=at(0.5), p99=at(0.99), max=at(1))


async def many(device, url, count):
    peers = await asyncio.gather(*(Peer(device, url).connect() for _ in range(int(count))), return_exceptions=True)
    connected = [peer for peer in peers if isinstance(peer, Peer)]
    answers = await asyncio.gather(*(peer.request(METHOD) for peer in connected), return_exceptions=True)
    why = [repr(peer)[:300] for peer in [*peers, *answers] if isinstance(peer, BaseException)]
    tell(connected=len(connected), answered=sum(isinstance(a, dict) and a["ok"] for a in answers), why=why[:3])


async def once(device, url):
    try:
        await asyncio.wait_for(Peer(device, url).connect(), LIMIT_S)
        tell(up=wall())
    except Refused as error:
        details = error.args[0].get("details") or {} if isinstance(error.args[0], dict) else {}
        tell(refused=str(error.args[0]), request=details.get("requestId"))


def main(path, url, what, *words):
    asyncio.run({"watch": watch, "load": load, "many": many, "once": once}[what](Device(path), url, *words))


if __name__ == "__main__":
    main(*sys.argv[1:])
