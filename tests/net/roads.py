"""Every road to a gateway from another host, a row each: none pairs by itself (design.md section 5), whether the gateway is
root's or an ordinary user's, and whether who logs in is its user or somebody else."""
from culvert import PORT, Gateway, Person, request_of
from kit import World, check, finish, os, say, sys, until
from ssh import Sshd, forward, may_log_in

NEAR = 19000  # the near ends' ports count from here


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


ROADS = [
    ("ssh -L to the port", "any", local_to_port),
    ("ssh -L to gateway.sock", "owner", local_to_socket),
    ("ssh -L of a socket to the port", "any", local_socket_to_port),
    ("ssh -R from the gateway's host to the port", "any", remote_to_port),
    ("ssh -R from the gateway's host to gateway.sock", "owner", remote_to_socket),
    ("ssh that runs a program to the port", "any", runs_program_to_port),
    ("ssh that runs a program to gateway.sock", "owner", runs_program_to_socket),
]


class Road:
    """One road of one login to one gateway."""
    count = 0

    def __init__(self, world, gateway, sshd, back, login):
        Road.count += 1
        self.gateway, self.gate, self.laptop, self.login = gateway, gateway.host, world.hosts[1], login
        self.near, self.back, self.there, self.opened = NEAR + Road.count, back, f"{login}@gate", []

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

    def close(self):
        for process in self.opened:
            process.stop()


def travel(name, road, opener):
    """A fresh device asks, is not paired, is approved at the gateway's host, and gets through."""
    who = f"{name}, gateway of {road.gateway.user}, login {road.login}"
    person = Person(road.laptop)
    try:
        url = opener(road)
        first = person.culvert("status", url=url)
        asked = request_of(first)
        check(f"{who}: a fresh device is refused and told to ask", first.status == 4 and asked, first)
        devices = road.gateway.devices()
        mine = [p for p in devices["pending"] if p["requestId"] == asked]
        check(f"{who}: its request waits, and it is not paired", mine and mine[0]["deviceId"] not in [p["deviceId"] for p in devices["paired"]],
              devices["pending"])
        done = road.gateway.approve(asked) if asked else first
        check(f"{who}: approved at the gateway's host", done.status == 0, done)
        second = person.culvert("status", url=url)
        check(f"{who}: and through", second.status == 0, second)
        if second.status == 0:
            say(f"{who}: asked ({request_text(mine)}), approved, through")
    finally:
        road.close()


def request_text(mine):
    """What a person is told of who asks."""
    ours = ("publicKey", "requestId", "deviceId", "ts", "platform", "clientId", "clientMode", "role", "roles", "scopes", "silent", "isRepair")
    return ", ".join(f"{k} {v}" for k, v in (mine[0] if mine else {}).items() if k not in ours)


def silent(gateway):
    """Who sits at the gateway's host pairs by itself: without this the rows above would prove nothing."""
    person = Person(gateway.host, gateway.user)
    seen = person.culvert("status", url=f"ws://127.0.0.1:{gateway.port}")
    check(f"at the host itself a fresh device of {gateway.user} pairs by itself", seen.status == 0, seen)


def main():
    with World() as world:
        gate, laptop = world.host("gate"), world.host("laptop")
        world.cable(laptop, "10.8.0.2/24", gate, "10.8.0.1/24")
        for name in ("alice", "bob"):
            gate.user(name)
        laptop.user("carol")
        sshd, back = Sshd(gate), Sshd(laptop)
        for name in ("root", "alice", "bob"):
            may_log_in(laptop, "root", sshd, name)
            may_log_in(gate, name, back, "carol")
        for owner, other in (("root", "bob"), ("alice", "bob")):
            gateway = Gateway(gate, owner, config={"logging": {"level": "debug"}})
            silent(gateway)
            for name, whose, opener in ROADS:
                for login in (owner, other) if whose == "any" else (owner,):
                    travel(name, Road(world, gateway, sshd, back, login), opener)
            gateway.stop()
    finish()


main()
