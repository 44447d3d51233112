"""gateway.tailscale.mode: our handler in tailscaled's serve configuration and out of it, whatever else stands there and
whatever happens; and who comes by tailscaled's proxy. tailscaled is played by its double."""
import json
import os
import signal
import subprocess
import time

import kit
import tailnet_kit
from kit import TOKEN, Gateway, check, environment, run, scratch
from tailnet_kit import BOX, NAME, OWN, TAGGED, Daemon, Device, Visitor, code_of, until

SERVE = '{gateway: {tailscale: {mode: "serve"}}}'
OTHERS = {"TCP": {"8443": {"HTTPS": True}}, "Web": {f"{NAME}:8443": {"Handlers": {"/": {"Proxy": "http://127.0.0.1:3000"}}}},
          "Foreground": {}}
PASSWORD = "correct horse battery staple"
FUNNEL = '{gateway: {auth: {mode: "password", password: "%s"}, tailscale: {mode: "funnel"}}}' % PASSWORD


def env_of(home, **more):
    return environment(home, TS_SOCKET=os.path.join(home, "ts.sock"), **more)


def served(home):
    text = run(home, "status", "--json", env=env_of(home))[1]
    return json.loads(text or "{}").get("tailscale", {}).get("serve", {})


def is_in(home, state):
    return lambda: served(home).get("state") == state


def handlers(config):
    """Every target that leads to port 443 of our name."""
    parts = [config, *(config.get("Foreground") or {}).values()]
    return [h["Proxy"] for part in parts for site, web in (part.get("Web") or {}).items() if site == f"{NAME}:443"
            for h in web["Handlers"].values() if "Proxy" in h]


def without_ours(config):
    return {k: v for k, v in config.items() if k != "Foreground"} == {k: v for k, v in OTHERS.items() if k != "Foreground"}


def in_and_out():
    with scratch() as home, Daemon(home, serve=OTHERS, conflicts=2) as daemon:
        with Gateway(home, config=SERVE, env=env_of(home)) as gateway:
            check("it serves after two conflicts", gateway.wait_output(f"https://{NAME}/ leads here"), gateway.output())
            config, socket = daemon.serve(), os.path.join(gateway.state, "proxy.sock")
            check("by a socket of ours, under a session", handlers(config) == [f"unix:{socket}"] and len(config["Foreground"]) == 1, config)
            check("others' handlers are as they were", without_ours(config), config)
            check("nothing of it is public", "AllowFunnel" not in json.dumps(config), config)
            check("status has the link", served(home).get("url") == f"https://{NAME}", served(home))
            link = run(home, "webchat", env=env_of(home))[1]
            check("and so has the sign-in link", f"https://{NAME}/" in link, link)
            health = run(home, "doctor", env=env_of(home))[1]
            check("doctor too", f"https://{NAME}/" in health, health)
            old = list(config["Foreground"])
            daemon.post("drop", "")
            check("the bus ends: there again under a new session",
                  until(lambda: (now := daemon.serve()) and handlers(now) and list(now["Foreground"]) != old), daemon.serve())
        check("the end takes ours out and leaves theirs", until(lambda: not handlers(daemon.serve())) and without_ours(daemon.serve()), daemon.serve())
        gateway = Gateway(home, config=SERVE, env=env_of(home))
        check("it serves again", gateway.wait_output(f"https://{NAME}/ leads here"), gateway.output())
        gateway.stop(signal.SIGKILL)
        check("killed, it leaves nothing", until(lambda: not handlers(daemon.serve())) and without_ours(daemon.serve()), daemon.serve())


def an_old_tailscaled():
    """No sessions, no sockets: in the background, by a port, and a record of it."""
    with scratch() as home, Daemon(home, serve=OTHERS, sessions=False, version="1.48.0-tdouble") as daemon:
        with Gateway(home, config=SERVE, env=env_of(home)) as gateway:
            check("it serves in the background", until(is_in(home, "serving")), gateway.output())
            target = (handlers(daemon.serve()) or [""])[0]
            check("by a loopback port that is not the gateway's", target.startswith("http://127.0.0.1:") and not target.endswith(f":{gateway.port}"),
                  daemon.serve())
            check("others' handlers stay", daemon.serve()["Web"].get(f"{NAME}:8443") == OTHERS["Web"][f"{NAME}:8443"], daemon.serve())
        check("the end takes it out", not handlers(daemon.serve()) and without_ours(daemon.serve()), daemon.serve())
        gateway = Gateway(home, config=SERVE, env=env_of(home))
        until(is_in(home, "serving"))
        gateway.stop(signal.SIGKILL)
        check("killed, it stays", bool(handlers(daemon.serve())), daemon.serve())
        with Gateway(home, config="{}", env=env_of(home)) as gateway:
            check("and the next start takes it out, also with mode off", until(lambda: not handlers(daemon.serve())), gateway.output())
            check("others' handlers are as they were", without_ours(daemon.serve()), daemon.serve())


def reset_on_exit():
    config = '{gateway: {tailscale: {mode: "serve", resetOnExit: true}}}'
    with scratch() as home, Daemon(home, serve=OTHERS) as daemon:
        with Gateway(home, config=config, env=env_of(home)) as gateway:
            until(is_in(home, "serving"))
            site = f"{NAME}:9443"
            daemon.set(serve={"TCP": {"9443": {"HTTPS": True}}, "Web": {site: {"Handlers": {"/": {"Proxy": f"http://127.0.0.1:{gateway.port}"}}}}})
        check("resetOnExit: what led to our port is out too, and nothing else", site not in daemon.serve()["Web"] and without_ours(daemon.serve()),
              daemon.serve())


def what_does_not_go():
    taken = {"TCP": {"443": {"HTTPS": True}}, "Web": {f"{NAME}:443": {"Handlers": {"/app": {"Proxy": "http://127.0.0.1:3000"}}}}}
    rows = [("a port that is somebody's", {"serve": taken}, "/app -> http://127.0.0.1:3000"),
            ("no right to change it", {"deny": "write"}, "--operator"),
            ("a configuration from a file", {"locked": True}, "config file is locked"),
            ("garbage", {"modes": {"serve-config": "garbage"}}, "its serve configuration"),
            ("Funnel that somebody switched on", {"serve": {"AllowFunnel": {f"{NAME}:443": True}}}, "would be public"),
            ("no certificates in the tailnet", {"status": {"CertDomains": None}}, "HTTPS")]
    for name, script, says in rows:
        with scratch() as home, Daemon(home) as daemon:
            daemon.restart(**script)
            before = daemon.serve()
            with Gateway(home, config=SERVE, env=env_of(home)) as gateway:
                check(f"{name}: said", until(lambda: says in served(home).get("detail", "")), gateway.output())
                check(f"{name}: nothing is changed", daemon.serve() == before, daemon.serve())
    with scratch() as home, Daemon(home, deny_unix=True) as daemon, Gateway(home, config=SERVE, env=env_of(home)) as gateway:
        check("no right to name a socket: a port instead", until(is_in(home, "serving")), gateway.output())
        check("which is what stands there", handlers(daemon.serve())[0].startswith("http://127.0.0.1:"), daemon.serve())


def refused_at_the_start():
    rows = [(SERVE, ["--bind", "lan"], "needs gateway.bind loopback"), (SERVE, ["--bind", "tailnet"], "needs gateway.bind loopback"),
            ('{gateway: {tailscale: {mode: "funnel"}}}', [], "gateway.auth.mode password"),
            (FUNNEL, ["--bind", "lan"], "needs gateway.bind loopback")]
    for config, args, says in rows:
        with scratch() as home:
            os.makedirs(os.path.join(home, "state"), mode=0o700)
            kit.write(os.path.join(home, "state", "culvert.json"), config)
            code, _, err = run(home, "gateway", "--port", "0", *args, env=env_of(home))
            check(f"{config} {args} does not start and says why", code == 1 and says in err and "Set gateway." in err, err)
    with scratch() as home, Gateway(home, config=SERVE, env=env_of(home)) as gateway:
        check("without tailscaled it starts and says so", gateway.wait_output("tailscale serve: there is no tailscaled here"), gateway.output())
        with Daemon(home):
            check("tailscaled comes: it serves", until(is_in(home, "serving"), 20), gateway.output())


# ---- who comes by the proxy ----


def headers_of(login, address, *more):
    rows = [("X-Forwarded-For", address), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", NAME)]
    return [*rows, *([("Tailscale-User-Login", login)] if login else []), *more]


def pending(home):
    rows = json.loads(run(home, "devices", "list", "--json", env=env_of(home))[1])["pending"]
    return {row["deviceId"]: json.dumps(row) for row in rows}


def who_comes(daemon, home, gateway, door, by):
    """door: what the double brings to the proxy's door; by: how that is called."""
    device = Device(os.path.join(home, f"{by}-d"))
    bob = headers_of("bob@example.com", BOX)
    check(f"{by}: a user needs no secret, the device still pairs", code_of(Visitor(door, bob).connect(device)) == "PAIRING_REQUIRED")
    row = pending(home).get(device.id, "")
    check(f"{by}: the request shows who", "bob@example.com" in row and "box.tail1234" in row and BOX in row, row)
    admin = Device(os.path.join(home, f"{by}-a"))
    check(f"{by}: nor is admin given", code_of(Visitor(door, bob).connect(admin, scopes=("operator.admin",))) == "PAIRING_REQUIRED")
    other = Device(os.path.join(home, f"{by}-o"))
    rows = [("another's name", headers_of("alice@example.com", BOX), "AUTH_TAILSCALE_IDENTITY_MISMATCH"),
            ("no name", headers_of(None, BOX), "AUTH_TAILSCALE_IDENTITY_MISSING"),
            ("this host itself", headers_of("alice@example.com", OWN), "AUTH_TAILSCALE_IDENTITY_MISSING"),
            ("an address of nobody", headers_of("bob@example.com", "100.64.0.99"), "AUTH_TAILSCALE_WHOIS_FAILED"),
            ("no address", [("Tailscale-User-Login", "bob@example.com")], "AUTH_TAILSCALE_PROXY_MISSING"),
            ("two addresses", headers_of("bob@example.com", f"{BOX}, 192.0.2.1"), "AUTH_TAILSCALE_PROXY_MISSING"),
            ("a tagged node, which no user stands for", headers_of(None, TAGGED), "AUTH_TOKEN_MISSING")]
    for name, headers, code in rows:
        answer = Visitor(door, headers).connect(other)
        check(f"{by}: {name}", code_of(answer) == code, answer)
    check(f"{by}: a node pairs like any", code_of(Visitor(door, bob).connect(other, role="node", scopes=())) == "AUTH_TOKEN_MISSING")
    check(f"{by}: the token does not make it local", code_of(Visitor(door, bob).connect(other, {"token": TOKEN})) == "PAIRING_REQUIRED")
    page = Visitor(door, [*bob, ("Origin", f"https://{NAME}")])
    check(f"{by}: our page at our name is ours", page.status == 101, page.status)
    check(f"{by}: another page is not", Visitor(door, [*bob, ("Origin", "https://evil.example")]).status == 403)
    request = json.loads(pending(home)[device.id])["requestId"]
    run(home, "devices", "approve", request, env=env_of(home))
    check(f"{by}: approved, it is in without a secret", code_of(Visitor(door, bob).connect(device)) == "ok")


def forged(daemon, home, gateway):
    """The same headers by processes that are not tailscaled: nobody is let in by them."""
    bob = headers_of("bob@example.com", BOX)
    for name, to in (("the port", ("127.0.0.1", gateway.port)), ("the proxy's own socket", os.path.join(gateway.state, "proxy.sock")),
                     ("gateway.sock", os.path.join(gateway.state, "gateway.sock"))):
        device = Device(os.path.join(home, f"forger-{os.path.basename(str(to))[:12]}"))
        answer = Visitor(to, bob).connect(device)
        wanted = "AUTH_TOKEN_MISSING" if "gateway.sock" in str(to) else "AUTH_TAILSCALE_PROXY_MISSING"
        check(f"forged headers at {name}: refused", code_of(answer) == wanted, answer)
        answer = Visitor(to, bob).connect(device, {"token": TOKEN})
        row = pending(home).get(device.id, "")
        check(f"forged headers at {name}: never local, with the token too", code_of(answer) == "PAIRING_REQUIRED" and "bob" not in row, f"{answer}{row}")


def through_the_proxy():
    with scratch() as home, Daemon(home) as daemon, Gateway(home, config=SERVE, env=env_of(home)) as gateway:
        until(is_in(home, "serving"))
        door = daemon.carry(handlers(daemon.serve())[0])
        who_comes(daemon, home, gateway, door, "socket")
        forged(daemon, home, gateway)
        by_hand = daemon.carry(f"127.0.0.1:{gateway.port}")
        answer = Visitor(by_hand, headers_of("bob@example.com", BOX)).connect(Device(os.path.join(home, "hand")))
        check("tailscale serve by hand, to the gateway's port: the same", code_of(answer) == "PAIRING_REQUIRED", answer)
        kit.write(os.path.join(gateway.state, "culvert.json"), '{gateway: {tailscale: {mode: "serve"}, auth: {allowTailscale: false}}}')
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_output("configuration reloaded")
        other = Device(os.path.join(home, "last"))
        check("allowTailscale false: the token is asked for", code_of(Visitor(door, headers_of("bob@example.com", BOX)).connect(other)) == "AUTH_TOKEN_MISSING")
    with scratch() as home, Daemon(home, deny_unix=True) as daemon, Gateway(home, config=SERVE, env=env_of(home)) as gateway:
        until(is_in(home, "serving"))
        target = handlers(daemon.serve())[0].removeprefix("http://")
        door = daemon.carry(target)
        who_comes(daemon, home, gateway, door, "port")
        device = Device(os.path.join(home, "p"))
        host, port = target.split(":")
        answer = Visitor((host, int(port)), headers_of("bob@example.com", BOX)).connect(device)
        check("forged headers at the proxy's own port: refused", code_of(answer) == "AUTH_TAILSCALE_PROXY_MISSING", answer)
        brought = daemon.carry(target, as_=TAGGED)
        answer = Visitor(brought, headers_of("bob@example.com", BOX)).connect(device, {"token": TOKEN})
        row = pending(home).get(device.id, "")
        check("a peer that tailscaled brings there byte for byte is itself", "tag:robot" in row and "bob" not in row, f"{answer}{row}")
        daemon.set(ssh=True)
        daemon.post("drop", "")
        until(lambda: "watch-ipn-bus" in daemon.asked()[-1] or daemon.post("log", "")["watchers"] == 1)
        time.sleep(0.3)
        answer = Visitor(daemon.carry(handlers(daemon.serve())[0].removeprefix("http://")), headers_of("bob@example.com", BOX)).connect(device)
        check("with Tailscale SSH on, a port's headers count no more", code_of(answer) == "AUTH_TAILSCALE_PROXY_MISSING", answer)


TRUSTED = """{gateway: {tailscale: {mode: "serve"}}, tunnel: {trust: {logins: {"bob@example.com": {role: "operator", scopes: ["operator.read"]}}}}}"""


def trusted():
    with scratch() as home, Daemon(home) as daemon, Gateway(home, config=TRUSTED, env=env_of(home)) as gateway:
        until(is_in(home, "serving"))
        door, bob = daemon.carry(handlers(daemon.serve())[0]), headers_of("bob@example.com", BOX)
        answer = Visitor(door, bob).connect(Device(os.path.join(home, "d")), scopes=("operator.admin", "operator.read"))
        check("a trusted login by the proxy is in at once, never as admin", answer["ok"] and answer["payload"]["auth"]["scopes"] == ["operator.read"],
              answer)
        forged = Visitor(os.path.join(gateway.state, "proxy.sock"), bob).connect(Device(os.path.join(home, "f")))
        check("not by another process", code_of(forged) == "AUTH_TAILSCALE_PROXY_MISSING", forged)
        public = headers_of("bob@example.com", BOX, ("Tailscale-Funnel-Request", "?1"))
        check("nor from the Internet", code_of(Visitor(door, public).connect(Device(os.path.join(home, "p")))) == "AUTH_TOKEN_MISSING")


def an_ordinary_user():
    """tailscaled as root, the gateway not: on a socket the kernel names the process, on a port it cannot be seen."""
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with scratch() as home:
        os.chown(home, 65534, 65534)
        if subprocess.run([*prefix, kit.CULVERT, "--version"], capture_output=True, cwd="/").returncode != 0:
            kit.skip("the gateway as an ordinary user", "it cannot be run as one here")
            return
        with Daemon(home) as daemon:
            os.makedirs(os.path.join(home, "state"), mode=0o700)
            kit.write(os.path.join(home, "state/culvert.json"), SERVE)
            for path in ("state", "state/culvert.json"):
                os.chown(os.path.join(home, path), 65534, 65534)
            bob = headers_of("bob@example.com", BOX)
            with Gateway(home, env=env_of(home), prefix=prefix) as gateway:
                check("as an ordinary user it serves by a socket", gateway.wait_output("(by unix:"), gateway.output())
                door = daemon.carry(handlers(daemon.serve())[0])
                answer = Visitor(door, bob).connect(Device(os.path.join(home, "d")))
                check("where tailscaled is known by its process", code_of(answer) == "PAIRING_REQUIRED", answer)
                forged = Visitor(os.path.join(home, "state/proxy.sock"), bob).connect(Device(os.path.join(home, "f")))
                check("and root alone is not it", code_of(forged) == "AUTH_TAILSCALE_PROXY_MISSING", forged)
            daemon.set(deny_unix=True)
            with Gateway(home, env=env_of(home), prefix=prefix) as gateway:
                check("by a port where a socket may not be set", gateway.wait_output("(by http://127.0.0.1:"), gateway.output())
                door = daemon.carry(handlers(daemon.serve())[0].removeprefix("http://"))
                answer = Visitor(door, bob).connect(Device(os.path.join(home, "p")))
                check("where its headers cannot be proved and do not count", code_of(answer) == "AUTH_TAILSCALE_PROXY_MISSING", answer)
                check("which is said", gateway.wait_output("run as different users"), gateway.output())


def from_the_internet():
    with scratch() as home, Daemon(home) as daemon, Gateway(home, config=FUNNEL, env=env_of(home), token=False) as gateway:
        check("Funnel with a password", gateway.wait_output("from the whole Internet"), gateway.output())
        part = next(iter(daemon.serve()["Foreground"].values()))
        check("is switched on for our name only", part["AllowFunnel"] == {f"{NAME}:443": True}, part)
        door = daemon.carry(handlers(daemon.serve())[0])
        device = Device(os.path.join(home, "d"))
        public = lambda address: headers_of(None, address, ("Tailscale-Funnel-Request", "?1"))
        check("nobody is known there", code_of(Visitor(door, public("198.51.100.7")).connect(device)) == "AUTH_PASSWORD_MISSING")
        claimed = [*public("198.51.100.7"), ("Tailscale-User-Login", "bob@example.com")]
        check("whatever is claimed", code_of(Visitor(door, claimed).connect(device)) == "AUTH_PASSWORD_MISSING")
        answer = Visitor(door, public("198.51.100.7")).connect(device, {"password": PASSWORD})
        row = pending(home).get(device.id, "")
        check("the password is not enough: the device pairs", code_of(answer) == "PAIRING_REQUIRED" and "198.51.100.7" in row, f"{answer}{row}")
        guesses = [code_of(Visitor(door, public("198.51.100.8")).connect(device, {"password": f"guess {i}"})) for i in range(11)]
        check("guesses from one address lock it out", guesses[0] == "AUTH_PASSWORD_MISMATCH" and guesses[-1] == "AUTH_RATE_LIMITED", guesses)
        check("and nobody else", code_of(Visitor(door, public("198.51.100.9")).connect(device)) == "AUTH_PASSWORD_MISSING")


in_namespace = tailnet_kit.enter_namespace()
if not in_namespace:
    kit.skip("tailscaled's proxy", "no network namespace can be made here")
    kit.finish()
for part in (in_and_out, an_old_tailscaled, reset_on_exit, what_does_not_go, refused_at_the_start, through_the_proxy, trusted, an_ordinary_user,
             from_the_internet):
    began = time.monotonic()
    part()
    print(f"{part.__name__}: {time.monotonic() - began:.1f} s", flush=True)
kit.finish()
