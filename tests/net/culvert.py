"""The gateway, the command and its tunnel in the hosts of kit.py, as people run them."""
import itertools
import json
import os
import re
import signal

from kit import CULVERT, check, skip_all

TOKEN = "net-test-token"
PORT = 18789
PROGRAM = "/run/bin/culvert"
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
