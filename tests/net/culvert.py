"""The gateway, the command and its tunnel in the hosts of kit.py, as people run them."""
import itertools
import json
import os
import re
import signal
import sys

from kit import CULVERT, HERE, check, skip_all, until

TOKEN = "net-test-token"
PORT = 18789
PROGRAM = "/run/bin/culvert"
CLIENT = os.path.join(HERE, "client.py")
fresh_numbers = itertools.count(1)


class Gateway:
    """A gateway of one user of a host, with its state in ~/.culvert; it must leave with status 0 when told to."""

    def __init__(self, host, user="root", config=None, port=PORT, args=(), env=None):
        if not os.path.exists(CULVERT):
            skip_all(f"{CULVERT} is not built")
        self.host, self.user, self.port, self.args, self.env = host, user, port, args, env
        home = host.users[user]
        self.state = os.path.join(home.home, ".culvert")
        self.socket = os.path.join(self.state, "gateway.sock")
        self.token_file = os.path.join(home.home, "token")
        host.write(self.token_file, TOKEN + "\n", user=user)
        if config is not None:
            os.makedirs(self.state, mode=0o700, exist_ok=True)
            os.chown(self.state, home.uid, home.uid)
            host.write(os.path.join(self.state, "culvert.json"), json.dumps(config), user=user)
        self.start()
        host.world.at_end(self.stop)

    def start(self):
        self.process = self.host.start([PROGRAM, "gateway", "--port", str(self.port), "--token-file", self.token_file, *self.args],
                                       user=self.user, name=f"gateway-{self.user}", env=self.env)
        self.process.wait_output("Other clients:")

    def stop(self, number=signal.SIGTERM):
        if not self.process.running():
            return
        status = self.process.stop(number)
        if number == signal.SIGTERM:
            check(f"the gateway of {self.user} leaves with status 0 when told to", status == 0, f"{status}\n{story(self.process.output())}")

    def log(self):
        return self.process.output()

    def operator(self, *args):
        """A command of the person whose gateway it is, at its host."""
        return self.host.run([PROGRAM, *args], user=self.user)

    def devices(self):
        return self.operator("devices", "list", "--json").json()

    def approve(self, request):
        return self.operator("devices", "approve", request)


def story(log):
    """What a sanitizer or a failed require() said, else the last lines."""
    found = re.search(r"==\d+==ERROR|runtime error:|require|AddressSanitizer", log)
    return log[-1500:] if not found else log[found.start():found.start() + 3000]


class Person:
    """A device of its own: a fresh state folder of a user of a host."""

    def __init__(self, host, user="root", token=TOKEN):
        self.host, self.user = host, user
        account = host.users[user]
        self.home = os.path.join(account.home, f"person-{next(fresh_numbers)}")
        os.mkdir(self.home, 0o700)
        os.chown(self.home, account.uid, account.uid)
        self.token_file = os.path.join(self.home, "token") if token else None
        if token:
            host.write(self.token_file, token + "\n", user=user)

    def culvert(self, *args, url=None, timeout=60, env=None):
        """The command, at the gateway that url names."""
        target = ["--url", url] if url else []
        token = ["--token-file", self.token_file] if self.token_file else []
        return self.host.run([PROGRAM, *args, *target, *token], user=self.user, timeout=timeout,
                             env={"CULVERT_STATE_DIR": os.path.join(self.home, "state"), **(env or {})})


def request_of(done):
    """The pairing request that a refused command names, or None."""
    found = re.search(r"culvert devices approve (\S+)", done.err)
    return found and found[1]


class Tunnel:
    """`culvert tunnel up TARGET`, left running by a user of a host."""

    def __init__(self, host, target, *args, user="root", env=None):
        self.host, self.target, self.args, self.user, self.env = host, target, args, user, env
        self.start()
        host.world.at_end(self.stop)

    def start(self):
        self.process = self.host.start([PROGRAM, "tunnel", "up", self.target, *self.args], user=self.user, name="tunnel", env=self.env)

    def status(self):
        """The row of this tunnel in `culvert tunnel status`, or {}."""
        done = self.host.run([PROGRAM, "tunnel", "status", self.target, "--json"], user=self.user, env=self.env)
        try:
            told = done.json()
        except ValueError:
            return {}
        rows = told.get("tunnels", [told]) if isinstance(told, dict) else told
        return rows[0] if rows else {}

    def wait_up(self, limit=30):
        def up():
            if not self.process.running():
                raise RuntimeError(f"culvert tunnel up ended ({self.process.popen.returncode}):\n{self.process.output()[-2000:]}")
            row = self.status()
            return row if row.get("state") == "up" else None
        return until(f"the tunnel to {self.target} to be up", up, limit, every=0.1)

    def stop(self, number=signal.SIGTERM):
        if not self.process.running():
            return
        status = self.process.stop(number)
        if number == signal.SIGTERM:
            check(f"culvert tunnel up {self.target} leaves with status 0 when told to", status == 0, f"{status}\n{story(self.process.output())}")


class Watcher:
    """A client left running (client.py watch) and what it tells."""

    def __init__(self, host, url, device, period_ms=100, user="root"):
        self.process = host.start([sys.executable, "-B", CLIENT, device, url, "watch", str(period_ms)], user=user, name="client",
                                  env={"CULVERT_TOKEN": TOKEN})
        self.at, self.told = 0, []

    def news(self):
        """All it has told so far."""
        with open(self.process.log, "rb") as file:
            file.seek(self.at)
            lines = file.read().split(b"\n")
        self.at += sum(len(line) + 1 for line in lines[:-1])
        self.told += [json.loads(line) for line in lines[:-1] if line.startswith(b"{")]
        return self.told

    def answered_after(self, ms, limit=30):
        """When the first answer came that was told after that time (wall ms)."""
        def answer():
            return next((row["answer"] for row in self.news() if row.get("answer", 0) > ms), None)
        return until("the client to be answered", answer, limit)


def client(host, url, device, *words, user="root", timeout=120):
    """client.py to its end: what it told."""
    done = host.run([sys.executable, "-B", CLIENT, device, url, *map(str, words)], user=user, env={"CULVERT_TOKEN": TOKEN}, timeout=timeout)
    try:
        return done.json()
    except ValueError:
        return {"failed": str(done)}


def pair(gateway, host, url, device, user="root"):
    """The device asks by that URL and is approved at the gateway's host."""
    asked = client(host, url, device, "once", user=user)
    if asked.get("request"):
        gateway.approve(asked["request"])
        asked = client(host, url, device, "once", user=user)
    return check("a client pairs through the tunnel with an approval at the gateway", "up" in asked, asked)
