"""The gateway in a tailnet, tailscaled played by its double: the listener that comes and goes with the address, and who a
peer is, by whois and by nothing else."""
import json
import os
import socket
import time

import kit
import tailnet_kit
from kit import TOKEN, Gateway, check, environment, run, scratch
from tailnet_kit import BOX, BOX6, OWN, OWN6, TAGGED, Daemon, Device, Visitor, by_ipv6, code_of, until

LOGIN = "tailscale-user-login"


def env_of(home):
    return environment(home, TS_SOCKET=os.path.join(home, "ts.sock"))


def status(home):
    return json.loads(run(home, "status", "--json", env=env_of(home))[1] or "{}").get("tailscale", {})


def answers(host, port):
    try:
        socket.create_connection((host, port), timeout=2).close()
        return True
    except OSError:
        return False


def is_bound(home, state):
    return lambda: status(home).get("bind", {}).get("state") == state


# ---- bind ----


def follows_the_address():
    with scratch() as home, Daemon(home, state="NeedsLogin") as daemon:
        with Gateway(home, "--bind", "tailnet", env=env_of(home)) as gateway:
            check("without an address the gateway starts and listens on loopback", answers("127.0.0.1", gateway.port))
            check("and says what it waits for", gateway.wait_output("sign in: tailscale up"), gateway.output())
            check("status says so too", until(is_bound(home, "waiting")), status(home))
            daemon.set(state="Running")
            check("the address comes: it listens there", until(lambda: answers(OWN, gateway.port)), gateway.output())
            out = run(home, "doctor", env=env_of(home))[1]
            check("doctor says where", f"listening on {OWN}:{gateway.port}" in out, out)
            daemon.set(nodes={"laptop": {"ip": [TAGGED, "fd7a:115c:a1e0::77"]}})
            check("the address changes: the new one", until(lambda: answers(TAGGED, gateway.port)), gateway.output())
            check("and no longer the old one", until(lambda: not answers(OWN, gateway.port)), gateway.output())
            daemon.set(state="Stopped")
            check("signed out: closed", until(lambda: not answers(TAGGED, gateway.port)), gateway.output())
            daemon.set(state="Running", nodes={"laptop": {"ip": [OWN]}})
            check("back: open", until(lambda: answers(OWN, gateway.port)), gateway.output())
            daemon.post("drop", "")
            check("the bus ends and is held again", until(lambda: daemon.post("log", "")["watchers"] == 1))
            daemon.restart(state="Running")
            check("tailscaled begins anew: still there", until(lambda: daemon.post("log", "")["watchers"] == 1) and answers(OWN, gateway.port))
            daemon.set(tun=False)
            check("userspace networking needs no listener", until(is_bound(home, "userspace")), status(home))
            check("so there is none", until(lambda: not answers(OWN, gateway.port)))
            lines = [line for line in gateway.output().splitlines() if "bind tailnet: listening on 100.64.0.1:" in line]
            check("a line per change, no more", 2 <= len(lines) <= 3, gateway.output())


def without_tailscaled():
    with scratch() as home:
        with Gateway(home, "--bind", "tailnet", env=env_of(home)) as gateway:
            check("no tailscaled: it starts", answers("127.0.0.1", gateway.port))
            check("and waits", gateway.wait_output("waiting for the tailnet"), gateway.output())
            with by_ipv6() as there:
                if there:
                    check("an interface with the tailnet's addresses comes: it listens there",
                          until(lambda: answers(OWN6, gateway.port) and answers(OWN, gateway.port)), gateway.output())
                    device = Device(os.path.join(home, "d"))
                    Visitor((OWN, gateway.port), source=BOX).connect(device, {"token": TOKEN})
                    row = json.dumps(pending(home).get(device.id, {}))
                    check("a peer has its address for a name", "bob" not in row and BOX in row, row)
            check("and goes: no longer", until(lambda: not answers(OWN, gateway.port)), gateway.output())
            with Daemon(home):
                check("tailscaled comes: it listens", until(lambda: answers(OWN, gateway.port), 20), gateway.output())
        code, _, err = run(home, "gateway", "--bind", "tailnet", "--auth", "none", "--port", "0", env=env_of(home))
        check("without authentication a tailnet bind does not start", code != 0 and "the tailnet without authentication" in err, err)


def what_garbage_does():
    with scratch() as home, Daemon(home, modes={"status": "garbage", "watch-ipn-bus": "garbage"}) as daemon:
        with Gateway(home, "--bind", "tailnet", env=env_of(home)) as gateway:
            check("garbage from tailscaled does not stop the start", answers("127.0.0.1", gateway.port))
            check("it is told", gateway.wait_output("waiting for the tailnet: tailscaled"), gateway.output())
            daemon.set(modes={"status": None, "watch-ipn-bus": None})
            check("and looked at again", until(lambda: answers(OWN, gateway.port), 20), gateway.output())


# ---- identity ----


def pending(home):
    rows = json.loads(run(home, "devices", "list", "--json", env=env_of(home))[1])["pending"]
    return {row["deviceId"]: row for row in rows}


def whois_on_direct_peers():
    with scratch() as home, Daemon(home) as daemon, Gateway(home, "--bind", "tailnet", env=env_of(home)) as gateway:
        until(lambda: answers(OWN, gateway.port))
        device = Device(os.path.join(home, "d1"))
        one = Visitor((OWN, gateway.port), source=BOX)
        answer = one.connect(device, {"token": TOKEN})
        check("a peer of the tailnet pairs explicitly", code_of(answer) == "PAIRING_REQUIRED", answer)
        text = json.dumps(pending(home).get(device.id, {}))
        check("its request shows login and node", "bob@example.com" in text and "box.tail1234.ts.net" in text, text)
        robot = Device(os.path.join(home, "d2"))
        check("a tagged node too", code_of(Visitor((OWN, gateway.port), source=TAGGED).connect(robot, {"token": TOKEN}, "node", ())) == "PAIRING_REQUIRED")
        check("with its tag", "tag:robot" in json.dumps(pending(home).get(robot.id, {})), pending(home))
        own = Device(os.path.join(home, "d3"))
        check("this host by its own tailnet address is nobody of the tailnet",
              code_of(Visitor((OWN, gateway.port), source=OWN).connect(own, {"token": TOKEN})) == "PAIRING_REQUIRED")
        check("its request names no login", "alice" not in json.dumps(pending(home).get(own.id, {})), pending(home))
        with by_ipv6() as there:
            if there and check("the IPv6 address comes: it listens there too", until(lambda: answers(OWN6, gateway.port)), gateway.output()):
                six = Device(os.path.join(home, "d6"))
                Visitor((OWN6, gateway.port), source=BOX6, host=f"[{OWN6}]:{gateway.port}").connect(six, {"token": TOKEN})
                row = json.dumps(pending(home).get(six.id, {}))
                check("by IPv6 the same", "bob@example.com" in row and BOX6 in row, row)
        asked = sum("whois" in line and BOX in line for line in daemon.asked())
        Visitor((OWN, gateway.port), source=BOX).connect(device, {"token": TOKEN})
        check("the answer is remembered for a moment", asked == 1 and sum("whois" in line and BOX in line for line in daemon.asked()) == 1, daemon.asked())


TRUST = """{tunnel: {trust: {logins: {"Bob@Example.com": {role: "operator", scopes: ["operator.read", "operator.write"]}},
                            tags: {"tag:robot": {role: "operator", scopes: ["operator.read"]}}}}}"""


def scopes_of(answer):
    return sorted(answer["payload"]["auth"]["scopes"]) if answer["ok"] else answer


def trusted():
    """tunnel.trust: a login and a tag come in without a secret or a question, as far as it says; grants of the tailnet the same."""
    with scratch() as home, Daemon(home) as daemon, Gateway(home, "--bind", "tailnet", config=TRUST, env=env_of(home)) as gateway:
        daemon.set(nodes={"robot": {"caps": {"culvert.dev/cap/gateway": [{"role": "node"}]}}})
        until(lambda: answers(OWN, gateway.port))
        to, all_scopes = (OWN, gateway.port), ("operator.admin", "operator.read", "operator.write")
        device = Device(os.path.join(home, "bob"))
        first = Visitor(to, source=BOX)
        answer = first.connect(device, scopes=all_scopes)
        check("a trusted login is in at once, with its scopes and never admin", scopes_of(answer) == ["operator.read", "operator.write"], answer)
        first.write({"type": "req", "id": "2", "method": "system-event", "params": {"text": "x"}})
        while (frame := first.read()) and frame.get("id") != "2":
            pass
        check("and admin's methods are shut", not frame["ok"], frame)
        robot = Device(os.path.join(home, "robot"))
        answer = Visitor(to, source=TAGGED).connect(robot, scopes=all_scopes)
        check("a trusted tag has its own", scopes_of(answer) == ["operator.read"], answer)
        node = Device(os.path.join(home, "node"))
        check("a grant of the tailnet lets a node in", code_of(Visitor(to, source=TAGGED).connect(node, role="node", scopes=())) == "ok")
        other = Device(os.path.join(home, "other"))
        check("the login is no node", code_of(Visitor(to, source=BOX).connect(other, role="node", scopes=())) != "ok")
        check("the same device from elsewhere has what it pairs for, not what the login had",
              code_of(Visitor(to, source=OWN).connect(Device(os.path.join(home, "stray")))) == "AUTH_TOKEN_MISSING")
        daemon.set(whois={BOX: None})
        daemon.post("drop", "")
        until(lambda: daemon.post("log", "")["watchers"] == 1)
        time.sleep(0.5)
        check("without whois there is no trust", code_of(Visitor(to, source=BOX).connect(Device(os.path.join(home, "late")))) == "AUTH_TOKEN_MISSING")


def whois_that_fails():
    rows = [("nobody's", {"whois": {BOX: None}}), ("garbage", {"modes": {"whois": "garbage"}}), ("refused", {"modes": {"whois": "error"}}),
            ("hangs", {"modes": {"whois": "silent"}})]
    for name, script in rows:
        with scratch() as home, Daemon(home, **script), Gateway(home, "--bind", "tailnet", env=env_of(home)) as gateway:
            until(lambda: answers(OWN, gateway.port))
            device, began = Device(os.path.join(home, "d")), time.monotonic()
            answer = Visitor((OWN, gateway.port), source=BOX).connect(device, {"token": TOKEN})
            check(f"whois {name}: it still pairs, by its address", code_of(answer) == "PAIRING_REQUIRED", answer)
            check(f"whois {name}: within its time", time.monotonic() - began < 8)
            row = json.dumps(pending(home).get(device.id, {}))
            check(f"whois {name}: without a name", "bob" not in row and BOX in row, row)


def bind_lan():
    """Who comes to the tailnet address of a gateway that listens everywhere."""
    with scratch() as home, Daemon(home), Gateway(home, "--bind", "lan", env=env_of(home)) as gateway:
        device = Device(os.path.join(home, "d"))
        Visitor((OWN, gateway.port), source=BOX).connect(device, {"token": TOKEN})
        check("is asked about as well", "bob@example.com" in json.dumps(pending(home).get(device.id, {})), pending(home))


INVOKE = '{"tool":"session_status","args":{}}'


def said(to, lines):
    """What an HTTP request is answered."""
    connection = socket.socket(socket.AF_UNIX if isinstance(to, str) else socket.AF_INET)
    connection.settimeout(15)
    connection.connect(to)
    connection.sendall("\r\n".join(lines).encode())
    answer = b""
    while part := connection.recv(65536):
        answer += part
    connection.close()
    return answer.decode()


def userspace():
    """tailscaled brings a peer's connection to loopback: its headers are the peer's own words."""
    with scratch() as home, Daemon(home) as daemon:
        daemon.set(tun=False)
        with Gateway(home, env=env_of(home)) as gateway:
            door = daemon.carry(f"127.0.0.1:{gateway.port}", as_=BOX)
            host = f"127.0.0.1:{gateway.port}"
            device = Device(os.path.join(home, "d"))
            answer = Visitor(door, host=host).connect(device, {"token": TOKEN})
            check("a forwarded peer is not local", code_of(answer) == "PAIRING_REQUIRED", answer)
            check("and has its name", "bob@example.com" in json.dumps(pending(home).get(device.id, {})), pending(home))
            forger = Device(os.path.join(home, "f"))
            headers = [(LOGIN, "alice@example.com"), ("X-Forwarded-For", "100.64.0.9"), ("X-Forwarded-Proto", "https")]
            Visitor(door, headers, host=host).connect(forger, {"token": TOKEN})
            row = json.dumps(pending(home).get(forger.id, {}))
            check("what it claims in headers counts for nothing", "bob@example.com" in row and "alice" not in row, row)
            mine = Device(os.path.join(home, "m"))
            plain = code_of(Visitor(("127.0.0.1", gateway.port)).connect(mine, {"token": TOKEN}))
            check("a program of this host is not taken for a peer", "bob" not in json.dumps(pending(home).get(mine.id, {})), plain)
            here = Visitor(("127.0.0.1", gateway.port)).connect(None, {"token": TOKEN})
            check("with the secret it has its scopes", scopes_of(here) == ["operator.read"], here)
            invoke = ["POST /tools/invoke HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {TOKEN}", "Content-Type: application/json",
                      f"Content-Length: {len(INVOKE)}", "Connection: close", "", INVOKE]
            check("plain HTTP with the secret the same: from here", said(("127.0.0.1", gateway.port), invoke).startswith("HTTP/1.1 200"))
            answer = said(door, invoke)
            check("and by tailscaled not", answer.startswith("HTTP/1.1 403") and "operator.write" in answer, answer)
            for mode in "garbage", "silent":
                daemon.set(modes={"whois": mode})
                door = daemon.carry(f"127.0.0.1:{gateway.port}", as_=TAGGED)
                there = Visitor(door, host=host).connect(None, {"token": TOKEN})
                check(f"a forwarded peer has none, also while whois is {mode}", scopes_of(there) == [], there)


in_namespace = tailnet_kit.enter_namespace()
if not in_namespace:
    kit.skip("the gateway in a tailnet", "no network namespace can be made here")
    kit.finish()
for part in (follows_the_address, without_tailscaled, what_garbage_does, whois_on_direct_peers, trusted, whois_that_fails, bind_lan,
             userspace):
    began = time.monotonic()
    part()
    print(f"{part.__name__}: {time.monotonic() - began:.1f} s", flush=True)
kit.finish()
