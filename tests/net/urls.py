"""A command of its own over SSH: `--url ssh://…` needs no tunnel and no local port. Through a jump host, a proxy command, an
agent; and what it says when the host is unknown, its key has changed, nobody lets it in, or the configuration
goes round in circles. At last a gateway behind NAT that publishes itself on the jump host."""
import os
import re
import sys

from culvert import PORT, PROGRAM, Gateway, Person, Tunnel, request_of
from kit import World, check, finish, say, until
from ssh import Sshd, append, key_pair, may_log_in, ssh_config, ssh_folder

CONFIG = """
Host box
 HostName gate
 User alice
 ProxyJump carol@jump
Host by-proxy
 HostName gate
 User alice
 ProxyCommand ssh -q -W %h:%p carol@jump
Host circle-a
 HostName gate
 ProxyJump circle-b
Host circle-b
 HostName gate
 ProxyJump circle-a
Host new-to-us
 HostName 10.9.0.2
 User alice
 HostKeyAlias never-seen
 ProxyJump carol@jump
Host changed
 HostName 10.9.0.2
 User alice
 HostKeyAlias changed
 ProxyJump carol@jump
Host nobody
 HostName gate
 User alice
 IdentityFile ~/.ssh/other
 IdentitiesOnly yes
 ProxyJump carol@jump
Host locked
 HostName gate
 User alice
 IdentityFile ~/.ssh/locked
 IdentitiesOnly yes
 ProxyJump carol@jump
"""


class Site:
    """laptop -- jump -- gate: the gateway's host is behind the jump host, which forwards nothing by itself."""

    def __init__(self, world):
        self.laptop, self.jump, self.gate = (world.host(name) for name in ("laptop", "jump", "gate"))
        world.cable(self.laptop, "10.8.0.2/24", self.jump, "10.8.0.1/24")
        world.cable(self.jump, "10.9.0.1/24", self.gate, "10.9.0.2/24")
        self.gate.user("alice")
        self.jump.user("carol")
        self.gateway = Gateway(self.gate, "alice")
        self.sshd, self.hop = Sshd(self.gate, ExposeAuthInfo="yes"), Sshd(self.jump)
        may_log_in(self.laptop, "root", self.hop, "carol")
        may_log_in(self.laptop, "root", self.sshd, "alice")
        ssh_config(self.laptop, "root", CONFIG)
        self.folder = ssh_folder(self.laptop, self.laptop.users["root"])
        self.person = Person(self.laptop)


def asks_then_passes(site, url, *args, env=None):
    """A fresh device through that URL: it asks, is approved, and passes."""
    person = Person(site.laptop)
    first = person.culvert("status", url=url, env=env, *args)
    asked = request_of(first)
    check(f"{url}: a fresh device has to ask", first.status == 4 and asked, first)
    waiting = [p for p in site.gateway.devices()["pending"] if p["requestId"] == asked]
    check(f"{url}: the request names the login", waiting and waiting[0].get("identity", {}).get("user") == "alice", waiting)
    if asked:
        site.gateway.approve(asked)
    second = person.culvert("status", url=url, env=env)
    check(f"{url}: once approved it passes", second.status == 0, second)
    say(f"{url}: {second.seconds:.2f} s")
    return person


def the_ways_there(site):
    person = asks_then_passes(site, "ssh://box")
    done = person.culvert("call", "health", url="ssh://box")
    check("culvert call over it", done.status == 0 and done.json().get("ok") is True, done)
    done = person.culvert("agent", "-m", "four green kites", url="ssh://box")
    check("culvert agent over it", done.status == 0 and "four green kites" in done.out, done)
    asks_then_passes(site, "ssh://by-proxy")
    check("no local port was opened, nothing is left running", not site.laptop.processes("culvert", "ssh"), lambda: site.laptop.processes())
    left = [name for name in os.listdir("/tmp") if name.startswith("culvert") and not name.startswith("culvert-net-")]
    check("no socket is left behind", not [n for n in left if "tunnel" in n], left)


def the_agent(site):
    """The key is in an agent alone."""
    aside = os.path.join(site.folder, "aside")
    os.mkdir(aside)
    for name in ("id_ed25519", "id_ed25519.pub"):
        os.rename(os.path.join(site.folder, name), os.path.join(aside, name))
    socket = os.path.join(site.laptop.folder, "agent.sock")
    agent = site.laptop.start(["ssh-agent", "-D", "-a", socket])
    until("the agent", lambda: os.path.exists(socket))
    env = {"SSH_AUTH_SOCK": socket}
    refused = site.person.culvert("status", url="ssh://box", env=env)
    check("without the key nobody is let in, and it says what was tried", refused.status in (3, 4) and re.search("publickey|agent|key", refused.err), refused)
    site.laptop.run_ok(["ssh-add", "-q", os.path.join(aside, "id_ed25519")], env=env)
    asks_then_passes(site, "ssh://box", env=env)
    crowded(site, env)
    agent.stop()
    for name in ("id_ed25519", "id_ed25519.pub"):
        os.rename(os.path.join(aside, name), os.path.join(site.folder, name))


def crowded(site, env):
    """Twenty keys before the right one, and a server that bears six: in, or a word about what to do."""
    site.laptop.run_ok(["ssh-add", "-q", "-D"], env=env)
    for number in range(20):
        key_pair(site.laptop.folder, f"many-{number}")
        site.laptop.run_ok(["ssh-add", "-q", os.path.join(site.laptop.folder, f"many-{number}")], env=env)
    site.laptop.run_ok(["ssh-add", "-q", os.path.join(site.folder, "aside", "id_ed25519")], env=env)
    done = site.person.culvert("status", url="ssh://box", env=env)
    told = done.status in (3, 4) and re.search(r"IdentityFile|IdentitiesOnly", done.err)
    check("an agent of twenty keys against MaxAuthTries 6: in, or told what to do", (done.status == 4 and request_of(done)) or told, done)


def hanging_agent(site):
    """An agent that takes connections and never answers: the key file is used before patience ends."""
    socket = os.path.join(site.laptop.folder, "deaf.sock")
    deaf = site.laptop.start([sys.executable, "-c", DEAF, socket])
    until("the deaf agent", lambda: os.path.exists(socket))
    person = Person(site.laptop)
    done = person.culvert("status", url="ssh://box", env={"SSH_AUTH_SOCK": socket})
    check("an agent that hangs does not keep the key file from being used", done.status == 4 and request_of(done), done)
    say(f"with an agent that hangs: {done.seconds:.1f} s")
    deaf.stop()


DEAF = """
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
kept = []
while True:
    kept.append(server.accept())
"""
SILENT = r"""
import os, socket, sys, threading
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def flood(peer):
    try:
        while True:
            peer.sendall(b"no banner, only noise " * 200 + b"\r\n")
    except OSError:
        pass
kept = []
while True:
    peer, _ = server.accept()
    kept.append(peer)
    if sys.argv[2] == "flood":
        threading.Thread(target=flood, args=[peer], daemon=True).start()
"""


def odd_servers(site):
    """A server that accepts and says nothing; one that talks for ever and never says that it is SSH."""
    for port, what in ((7001, "silent"), (7002, "flood")):
        site.laptop.start([sys.executable, "-c", SILENT, str(port), what])
        until("the odd server", lambda: site.laptop.listens(port))
        done = site.person.culvert("status", url=f"ssh://alice@127.0.0.1:{port}", timeout=60)
        check(f"a server that is {what} is told of", done.status == 3 and re.search(f"{port}|flood", done.err), done)
        check(f"a server that is {what} is not waited for longer than 20 s", done.seconds < 20, done)
        say(f"{what}: {done.seconds:.1f} s: {done.err.strip()[:200]}")


def refusals(site):
    known = os.path.join(site.folder, "known_hosts")
    append(known, f"changed {key_pair(site.laptop.folder, 'somebody')}\n", site.laptop.users["root"])
    key_pair(site.folder, "other")
    locked = key_pair(site.folder, "locked", passphrase="a passphrase")
    alice = site.gate.users["alice"]
    append(os.path.join(alice.home, ".ssh/authorized_keys"), locked + "\n", alice)
    fingerprint = site.sshd_fingerprint = finger(site.sshd.public)
    rows = [  # target, what it must say, what it must not have taken
        ("ssh://new-to-us", rf"{re.escape(fingerprint)}(?s:.*)--accept-new|--accept-new(?s:.*){re.escape(fingerprint)}", "an unknown host is not trusted without consent"),
        ("ssh://changed", r"(?i)changed|does not match|another key", "a changed host key is refused"),
        ("ssh://nobody", r"publickey", "a key that nobody knows is refused, with what the server takes"),
        ("ssh://locked", r"(?i)passphrase", "a locked key without a terminal to ask on is told"),
        ("ssh://circle-a", r"(?i)circle|loop", "a configuration that goes round in circles is told"),
        ("ssh://alice@10.9.0.77", r"10\.9\.0\.77", "a host that does not answer is named"),
        ("ssh://alice@no-such-host", r"no-such-host", "a name that leads nowhere is named"),
    ]
    for url, words, what in rows:
        done = site.person.culvert("status", "--timeout", "8", url=url, timeout=40)
        check(f"{what} (status {done.status})", done.status in (3, 4) and re.search(words, done.err), done)
    kept = site.laptop.run(["ssh-keygen", "-F", "never-seen", "-f", known])
    check("none of that was written to known_hosts", kept.status == 1, kept)
    done = site.person.culvert("status", "--accept-new", url="ssh://changed")
    check("--accept-new does not accept a changed key", done.status in (3, 4) and "approve" not in done.err, done)
    asks_then_passes_new(site, known)


def asks_then_passes_new(site, known):
    person = Person(site.laptop)
    done = person.culvert("status", "--accept-new", url="ssh://new-to-us")
    check("--accept-new takes a new host's key", done.status == 4 and request_of(done), done)
    kept = site.laptop.run(["ssh-keygen", "-F", "never-seen", "-f", known])
    check("and keeps it", site.sshd.public.split()[1] in kept.out, kept)
    again = person.culvert("status", url="ssh://new-to-us")
    check("the next time it is known", again.status == 4 and request_of(again), again)


def finger(public):
    from ssh import fingerprint
    return fingerprint(public)


def published(site):
    """The gateway's host lets nobody in, but may go out: it publishes itself on the jump host."""
    site.gateway.stop()
    site.gate.nft("table inet f { chain i { type filter hook input priority 0; iif lo accept; ct state established,related accept; drop; }; }")
    may_log_in(site.gate, "alice", site.hop, "carol")
    gateway = Gateway(site.gate, "alice", config={"tunnel": {"publish": [{"target": "carol@jump", "remotePort": PORT}]}, "logging": {"level": "debug"}})
    until("the gateway to be published", lambda: site.jump.listens(PORT), 20)
    site.gateway = gateway
    tunnel = Tunnel(site.laptop, "carol@jump", "--listen", "127.0.0.1:19100")
    tunnel.wait_up()
    for url, login in (("ws://127.0.0.1:19100", "through a tunnel to the jump host"),):
        person = Person(site.laptop)
        first = person.culvert("status", url=url)
        asked = request_of(first)
        check(f"published, {login}: a fresh device has to ask", first.status == 4 and asked, first)
        waiting = [p for p in gateway.devices()["pending"] if p["requestId"] == asked]
        identity = waiting[0].get("identity", {}) if waiting else {}
        check("the request says that it came by the publication, and where from", identity.get("kind") == "publish" and "jump" in str(identity), waiting)
        if asked:
            gateway.approve(asked)
        second = person.culvert("status", url=url)
        check("once approved it passes", second.status == 0, second)
    here = site.jump.run([PROGRAM, "status", "--url", f"ws://127.0.0.1:{PORT}", "--token-file", gateway.token_file], user="root")
    check("on the jump host itself nobody pairs silently either", here.status == 4, here)
    again(site, gateway, person)
    tunnel.stop()


def again(site, gateway, person):
    """The publication comes back by itself."""
    site.hop.signal_sessions()
    until("the published port to be closed", lambda: not site.jump.listens(PORT), 10)
    until("the gateway to be published again", lambda: site.jump.listens(PORT), 20)

    def passes():
        return person.culvert("status", "--timeout", "5", url="ws://127.0.0.1:19100").status == 0
    check("a killed session of the jump host: it publishes itself again", until("the gateway to answer again", passes, 30))
    gateway.stop()
    check("a stopped gateway is published no more", until("the port to close", lambda: not site.jump.listens(PORT), 10))


def main():
    words = sys.argv[1:]
    with World() as world:
        site = Site(world)
        for part in (the_ways_there, the_agent, hanging_agent, odd_servers, refusals, published):
            if not words or part.__name__ in words:
                try:
                    part(site)
                except (TimeoutError, RuntimeError) as error:
                    check(f"{part.__name__} goes to its end", False, error)
    finish()


main()
