"""tunnel.sock and `culvert bridge` against a running gateway: tickets, what may be claimed, HTTP and WebSockets over a stream,
crowds, and other users of the machine."""
import base64
import contextlib
import json
import os
import pwd
import signal
import socket
import subprocess
import threading
import time

import kit
from kit import CULVERT, TOKEN, WAIT_S, Gateway, check, environment, run, scratch

NOBODY = pwd.getpwnam("nobody").pw_uid
KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"  # a well-known test key
FINGERPRINT = "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Bridge:
    """A `culvert bridge` that stays until `with` ends."""

    def __init__(self, home, *args, env=None, user=None):
        self.process = subprocess.Popen([CULVERT, "bridge", *args], env=env or environment(home), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, user=user)
        self.offer = json.loads(self.process.stdout.readline())

    def ping(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def end(self):
        if not self.process.stdin.closed:
            self.process.stdin.close()
        status = self.process.wait(timeout=WAIT_S)
        self.process.stdout.close()
        self.process.stderr.close()
        return status

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.end()


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(WAIT_S)
    s.connect(path)
    return s


def everything(s):
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while part := s.recv(65536):
            data += part
    s.close()
    return data


def say(path, line):
    """What tunnel.sock answers to a first line (and what follows it)."""
    s = connect(path)
    with contextlib.suppress(BrokenPipeError):
        s.sendall(line)
    return everything(s)


def say_and_leave(path, line):
    """The same for one that would be kept: its first answer."""
    with connect(path) as s:
        s.sendall(line)
        return s.recv(65536)


def stream(offer, service="gateway", more=""):
    return f"CULVERT/1 {offer['ticket']} {service}{more}\n".encode()


def gone(path, line):
    """True once the line is refused: the gateway hears of a bridge's end a moment later."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        if b"no such ticket" in say(path, line):
            return True
        time.sleep(0.02)
    return False


def websocket(s):
    """Upgrades and returns the first text message."""
    s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
              b"Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)) + b"\r\n\r\n")
    data = b""
    while b"connect.challenge" not in data:
        part = s.recv(65536)
        if not part:
            break
        data += part
    return data


@contextlib.contextmanager
def forwarder(offer, user_socket=None):
    """A TCP port on loopback whose connections are streams of the tunnel, as `culvert tunnel up` makes them."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(a, b):
        with contextlib.suppress(OSError):
            while part := a.recv(65536):
                b.sendall(part)
            b.shutdown(socket.SHUT_WR)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                far = connect(offer["socket"])
                far.settimeout(None)
                far.sendall(stream(offer))
                threading.Thread(target=pump, args=(client, far), daemon=True).start()
                threading.Thread(target=pump, args=(far, client), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def what_a_bridge_does():
    with scratch() as home:
        status, out, err = run(home, "bridge")
        check("without a gateway a bridge says so and leaves with 3",
              status == 3 and "no gateway is running here" in json.loads(out)["error"], (status, out, err))
        status, out, err = run(home, "bridge", "--stdio")
        check("and with --stdio as well", status == 3 and out.startswith("CULVERT/1 error no gateway is running"), (status, out))
        status, out, err = run(home, "bridge", "--as", "a b")
        check("a name is one word", status == 2 and "--as takes" in err, (status, err))
        with Gateway(home) as gateway:
            with Bridge(home) as bridge:
                offer = bridge.offer
                check("the offer has all its parts", offer["culvert"] == 1 and offer["services"] == ["gateway"]
                      and offer["socket"] == f"{home}/state/tunnel.sock" and len(offer["ticket"]) == 43, offer)
                check("pings are answered", bridge.ping(b"ping 7\n") == b"pong 7\n" and bridge.ping(b"x\nping a b\n") == b"pong a b\n")
                check("its end of input ends it", bridge.end() == 0)
            check("its ticket has ended with it", gone(offer["socket"], stream(offer)))
            started = time.monotonic()
            with Bridge(home):
                took = time.monotonic() - started
            check("it starts at once", took < 2, f"{took:.3f} s, with a sanitizer")
            with Bridge(home) as bridge:
                gateway.stop()
                check("it ends with its gateway", bridge.process.wait(timeout=WAIT_S) == 3)


def what_it_tells():
    with scratch() as home, Gateway(home) as gateway:
        auth = os.path.join(home, "auth")
        kit.write(auth, f"publickey ssh-ed25519 {KEY}\n")
        rows = [
            ("sshd's address and key", {"SSH_CONNECTION": "192.0.2.7 50000 192.0.2.1 22", "SSH_USER_AUTH": auth}, [],
             f", key {FINGERPRINT}, from 192.0.2.7"),
            ("a forced command's name", {"SSH_CONNECTION": "192.0.2.8 50000 192.0.2.1 22"}, ["--as", "alice"],
             " as alice, key not told by sshd, from 192.0.2.8"),
            ("no address that is none", {"SSH_CONNECTION": "<b> 1 2 3"}, ["--as", "eve"], " as eve, key not told by sshd\n"),
        ]
        for what, env, args, text in rows:
            with Bridge(home, *args, env=environment(home, **env)):
                check(f"a bridge tells {what}", gateway.wait_output(text), gateway.output())
        with socket.create_server(("127.0.0.1", 0)):  # another road, as sshd has them
            said = say_and_leave(f"{home}/state/tunnel.sock", b'CULVERT/1 bridge {"as":"admin","key":"' + FINGERPRINT.encode() + b'"}\n')
        check("whoever could be carrying another's line may have a tunnel, but its word does not count",
              b'"ticket"' in said and gateway.wait_output("what a bridge tells of itself does not count")
              and "as admin" not in gateway.output() and gateway.output().count(FINGERPRINT) == 1, gateway.output())


def stdio():
    with scratch() as home, Gateway(home):
        def ask(*args, **env):
            process = subprocess.Popen([CULVERT, "bridge", *args], env=environment(home, **env), stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE)
            process.stdin.write(REQUEST)
            process.stdin.flush()
            data = process.stdout.readline()
            process.stdin.close()
            rest = process.stdout.read()
            process.stdout.close()
            return process.wait(timeout=WAIT_S), data + rest

        status, data = ask("--stdio")
        check("one connection by stdio", status == 0 and data.startswith(b"HTTP/1.1 200") and b'"live"' in data, data)
        check("a service without a host is refused in words", b"CULVERT/1 error this gateway has no canvas host" in ask("--stdio", "canvas")[1])
        forced = {"as what sshd was asked": "culvert bridge --stdio", "with its service": "culvert bridge --stdio gateway"}
        for what, command in forced.items():
            check(f"behind a forced command, {what}", ask("--as", "alice", SSH_ORIGINAL_COMMAND=command)[1].startswith(b"HTTP/1.1 200"))
        for command in ["culvert bridge --stdio shell", "culvert bridge --stdio gateway; id", "sh -c id", "culvert bridge --as root --stdio", ""]:
            check(f"but nothing else: {command!r}", ask("--as", "alice", SSH_ORIGINAL_COMMAND=command)[1].startswith(b'{"culvert":1,'))
        status, _, err = run(home, "bridge", "gateway")
        check("a service goes with --stdio", status == 2 and "goes with --stdio" in err, err)


def tickets():
    with scratch() as home, Gateway(home) as gateway, Bridge(home, "--as", "alice") as bridge:
        offer, path = bridge.offer, bridge.offer["socket"]
        check("the first bytes behind the ticket are not lost", b"200 OK" in say(path, stream(offer) + REQUEST))
        page = say(path, stream(offer) + b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        check("WebChat is served on it", b"200 OK" in page and b"text/html" in page, page[:300])
        check("it is good for any number of streams", b"200 OK" in say(path, stream(offer) + REQUEST))
        s = connect(path)
        for i in range(0, len(stream(offer)), 7):
            s.sendall(stream(offer)[i:i + 7])
            time.sleep(0.002)
        s.sendall(REQUEST)
        check("a line may come in pieces", b"200 OK" in everything(s))
        s = connect(path)
        s.sendall(stream(offer))
        check("a WebSocket upgrades on it and is challenged", b"connect.challenge" in websocket(s))
        s.close()
        wrong = offer["ticket"][:-1] + ("A" if offer["ticket"][-1] != "A" else "B")
        rows = {
            "a forged ticket": (f"CULVERT/1 {wrong} gateway\n", b"no such ticket"),
            "no ticket": ("CULVERT/1 gateway\n", b"that is not a ticket"),
            "another service": (f"CULVERT/1 {offer['ticket']} shell\n", b"neither"),
            "canvas without a host": (f"CULVERT/1 {offer['ticket']} canvas\n", b"no canvas host"),
            "an address by a ticket that may not tell one": (f"CULVERT/1 {offer['ticket']} gateway from=127.0.0.1\n", b"may not name an address"),
            "another protocol": ("GET / HTTP/1.1\n", b"does not begin with"),
            "claims that are none": ('CULVERT/1 bridge {"as":7}\n', b'"as" is not one'),
            "a line without end": ("x" * 5000, b"too long"),
        }
        for what, (line, why) in rows.items():
            said = say(path, line.encode())
            check(f"refused: {what}", said.startswith(b"CULVERT/1 error ") and why in said and said.endswith(b"\n"), said)
        started = time.monotonic()
        s = connect(path)
        s.sendall(b"CULVERT/1 ")
        said = everything(s)
        check("refused: silence, after five seconds", b"nothing was said in time" in said and 4 < time.monotonic() - started < 10, said)
        for _ in range(20):
            say(path, b"x\n")
        log = gateway.output()
        check("the log tells of it without a ticket", "refused a connection of uid" in log and offer["ticket"] not in log and wrong not in log, log)
        check("and not each time", log.count("refused a connection") <= 12, log)
        s = connect(path)
        s.sendall(stream(offer))
        websocket(s)
        half = connect(path)
        half.sendall(stream(offer))
        bridge.end()
        everything(s)
        everything(half)
        check("when a bridge goes its streams are closed, and its ticket opens nothing more", gone(path, stream(offer)))


def crowds():
    with scratch() as home, Gateway(home), Bridge(home) as bridge:
        path = bridge.offer["socket"]
        silent = [connect(path) for _ in range(300)]
        check("a crowd that says nothing keeps nobody out", b"200 OK" in say(path, stream(bridge.offer) + REQUEST))
        half = []
        for _ in range(100):
            s = connect(path)
            s.sendall(stream(bridge.offer))
            half.append(s)
        check("nor one that has a ticket", b"200 OK" in say(path, stream(bridge.offer) + REQUEST))
        status, out, err = run(home, "health")
        check("nor anybody at gateway.sock", status == 0, err)
        for s in silent + half:
            s.close()


    with scratch() as home, Gateway(home) as gateway, Bridge(home) as bridge:
        path, met = bridge.offer["socket"], []
        for _ in range(100):
            s = connect(path)
            s.sendall(stream(bridge.offer))
            met.append((s, websocket(s)))
        check("a hundred at once through one tunnel are all challenged", all(b"connect.challenge" in said for _, said in met))
        for s, _ in met:
            s.close()
        many = [connect(path) for _ in range(60)]
        for s in many:
            s.sendall(b'CULVERT/1 bridge {"as":"x"}\n')
        said = [s.recv(65536) for s in many]
        check("of many bridges at once some are told to try again", any(b"try again" in a for a in said) and any(b'"ticket"' in a for a in said), said[:3])
        for s in many:
            s.close()
        check("and the log stays short", gateway.output().count("a tunnel") <= 12, gateway.output())


def who_comes_is_asked_about():
    with scratch() as home, scratch() as away, Gateway(home):
        env = environment(home, SSH_CONNECTION="192.0.2.7 50000 192.0.2.1 22")
        with Bridge(home, "--as", "alice", env=env) as bridge, forwarder(bridge.offer) as url:
            remote = ("--url", url, "--token", TOKEN)
            status, _, err = run(away, "status", *remote)
            check("through a tunnel of our own user nobody pairs silently", status == 4 and "pairing required" in err, (status, err))
            _, out, _ = run(home, "devices", "list")
            check("the request shows who asks", "as alice" in out and "from 192.0.2.7" in out, out)
            pending = json.loads(run(home, "devices", "list", "--json")[1])["pending"]
            check("and by whose word", len(pending) == 1 and pending[0]["identity"]["kind"] == "ssh" and pending[0]["identity"]["vouched"] is True, pending)
            status, _, err = run(home, "devices", "approve", pending[0]["requestId"])
            check("an operator approves it", status == 0, err)
            status, out, err = run(away, "status", *remote)
            check("then it may in", status == 0, err)


def trust():
    config = """{tunnel: {trust: {names: {alice: {scopes: ["operator.read"]}}}}}"""
    with scratch() as home, scratch() as away, Gateway(home, config=config) as gateway:
        with Bridge(home, "--as", "alice") as bridge, forwarder(bridge.offer) as url:
            status, out, err = run(away, "status", "--url", url)
            check("a trusted name needs no secret and no question", status == 0, err)
            status, _, err = run(away, "webchat", "--url", url)
            check("and gets what the mapping gives, not more", status == 4, (status, err))
            _, out, _ = run(home, "devices", "list")
            check("devices list says that trust approved it", "trust" in out, out)
        with Bridge(home, "--as", "bob") as bridge, forwarder(bridge.offer) as url:
            status, _, err = run(away, "status", "--url", url)
            check("her device is worth nothing through his tunnel", status == 4, (status, err))
        kit.write(f"{home}/state/culvert.json", """{tunnel: {trust: {unix: {x: {scopes: ["operator.admin"]}}}}}""")
        gateway.process.send_signal(signal.SIGHUP)
        check("admin in a mapping is refused in a sentence", gateway.wait_output("an identity never gets operator.admin by itself"), gateway.output())


def other_users():
    if os.getuid() != 0:
        kit.skip("other users of this machine", "needs root to become one")
        return
    with scratch() as home, scratch() as theirs:
        shared = f"{home}/run"
        os.chmod(home, 0o711)
        os.mkdir(shared, 0o755)
        os.chown(theirs, NOBODY, -1)
        config = json.dumps({"gateway": {"socketDirectory": shared}})
        env = {**environment(theirs), "CULVERT_STATE_DIR": shared, "HOME": theirs}
        with Gateway(home, config=config) as gateway:
            own, url = environment(home), ["--url", f"unix:{shared}/gateway.sock"]
            modes = [os.stat(f"{shared}/{name}").st_mode & 0o777 for name in ("gateway.sock", "tunnel.sock")]
            check("the sockets are there for everybody", modes == [0o666, 0o666] and not os.path.exists(f"{home}/state/gateway.sock"), modes)
            status, _, err = run(home, "status", *url)
            check("our own user is local as before", status == 0, err)
            status, _, err = run(theirs, "status", *url, user=NOBODY)
            check("another user needs the secret", status == 4, (status, err))
            status, _, err = run(theirs, "status", *url, "--token", TOKEN, user=NOBODY)
            check("and is asked about", status == 4 and "pairing required" in err, (status, err))
            _, out, _ = run(home, "devices", "list", *url)
            check("by the kernel's word", "unix user nobody" in out, out)
            with Bridge(theirs, "--as", "root", env=env, user=NOBODY) as bridge:
                check("a bridge of another user is that user, whatever it says of itself",
                      gateway.wait_output("a tunnel for ssh nobody, by its own word as root"), gateway.output())
                check("its ticket is not for us", b"given to somebody else" in say(f"{shared}/tunnel.sock", stream(bridge.offer)))
            with Bridge(home, env={**own, "CULVERT_STATE_DIR": shared}) as bridge:
                script = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
                          "s.sendall(sys.argv[2].encode())\nprint(s.recv(500).decode())")
                done = subprocess.run(["python3", "-c", script, f"{shared}/tunnel.sock", stream(bridge.offer).decode()], user=NOBODY,
                                      capture_output=True, text=True, timeout=WAIT_S)
                check("nor ours for them", "given to somebody else" in done.stdout, done.stdout + done.stderr)
            mapped = {"gateway": {"socketDirectory": shared}, "tunnel": {"trust": {"unix": {"nobody": {"scopes": ["operator.read"]}}}}}
            kit.write(f"{home}/state/culvert.json", json.dumps(mapped))
            gateway.process.send_signal(signal.SIGHUP)
            check("the mapping is taken over", gateway.wait_output("reload"), gateway.output())
            status, _, err = run(theirs, "status", *url, user=NOBODY)
            check("tunnel.trust.unix lets another user in", status == 0, err)
            status, _, err = run(theirs, "webchat", *url, user=NOBODY)
            check("as far as it says", status == 4, (status, err))
        os.chmod(shared, 0o777)
        status, _, err = run(home, "gateway", "--port", "0", "--token", TOKEN)
        check("a folder that others may write to is refused", status == 1 and "nobody else may write to" in err, (status, err))


for part in (what_a_bridge_does, what_it_tells, stdio, tickets, crowds, who_comes_is_asked_about, trust, other_users):
    part()
kit.finish()
