"""Where the tunnel is measured: an sshd of our own on loopback, keys and a client configuration in a folder that goes
with it, and the ways through it."""
import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time

from bench import free_port

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin:/bin")


def write(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(text)


def wait_port(host, port, process, log, seconds=20):
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                with open(log, encoding="utf-8", errors="replace") as file:
                    raise RuntimeError(f"{process.args[0]} did not listen on {host}:{port}: {file.read()[-600:]}") from None
            time.sleep(0.01)


@contextlib.contextmanager
def running(command, log, **more):
    with open(log, "wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, **more)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class World:
    """prefix: how a program is started where the sshd is (ip netns exec …); address: where the client finds it."""

    def __init__(self, sshd_options=(), address="127.0.0.1", there=(), here=()):
        if not SSHD:
            raise RuntimeError("sshd is not installed (openssh-server)")
        self.options, self.address, self.there, self.here = sshd_options, address, list(there), list(here)
        self.user = pwd.getpwuid(os.getuid()).pw_name

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="culvert-bench-")
        self.stack = contextlib.ExitStack()
        self.stack.callback(shutil.rmtree, self.dir, ignore_errors=True)
        try:
            self.start()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *_):
        self.stack.close()

    def path(self, name):
        return os.path.join(self.dir, name)

    def start(self):
        for name in ("host", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(name)], check=True)
        shutil.copy(self.path("key.pub"), self.path("authorized"))
        self.port = free_port()
        with open(self.path("host.pub"), encoding="ascii") as file:
            write(self.path("known"), f"[{self.address}]:{self.port} {file.read()}")
        write(self.path("sshd_config"), "\n".join([
            f"ListenAddress {self.address}", f"Port {self.port}", f"HostKey {self.path('host')}", "UsePAM no",
            f"AuthorizedKeysFile {self.path('authorized')}", "StrictModes no", "PermitRootLogin prohibit-password",
            "PidFile none", *self.options, "LogLevel ERROR"]) + "\n")
        write(self.path("config"), "\n".join([
            "Host bench", f"  HostName {self.address}", f"  Port {self.port}", f"  User {self.user}",
            f"  IdentityFile {self.path('key')}", "  IdentitiesOnly yes", f"  UserKnownHostsFile {self.path('known')}",
            "  GlobalKnownHostsFile /dev/null", "  StrictHostKeyChecking yes"]) + "\n")
        if os.getuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        command = [*self.there, SSHD, "-D", "-e", "-f", self.path("sshd_config")]
        self.stack.enter_context(running(command, self.path("sshd.log")))
        deadline = time.monotonic() + 10
        while subprocess.run([*self.here, "ssh", "-F", self.path("config"), "-o", "ConnectTimeout=3", "bench", "true"],
                             stdin=subprocess.DEVNULL, capture_output=True).returncode != 0:
            if time.monotonic() > deadline:
                with open(self.path("sshd.log"), encoding="utf-8", errors="replace") as log:
                    raise RuntimeError(f"sshd lets nobody in: {log.read()[-600:]}")
            time.sleep(0.05)

    def serve(self, bench):
        """The port of a transfer server on the far side."""
        process = subprocess.Popen([*self.there, bench.program("transfer"), "serve"], stdout=subprocess.PIPE)
        self.stack.callback(process.wait)
        self.stack.callback(process.terminate)
        return int(process.stdout.readline())

    @contextlib.contextmanager
    def ssh(self, port):
        """ssh -L; yields the local port."""
        local = free_port()
        with running([*self.here, "ssh", "-F", self.path("config"), "-N", "-L", f"127.0.0.1:{local}:127.0.0.1:{port}",
                      "-o", "ExitOnForwardFailure=yes", "bench"], self.path("ssh.log")) as process:
            self.wait_local(local, process, "ssh.log")
            yield local

    @contextlib.contextmanager
    def culvert(self, bench, port, way, bridge="/nonexistent/culvert"):
        """culvert tunnel up; yields the local port once the status names the way."""
        local, state = free_port(), self.path("state")
        os.makedirs(state, mode=0o700, exist_ok=True)
        environment = {"PATH": os.environ["PATH"], "HOME": self.dir, "CULVERT_STATE_DIR": state}
        command = [*self.here, bench.culvert, "tunnel", "up", "bench", "-F", self.path("config"), "--listen",
                   f"127.0.0.1:{local}", "--gateway-port", str(port), "--culvert", bridge]
        with running(command, self.path("up.log"), env=environment) as process:
            self.wait_local(local, process, "up.log")
            self.wait_way(bench, way, environment)
            yield local

    def wait_way(self, bench, way, environment):
        deadline = time.monotonic() + 20
        while True:
            run = subprocess.run([bench.culvert, "tunnel", "status", "--json"], env=environment, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
            if f'"{way}"' in run.stdout and '"up"' in run.stdout:
                return
            if time.monotonic() > deadline:
                with open(self.path("up.log"), encoding="utf-8", errors="replace") as log:
                    raise RuntimeError(f"the tunnel did not come up by way {way}: {log.read()[-600:].strip()}".replace("\n", "; "))
            time.sleep(0.05)

    def wait_local(self, port, process, log):
        if not self.here:
            wait_port("127.0.0.1", port, process, self.path(log))
            return
        deadline = time.monotonic() + 30
        probe = f"import socket; socket.create_connection(('127.0.0.1', {port}), 1)"
        while subprocess.run([*self.here, "python3", "-c", probe], capture_output=True).returncode != 0:
            if process.poll() is not None or time.monotonic() > deadline:
                with open(self.path(log), encoding="utf-8", errors="replace") as file:
                    raise RuntimeError(f"no listener: {file.read()[-600:]}")
            time.sleep(0.05)
