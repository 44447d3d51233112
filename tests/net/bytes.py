"""Bytes by the million through whatever lies between, and whether they came as they left.

    bytes.py serve PORT                  on 127.0.0.1; also answers plain lines ("echo TEXT")
    bytes.py get PORT BYTES              a JSON line: {"ok", "bytes", "seconds", "rate", "sha256"}
    bytes.py put PORT BYTES
    bytes.py fetch PORT PATH BYTES       a page again and again until so many bytes came; all must be the same
    bytes.py echo PORT COUNT             so many connections open at the same time, a line each way on all

What is sent has no period that a buffer or a window has: a block's number, then bytes of a fixed stream."""
import hashlib
import http.client
import json
import random
import socket
import sys
import threading
import time

BLOCK = random.Random(4).randbytes((1 << 20) - 13)


def blocks(total):
    number = 0
    while total > 0:
        block = (number.to_bytes(8, "big") + BLOCK)[:total]
        yield block
        total, number = total - len(block), number + 1


def digest_of(total):
    digest = hashlib.sha256()
    for block in blocks(total):
        digest.update(block)
    return digest.hexdigest()


def read_exactly(peer, total, digest):
    buffer = bytearray(1 << 18)
    view, left = memoryview(buffer), total
    while left:
        n = peer.recv_into(view, min(left, len(buffer)))
        if n == 0:
            break
        digest.update(view[:n])
        left -= n
    return total - left


def read_line(peer):
    line = b""
    while not line.endswith(b"\n"):
        byte = peer.recv(1)
        if not byte:
            return None
        line += byte
    return line.decode().split()


def serve_one(peer):
    with peer:
        while words := read_line(peer):
            if words[0] == "get":
                for block in blocks(int(words[1])):
                    peer.sendall(block)
            elif words[0] == "put":
                digest = hashlib.sha256()
                got = read_exactly(peer, int(words[1]), digest)
                peer.sendall(f"{got} {digest.hexdigest()}\n".encode())
            else:
                peer.sendall(" ".join(words).encode() + b"\n")


def serve(port):
    server = socket.create_server(("127.0.0.1", int(port)), backlog=256)
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve_one, args=[server.accept()[0]], daemon=True).start()


def connect(port):
    return socket.create_connection(("127.0.0.1", int(port)), 60)


def tell(began, wanted, total, got, digest):
    seconds = time.monotonic() - began
    print(json.dumps({"ok": got == total and digest == wanted, "bytes": got, "seconds": round(seconds, 2), "rate": round(got / seconds / 1e6, 1),
                      "sha256": digest}), flush=True)


def get(port, total):
    total = int(total)
    wanted, digest = digest_of(total), hashlib.sha256()
    with connect(port) as peer:
        began = time.monotonic()
        peer.sendall(f"get {total}\n".encode())
        tell(began, wanted, total, read_exactly(peer, total, digest), digest.hexdigest())


def put(port, total):
    total = int(total)
    wanted = digest_of(total)
    with connect(port) as peer:
        peer.settimeout(600)
        began = time.monotonic()
        peer.sendall(f"put {total}\n".encode())
        for block in blocks(total):
            peer.sendall(block)
        got, digest = read_line(peer) or ("0", "")
        tell(began, wanted, total, int(got), digest)


def fetch(port, path, total):
    server, digests, got, began = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60), set(), 0, time.monotonic()
    while got < int(total):
        server.request("GET", path)
        answer = server.getresponse()
        page = answer.read()
        digests.add((answer.status, hashlib.sha256(page).hexdigest()))
        got += len(page)
    seconds = time.monotonic() - began
    print(json.dumps({"bytes": got, "pages": sorted(digests), "rate": round(got / seconds / 1e6, 1)}), flush=True)


def echo(port, count):
    peers = [connect(port) for _ in range(int(count))]
    for number, peer in enumerate(peers):
        peer.sendall(f"echo {number}\n".encode())
    answered = sum(read_line(peer) == ["echo", str(number)] for number, peer in enumerate(peers))
    print(json.dumps({"connected": len(peers), "answered": answered}), flush=True)


if __name__ == "__main__":
    {"serve": serve, "get": get, "put": put, "fetch": fetch, "echo": echo}[sys.argv[1]](*sys.argv[2:])
