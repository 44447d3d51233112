"""A real sshd for one test: each connection to a port of ours gets an `sshd -i`, with keys and configuration in the test's folder."""
import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import threading

import kit


def missing():
    """Why there can be none here, or None."""
    for program in ("ssh", "ssh-keygen"):
        if not shutil.which(program):
            return f"{program} is not installed"
    return None if os.path.exists("/usr/sbin/sshd") else "/usr/sbin/sshd is not installed"


class Sshd:
    """`name` is a Host of `self.config`; connections that live are `self.children`."""

    def __init__(self, folder, name="gate", extra="", **environment):
        """environment: of what runs there, as PATH=…"""
        self.folder, self.name, self.user = os.path.join(folder, f"sshd-{name}"), name, getpass.getuser()
        os.makedirs(self.folder, mode=0o700)
        self.children, self.refuse, self.lock = [], False, threading.Lock()
        for key in ("host", "id"):
            self.make_key(key)
        shutil.copy(self.path("id.pub"), self.path("authorized_keys"))
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        words = " ".join(f"{k}={v}" for k, v in environment.items())
        kit.write(self.path("config"), f"""{extra}
{"SetEnv " + words if words else ""}
HostKey {self.path("host")}
AuthorizedKeysFile {self.path("authorized_keys")}
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
LogLevel VERBOSE
""")
        self.know(self.path("host.pub"))
        self.config = self.path("ssh_config")
        kit.write(self.config, f"""Host {name}
  HostName 127.0.0.1
  Port {self.port}
  User {self.user}
  IdentityFile {self.path("id")}
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {self.path("known_hosts")}
  GlobalKnownHostsFile /dev/null
""")
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        threading.Thread(target=self.serve, daemon=True).start()

    def path(self, name):
        return os.path.join(self.folder, name)

    def make_key(self, name):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", self.path(name)], check=True)

    def know(self, public):
        """The key our side expects of this host."""
        kind, key = open(public).read().split()[:2]
        kit.write(self.path("known_hosts"), f"[127.0.0.1]:{self.port} {kind} {key}\n")

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer, open(self.path("log"), "a") as log:
                if self.refuse:
                    continue
                child = subprocess.Popen(["/usr/sbin/sshd", "-i", "-e", "-f", self.path("config")], stdin=peer, stdout=peer, stderr=log,
                                         start_new_session=True)
            with self.lock:
                self.children = [c for c in self.children if c.poll() is None] + [child]

    def cut(self, how=signal.SIGKILL):
        """Ends (or stops) every connection there is, with all that it started."""
        with self.lock:
            for child in self.children:
                for pid in descendants(child.pid) if child.poll() is None else []:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, how)

    def leave(self):
        """Nobody listens there any more."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def close(self):
        self.leave()
        self.cut()
        for child in self.children:
            child.wait(timeout=kit.WAIT_S)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()


def descendants(pid):
    """The process and all below it."""
    below = {}
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            parent = int(open(f"/proc/{int(entry)}/stat").read().rsplit(")", 1)[1].split()[1])
            below.setdefault(parent, []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += below.get(found[-1], [])
    return found
