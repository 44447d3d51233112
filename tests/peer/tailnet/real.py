"""A real tailnet: the gateway on one node, commands on others; who they are, what trust gives them, and that the double the
other tests use answers as tailscaled does."""
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading

import world
from world import SUFFIX, TOP, ask, until

sys.path.insert(0, os.path.join(TOP, "tests/wire/command"))
if not os.environ.get("CULVERT_LONG"):
    print("skipped: a slow proof; deploy/test --long runs it")
    sys.exit(77)
if not os.path.exists(os.path.join(world.BIN, "installed")):
    print("skipped: tailscaled and headscale are not in .cache/go/bin; tests/peer/tailnet/install builds them and says why not")
    sys.exit(77)
if not world.enter():
    print("skipped: no network namespace with an interface of its own is allowed here")
    sys.exit(77)

import kit  # noqa: E402
from kit import TOKEN, Gateway, check, environment  # noqa: E402
from tailnet_kit import Device, Visitor, code_of  # noqa: E402

PORT = 18789
CAPABILITY = "culvert.dev/cap/gateway"
POLICY = {
    "tagOwners": {"tag:robot": ["alice@"]},
    "grants": [
        {"src": ["*"], "dst": ["*"], "ip": ["*"]},
        {"src": ["carol@"], "dst": ["*"], "app": {CAPABILITY: [{"role": "operator", "scopes": ["operator.read"]}]}},
    ],
}
TRUST = {"gateway": {"auth": {"allowTailscale": True}}, "tunnel": {"trust": {"tags": {"tag:robot": {"scopes": ["operator.read"]}}}}}


class Person:
    """Somebody at a node: a home, and tailscaled's socket."""

    def __init__(self, folder, node):
        self.home = os.path.join(folder, "home-" + node.name)
        os.makedirs(self.home)
        self.env = environment(self.home, TS_SOCKET=node.socket)
        self.token = os.path.join(self.home, "token")
        kit.write(self.token, TOKEN + "\n")

    def run(self, *args, timeout=60):
        return kit.run(self.home, *args, env=self.env, timeout=timeout)

    def call(self, method, *args, token=True):
        return self.run("call", method, *args, "--url", "ts://box", *(["--token-file", self.token] if token else []))


def pending(owner):
    return json.loads(owner.run("devices", "list", "--json")[1] or "{}").get("pending", [])


def approve(owner, name):
    for row in pending(owner):
        if name in json.dumps(row):
            return owner.run("devices", "approve", row["requestId"])[0] == 0
    return False


# ---- the proof ----


def pairs_with_its_identity(owner, bob):
    code, out, err = bob.call("health")
    check("a command over ts:// has to pair", code == 4 and "pair" in (out + err).lower(), (code, out, err))
    row = json.dumps(pending(owner))
    check("its request shows login and node by whois", "bob" in row and f"laptop.{SUFFIX}" in row, row)
    check("the operator approves", approve(owner, "bob"), row)
    code, out, err = bob.call("health")
    check("and it works", code == 0 and '"ok"' in out, (code, out, err))
    code, out, err = bob.run("call", "health", "--url", f"ts://box.{SUFFIX}:{PORT}", "--token-file", bob.token)
    check("also by its whole name and port", code == 0, (code, out, err))


def trust_by_tag_and_grant(owner, robot, carol, bob):
    code, out, err = robot.call("status", token=False)
    check("a tag that tunnel.trust names needs no token and no approval", code == 0, (code, out, err))
    code, out, err = robot.call("config.get", token=False)
    check("it reads", code == 0, (code, out, err))
    code, out, err = robot.call("sessions.delete", '{"key":"nobody"}', token=False)
    check("and does no more", code == 4, (code, out, err))
    code, out, err = carol.call("status", token=False)
    check("so does a peer with a grant of the capability", code == 0, (code, out, err))
    code, out, err = carol.call("sessions.delete", '{"key":"nobody"}', token=False)
    check("as far as the grant goes", code == 4, (code, out, err))
    fresh = bob.run("call", "status", "--url", "ts://box", "--token-file", bob.token)
    check("who has neither stays what was approved", fresh[0] == 0, fresh)


def discovers(bob):
    code, out, err = bob.run("tunnel", "discover", "--json")
    check("tunnel discover finds the gateway", code == 0 and f"ts://box.{SUFFIX}" in out, (code, out, err))
    check("and takes no other node for one", f"robot.{SUFFIX}" not in out and f"carol.{SUFFIX}" not in out, out)


def says_what_is_wrong(bob):
    code, _, err = bob.run("call", "health", "--url", "ts://boxx", "--token-file", bob.token)
    check("a wrong name: the nearest is told", code == 3 and "did you mean box?" in err, (code, err))
    code, _, err = bob.run("call", "health", "--url", "ts://robot", "--token-file", bob.token)
    check("nobody there: refused, told", code == 3 and "refused" in err, (code, err))


def survives_tailscaled(world_, bob):
    world_.nodes["box"].restart()
    check("tailscaled on the gateway's host begins anew: the next command works", until(lambda: bob.call("health")[0] == 0, 40))
    world_.nodes["laptop"].restart()
    check("so on our own", until(lambda: bob.call("health")[0] == 0, 40))


def by_the_kernel(gateway, box, laptop, bob):
    """Both tailscaled with an interface of their own: the gateway listens on its address, and a connection goes straight."""
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        kit.skip("by the kernel's way", "no /dev/net/tun here")
        return
    address = box.status()["TailscaleIPs"][0]
    if not (box.restart("tailscale0") and until(lambda: box.status()["TUN"])):
        check("tailscaled has a kernel interface", False, box.log()[-2000:])
        return
    check("an interface comes: the gateway listens on the tailnet's address", gateway.wait_output(f"listening on {address}"), gateway.output())
    check("a peer comes by it", until(lambda: bob.call("health")[0] == 0, 40))
    check("we have an interface too", laptop.restart("tailscale0") and until(lambda: laptop.status()["TUN"]), laptop.log()[-2000:])
    dials = lambda: laptop.log().count("/localapi/v0/dial")  # noqa: E731
    before = dials()
    command = laptop.inside(kit.CULVERT, "call", "health", "--url", "ts://box", "--token-file", bob.token)
    straight = lambda: subprocess.run(command, env=bob.env, capture_output=True, text=True, timeout=60)  # noqa: E731
    check("from inside its namespace the kernel leads there", until(lambda: straight().returncode == 0, 40), straight())
    check("so tailscaled is not asked to connect", dials() == before, laptop.log()[-2000:])
    check("from outside of it tailscaled is", bob.call("health")[0] == 0 and dials() == before + 1, dials() - before)


def serve_without_certificates(owner, box):
    """headscale gives out none: the gateway says so and leaves tailscaled's configuration alone."""
    config = json.dumps({"gateway": {"tailscale": {"mode": "serve"}}})
    with Gateway(owner.home, "--port", str(PORT), env=owner.env, config=config) as gateway:
        check("serve without certificates is told", gateway.wait_output("switch HTTPS on"), gateway.output())
        check("also by status", "switch HTTPS on" in owner.run("status")[1])
        check("and nothing is written", ask(box.socket, "GET", "serve-config")[2].strip() in ("null", "{}"))


def to(node, port):
    """A connection to the gateway's host from a node, through the tailnet."""
    ours, theirs = socket.socketpair()
    subprocess.Popen([os.path.join(world.BIN, "tailscale"), f"--socket={node.socket}", "nc", f"box.{SUFFIX}", str(port)],
                     stdin=theirs, stdout=theirs)  # ends with its connection
    theirs.close()
    return ours


def by_tailscaleds_proxy(owner, box, laptop):
    """tailscale serve to the gateway's port: the headers of the real proxy, and what a peer claims by itself."""
    done = box.tailscale("serve", "--bg", "--http=80", f"http://127.0.0.1:{PORT}")
    check("tailscale serve leads to the gateway", done.returncode == 0, done.stderr)
    name, device = f"box.{SUFFIX}", Device(os.path.join(owner.home, "served"))
    answer = Visitor(to(laptop, 80), host=name).connect(device)
    check("who comes by it needs no secret, and pairs", code_of(answer) == "PAIRING_REQUIRED", answer)
    rows = {row["deviceId"]: json.dumps(row) for row in pending(owner)}
    check("with the name that whois bears out", "tailnet bob" in rows.get(device.id, ""), rows)
    forger = Device(os.path.join(owner.home, "forger"))
    claims = [("Tailscale-User-Login", "alice"), ("X-Forwarded-For", box.status()["TailscaleIPs"][0])]
    for port, host in ((80, name), (PORT, f"127.0.0.1:{PORT}")):
        Visitor(to(laptop, port), claims, host=host).connect(forger, {"token": TOKEN})
        row = {row["deviceId"]: json.dumps(row) for row in pending(owner)}.get(forger.id, "")
        check(f"claims of a peer at port {port} count for nothing", "tailnet bob" in row and "alice" not in row, row)
    box.tailscale("serve", "reset")


# ---- the double ----


def dial(path, host, port):
    """First line and what is told of the way, without a connection's bytes."""
    status, kind, text, _ = ask(path, "POST", "dial", Connection="upgrade", Upgrade="ts-dial", Dial_Host=host, Dial_Port=str(port))
    return status, kind, text.split(":")[0]


def bus(path):
    api = world.Api(path)
    api.request("GET", "/localapi/v0/watch-ipn-bus?mask=2")
    answer = api.getresponse()
    return api, answer, json.loads(answer.readline())


def shape(value):
    """What kinds stand where: for lists and maps of data the first member's."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__


def lacks(double, real, path=""):
    """Members of the double's answer that tailscaled's has not, or has of another kind."""
    if isinstance(double, dict) and isinstance(real, dict):
        if path.endswith(("/Peer", "/User", "/CapMap")):
            double, real = dict(enumerate(double.values())), dict(enumerate(real.values()))
        for key, item in double.items():
            if key not in real:
                yield f"{path}/{key}"
            else:
                yield from lacks(item, real[key], f"{path}/{key}")
    elif isinstance(double, list) and isinstance(real, list):
        if double and real:
            yield from lacks(double[0], real[0], path + "[]")
    elif double != real and "NoneType" not in (double, real):
        yield f"{path} is {double}, not {real}"


def sequence(path, own, peer):
    """The same questions of either: what of the answers must be alike."""
    seen = []
    take = lambda *a, **k: (lambda r: seen.append(r[:3]) or r)(ask(path, *a, **k))  # noqa: E731
    take("GET", "serve-config")
    etag = ask(path, "GET", "serve-config")[3]
    seen.append(bool(etag))
    forward = lambda port: json.dumps({"TCP": {str(port): {"TCPForward": "127.0.0.1:1"}}})  # noqa: E731
    take("POST", "serve-config", forward(8443), If_Match=etag)
    take("POST", "serve-config", forward(8444), If_Match=etag)
    api, answer, first = bus(path)
    seen.append((sorted(k for k in first if k in ("SessionID", "State")), first.get("State")))
    config = {**json.loads(forward(8443)), "Foreground": {first["SessionID"]: json.loads(forward(8445))}}
    take("POST", "serve-config", json.dumps(config), If_Match=ask(path, "GET", "serve-config")[3])
    seen.append("8445" in take("GET", "serve-config")[2])
    seen.pop(-2)  # it holds the session's name
    answer.close()
    api.close()
    seen.append(until(lambda: "8445" not in ask(path, "GET", "serve-config")[2], 10))
    take("GET", "serve-config")
    api, answer, first = bus(path)
    config = {**json.loads(forward(8443)), "Foreground": {first["SessionID"]: json.loads(forward(8445))}}
    take("POST", "serve-config", json.dumps(config))
    take("POST", "serve-config", "{}")  # takes the foreground's away: its watch ends
    ended = threading.Event()
    threading.Thread(target=lambda: ([None for _ in iter(answer.readline, b"")], ended.set()), daemon=True).start()
    seen.append(("the watch ends", ended.wait(10)))
    api.close()
    take("GET", "whois?addr=203.0.113.9:5&proto=tcp")
    take("GET", "whois")
    take("GET", "nosuch")
    take("GET", "status", Origin="http://x")
    take("GET", "status", Referer="http://x")
    seen.append(dial(path, peer, 1))
    seen.append(dial(path, "127.0.0.1", 1))
    return seen


@contextlib.contextmanager
def double(folder, nodes):
    path = os.path.join(folder, "double.sock")
    script = os.path.join(folder, "double.json")
    kit.write(script, json.dumps({"suffix": SUFFIX, "self": "laptop", "nodes": nodes}))
    process = subprocess.Popen([sys.executable, "-B", os.path.join(TOP, "tests/tool/localapi.py"), path, script],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    try:
        yield path
    finally:
        process.stdin.close()
        process.wait(timeout=10)


def double_is_true(folder, laptop, ips):
    nodes = {"laptop": {"ip": ips["laptop"], "login": "bob"}, "box": {"ip": ips["box"], "login": "alice"}}
    with double(folder, nodes) as path:
        real, played = sequence(laptop.socket, "laptop", ips["box"][0]), sequence(path, "laptop", ips["box"][0])
        for at, (one, other) in enumerate(zip(real, played)):
            check(f"the double answers question {at} as tailscaled does", one == other, f"tailscaled: {one}\n     double: {other}")
        for door in ("status", "status?peers=false", f"whois?addr={ips['box'][0]}:1"):
            one, other = (shape(json.loads(ask(p, "GET", door)[2])) for p in (laptop.socket, path))
            extra = list(lacks(other, one))
            check(f"nothing in the double's {door.split('=')[0]} that tailscaled has not", not extra, extra)
        for command in (("status",), ("whois", ips["box"][0]), ("serve", "status"), ("ip", "-4")):
            done = subprocess.run([os.path.join(world.BIN, "tailscale"), f"--socket={path}", *command], capture_output=True, text=True, timeout=30)
            check(f"tailscale {command[0]} takes the double for tailscaled", done.returncode == 0, done.stderr)


def main():
    with tempfile.TemporaryDirectory(prefix="culvert-tailnet-") as folder:
        tailnet = world.World(folder, POLICY)
        try:
            users = {name: tailnet.add_user(name) for name in ("alice", "bob", "carol")}
            box, laptop = tailnet.add_node("box", users["alice"]), tailnet.add_node("laptop", users["bob"])
            robot, carol = tailnet.add_node("robot", users["alice"], "tag:robot"), tailnet.add_node("carol", users["carol"])
            until(lambda: len(laptop.status()["Peer"] or {}) == 3 and all(p["Online"] for p in laptop.status()["Peer"].values()))
            owner = Person(folder, box)
            people = [Person(folder, node) for node in (laptop, robot, carol)]
            with Gateway(owner.home, "--bind", "tailnet", "--port", str(PORT), env=owner.env, config=json.dumps(TRUST)) as gateway:
                check("bind tailnet with userspace networking: tailscaled brings them to loopback",
                      gateway.wait_output("userspace"), gateway.output())
                pairs_with_its_identity(owner, people[0])
                trust_by_tag_and_grant(owner, people[1], people[2], people[0])
                discovers(people[0])
                says_what_is_wrong(people[0])
                by_tailscaleds_proxy(owner, box, laptop)
                survives_tailscaled(tailnet, people[0])
                by_the_kernel(gateway, box, laptop, people[0])
            serve_without_certificates(owner, box)
            ips = {name: node.status()["TailscaleIPs"] for name, node in tailnet.nodes.items()}
            double_is_true(folder, laptop, ips)
        finally:
            tailnet.stop()
    kit.finish()


main()
