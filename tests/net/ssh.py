"""OpenSSH's own server and clients in the hosts of kit.py: keys, settings, who may log in."""
import contextlib
import os
import signal
import subprocess

from kit import CULVERT_FOLDER, PATH, environment, until


def key_pair(folder, name="key", kind="ed25519", passphrase=""):
    """A new key; its public line."""
    path = os.path.join(folder, name)
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "", "-f", path], check=True, stdin=subprocess.DEVNULL)
    with open(f"{path}.pub") as file:
        return file.read().strip()


def fingerprint(public_line):
    told = subprocess.run(["ssh-keygen", "-lf", "-"], input=public_line, capture_output=True, text=True, check=True).stdout
    return told.split()[1]


class Sshd:
    """A server of a host. `settings` are lines of sshd_config beside ours; culvert: on PATH of who logs in."""

    def __init__(self, host, port=22, culvert=True, **settings):
        self.host, self.port, self.process = host, port, None
        self.folder = os.path.join(host.folder, f"sshd-{port}")
        os.makedirs(self.folder, mode=0o755)
        self.public = key_pair(self.folder, "host")
        path = f"{CULVERT_FOLDER}:{PATH}" if culvert else PATH
        # What is ours and runs in a session has to know what the sanitizers shall pass over.
        told = {k: v for k, v in environment().items() if k.endswith("_OPTIONS")}
        self.settings = {
            "Port": port, "HostKey": os.path.join(self.folder, "host"), "PidFile": "none", "UsePAM": "no", "PermitRootLogin": "prohibit-password",
            "PasswordAuthentication": "no", "KbdInteractiveAuthentication": "no", "AuthorizedKeysFile": ".ssh/authorized_keys",
            "LogLevel": "VERBOSE", "UseDNS": "no", "SetEnv": " ".join(f'"{k}={v}"' for k, v in {**told, "PATH": path}.items()), **settings,
        }
        self.start()

    def start(self):
        config = os.path.join(self.folder, "config")
        with open(config, "w") as file:
            file.writelines(f"{name} {value}\n" for name, value in self.settings.items())
        self.process = self.host.start(["/usr/sbin/sshd", "-D", "-e", "-f", config], name=f"sshd-{self.port}")
        until("sshd to listen", lambda: self.process.wait_output("Server listening on"))

    def restart(self, **settings):
        """The listener only: sessions live on, as with a package upgrade."""
        self.settings.update(settings)
        self.process.stop()
        self.start()

    def known_as(self, *names):
        """Lines of known_hosts."""
        port = "" if self.port == 22 else self.port
        return "".join(f"{f'[{n}]:{port}' if port else n} {self.public}\n" for n in names)

    def sessions(self):
        """(pid, title) of the processes that hold sessions: "sshd: alice@notty", "sshd: alice [priv]"."""
        return [(pid, argv[0]) for pid, argv in self.host.processes() if argv[0].startswith("sshd: ") and "listener" not in argv[0]
                and "[net]" not in argv[0]]

    def signal_sessions(self, number=signal.SIGKILL):
        signal_all([pid for pid, _ in self.sessions()], number)


def signal_all(pids, number):
    """One that ends because of another is no surprise."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def may_log_in(client_host, client, server, login, *, name=None, key="id_ed25519", prefix=""):
    """client (a user of client_host) may log in at the server's host as login, and knows its key. `prefix` stands
    before the key in authorized_keys: 'command="…"', 'restrict'."""
    host, user, there = server.host, client_host.users[client], server.host.users[login]
    folder = ssh_folder(client_host, user)
    path = os.path.join(folder, key)
    if not os.path.exists(path):
        key_pair(folder, key)
        for end in ("", ".pub"):
            os.chown(path + end, user.uid, user.uid)
    with open(f"{path}.pub") as file:
        public = file.read().strip()
    append(os.path.join(ssh_folder(host, there), "authorized_keys"), f"{prefix} {public}\n".lstrip(), there)
    names = [name] if name else [host.name, *[a.split("/")[0] for a in host.addresses()]]
    append(os.path.join(folder, "known_hosts"), server.known_as(*names), user)
    return public


def ssh_folder(host, user):
    folder = os.path.join(user.home, ".ssh")
    if not os.path.exists(folder):
        os.mkdir(folder, 0o700)
        os.chown(folder, user.uid, user.uid)
    return folder


def ssh_config(host, user, text):
    append(os.path.join(ssh_folder(host, host.users[user]), "config"), text, host.users[user])


def append(path, text, user):
    with open(path, "a") as file:
        os.fchmod(file.fileno(), 0o600)
        os.fchown(file.fileno(), user.uid, user.uid)
        file.write(text)


def forward(host, user, *argv, name="ssh"):
    """An ssh that stays, with the forwards that its arguments name; ready once they stand."""
    process = host.start(["ssh", "-v", "-N", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", *argv], user=user, name=name)
    process.wait_output("Entering interactive session")
    return process
