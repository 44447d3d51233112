"""Every road to a gateway from another host, a row each: none pairs by itself (design.md section 5), whether the gateway is
root's or an ordinary user's, and whether who logs in is its user or somebody else."""
from culvert import PORT, Gateway, Person, Tunnel, request_of
from kit import World, check, finish, os, say, sys, until
from ssh import Sshd, fingerprint, forward, may_log_in

NEAR, PUBLISHED = 19000, 18999  # the near ends' ports count from here; where the gateway publishes itself on the laptop
BARE, STRICT = 2222, 2223  # sshd without culvert on its PATH; sshd that forwards nothing


# A road: who it is for ("any": whoever logs in; "owner": the gateway's own user, for its folder is 0700), and what
# opens it: open(road) gives the near end's URL.
def local_to_port(road):
    return road.forwarded(["-L", f"{road.near}:127.0.0.1:{PORT}"])


def local_to_socket(road):
    return road.forwarded(["-L", f"{road.near}:{road.gateway.socket}"])


def local_socket_to_port(road):
    path = os.path.join(road.laptop.folder, f"near-{road.near}.sock")
    road.keep(forward(road.laptop, "root", "-L", f"{path}:127.0.0.1:{PORT}", road.there))
    return f"unix:{path}"


def remote_to_port(road):
    return road.pushed(f"{road.near}:127.0.0.1:{PORT}")


def remote_to_socket(road):
    return road.pushed(f"{road.near}:{road.gateway.socket}")


def runs_program_to_port(road):
    return road.through_program(f"TCP:127.0.0.1:{PORT}")


def runs_program_to_socket(road):
    return road.through_program(f"UNIX-CONNECT:{road.gateway.socket}")


def tunnel(road):
    return road.tunnelled(f"{road.login}@gate")


def tunnel_without_culvert_there(road):
    return road.tunnelled(f"ssh://{road.login}@gate:{BARE}")


def tunnel_without_forwarding(road):
    return road.tunnelled(f"ssh://{road.login}@gate:{STRICT}")


def published(road):
    until("the gateway to be published", lambda: road.laptop.listens(PUBLISHED))
    return f"ws://127.0.0.1:{PUBLISHED}"


ROADS = [  # who may go it, how, whom the request names (identity.kind; its user is always the login), the way of a tunnel
    ("ssh -L to the port", "any", local_to_port, "forward", None),
    ("ssh -L to gateway.sock", "owner", local_to_socket, "forward", None),
    ("ssh -L of a socket to the port", "any", local_socket_to_port, "forward", None),
    ("ssh -R from the gateway's host to the port", "any", remote_to_port, "forward", None),
    ("ssh -R from the gateway's host to gateway.sock", "owner", remote_to_socket, "forward", None),
    ("ssh that runs a program to the port", "any", runs_program_to_port, "forward", None),
    ("ssh that runs a program to gateway.sock", "owner", runs_program_to_socket, "forward", None),
    ("tunnel.publish", "owner", published, "publish", None),
    ("culvert tunnel up", "owner", tunnel, "ssh", "bridge"),
    ("culvert tunnel up, no gateway of that login", "other", tunnel, "forward", "direct-tcpip"),
    ("culvert tunnel up, no culvert there", "any", tunnel_without_culvert_there, "forward", "direct-tcpip"),
    ("culvert tunnel up, no forwarding there", "owner", tunnel_without_forwarding, "ssh", "exec"),
]


class Road:
    """One road of one login to one gateway."""
    count = 0

    def __init__(self, world, gateway, login, key):
        Road.count += 1
        self.gateway, self.gate, self.laptop, self.login, self.fingerprint = gateway, gateway.host, world.hosts[1], login, key
        self.near, self.there, self.opened, self.tunnel = NEAR + Road.count, f"{login}@gate", [], None

    def keep(self, process):
        self.opened.append(process)

    def forwarded(self, options):
        self.keep(forward(self.laptop, "root", *options, self.there))
        return f"ws://127.0.0.1:{self.near}"

    def pushed(self, what):
        self.keep(forward(self.gate, self.login, "-R", what, "carol@laptop"))
        return f"ws://127.0.0.1:{self.near}"

    def through_program(self, where):
        script = os.path.join(self.laptop.folder, f"near-{self.near}")
        self.laptop.write(script, f"#!/bin/sh\nexec ssh -o BatchMode=yes {self.there} socat - {where}\n", 0o755)
        self.keep(self.laptop.start(["socat", f"TCP-LISTEN:{self.near},bind=127.0.0.1,reuseaddr,fork", f"EXEC:{script}"]))
        until("socat to listen", lambda: self.laptop.listens(self.near))
        return f"ws://127.0.0.1:{self.near}"

    def tunnelled(self, target):
        self.tunnel = Tunnel(self.laptop, target, "--listen", f"127.0.0.1:{self.near}")
        self.keep(self.tunnel)
        self.tunnel.wait_up()
        return f"ws://127.0.0.1:{self.near}"

    def close(self):
        for process in self.opened:
            process.stop()


def travel(road, name, opener, kind, way):
    """A fresh device asks, is not paired, is approved at the gateway's host, and gets through."""
    who = f"{name}, gateway of {road.gateway.user}, login {road.login}"
    person = Person(road.laptop)
    try:
        url = opener(road)
        if way:
            check(f"{who}: the way is {way}", road.tunnel.status().get("way") == way, road.tunnel.status)
        first = person.culvert("status", url=url)
        asked = request_of(first)
        check(f"{who}: a fresh device is refused and told to ask", first.status == 4 and asked, first)
        devices = road.gateway.devices()
        mine = [p for p in devices["pending"] if p["requestId"] == asked]
        check(f"{who}: its request waits, and it is not paired", mine and mine[0]["deviceId"] not in [p["deviceId"] for p in devices["paired"]],
              devices["pending"])
        named = mine[0].get("identity", {}) if mine else {}
        whom = "carol@laptop" if kind == "publish" else road.login
        check(f"{who}: the request names who asks", named.get("kind") == kind and whom in (named.get("user"), named.get("via")), devices["pending"])
        if kind == "ssh":
            check(f"{who}: with the key that sshd told of", named.get("key") == road.fingerprint, named)
            check(f"{who}: and the address", named.get("address") == "10.8.0.2", named)
        done = road.gateway.approve(asked) if asked else first
        check(f"{who}: approved at the gateway's host", done.status == 0, done)
        second = person.culvert("status", url=url)
        check(f"{who}: and through", second.status == 0, second)
        if second.status == 0:
            say(f"{who}: asked ({named.get('text')}), approved, through")
    except (TimeoutError, RuntimeError) as error:
        check(f"{who}: the road is open", False, error)
    finally:
        road.close()


def silent(gateway):
    """Who sits at the gateway's host pairs by itself: without this the rows above would prove nothing."""
    person = Person(gateway.host, gateway.user)
    seen = person.culvert("status", url=f"ws://127.0.0.1:{gateway.port}")
    check(f"at the host itself a fresh device of {gateway.user} pairs by itself", seen.status == 0, seen)


def logins(whose, owner, other):
    return {"any": (owner, other), "owner": (owner,), "other": (other,)}[whose]


def main():
    words = sys.argv[1:]
    with World() as world:
        gate, laptop = world.host("gate"), world.host("laptop")
        world.cable(laptop, "10.8.0.2/24", gate, "10.8.0.1/24")
        for name in ("alice", "bob"):
            gate.user(name)
        laptop.user("carol")
        told = {"ExposeAuthInfo": "yes"}
        servers, back = [Sshd(gate, **told), Sshd(gate, BARE, culvert=False, **told),
                         Sshd(gate, STRICT, AllowTcpForwarding="no", AllowStreamLocalForwarding="no", **told)], Sshd(laptop)
        for name in ("root", "alice", "bob"):
            for sshd in servers:
                public = may_log_in(laptop, "root", sshd, name)
            may_log_in(gate, name, back, "carol")
        for owner, other in (("root", "bob"), ("alice", "bob")):
            gateway = Gateway(gate, owner, config={
                "logging": {"level": "debug"}, "tunnel": {"publish": [{"target": "carol@laptop", "remotePort": PUBLISHED}]}})
            silent(gateway)
            for name, whose, *rest in ROADS:
                for login in logins(whose, owner, other) if not words or any(word in name for word in words) else ():
                    travel(Road(world, gateway, login, fingerprint(public)), name, *rest)
            gateway.stop()
    finish()


main()
