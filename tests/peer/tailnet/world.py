"""A tailnet of this test's own: headscale and tailscaled with userspace networking. The gateway's host is a network namespace,
which has headscale too; every other node has one, so that its loopback is its own; a bridge joins them and leads nowhere else.
With a kernel interface tailscaled sees to names and firewall: it is told not to, and has a resolv.conf of its own in any case."""
import http.client
import json
import os
import socket
import subprocess
import sys
import time

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
BIN = os.path.join(TOP, ".cache/go/bin")
CONTROL, DERP = 28080, 23478
SUFFIX = "tail.test"
HOST = "10.77.0.1"


def ip(*commands):
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True)


def enter():
    """Runs this program again in a namespace of its own. False: not possible here."""
    if os.environ.get("TAILNET_WORLD"):
        # tailscaled takes a machine without a way out to be offline.
        ip("link set lo up", "link add ways type bridge", f"addr add {HOST}/24 dev ways", "link set ways up",
           "route add default via 10.77.0.254")
        return True
    for way in (["unshare", "-nm"], ["unshare", "-rnm"]):
        if subprocess.run([*way, "ip", "link", "add", "ways", "type", "bridge"], capture_output=True).returncode == 0:
            os.environ["TAILNET_WORLD"] = "1"
            os.execvp("unshare", [*way, sys.executable, "-B", *sys.argv])
    return False


def until(true, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.1)
    return False


class Program:
    def __init__(self, home, name, command, **env):
        self.log_path = os.path.join(home, name + ".log")
        self.log = open(self.log_path, "a")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
                                        env={**os.environ, **env})

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Api(http.client.HTTPConnection):
    """LocalAPI as it stands: one answer per call."""

    def __init__(self, path):
        super().__init__("local-tailscaled.sock", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


def ask(path, method, door, body=None, **headers):
    """(status, content type, text, etag)"""
    api = Api(path)
    try:
        api.request(method, "/localapi/v0/" + door, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = api.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read().decode(), answer.getheader("Etag")
    finally:
        api.close()


# In a node's namespace: wait for its cable, then become tailscaled.
SETUP = """until ip link set way up 2>/dev/null; do sleep 0.05; done
ip link set lo up; ip addr add "$0/24" dev way; ip route add default via 10.77.0.254; exec "$@" """


class Node:
    """One machine of the tailnet: its tailscaled."""

    def __init__(self, world, name, key):
        self.world, self.name, self.home = world, name, os.path.join(world.home, name)
        self.socket = os.path.join(self.home, "tailscaled.sock")
        self.number, self.tun = len(world.nodes) + 1, "userspace-networking"
        os.mkdir(self.home)
        self.start()
        done = self.tailscale("up", "--login-server", f"http://{HOST}:{CONTROL}", "--authkey", key, "--hostname", name,
                              "--timeout", "30s", "--accept-dns=false", "--netfilter-mode=off")
        if done.returncode:
            raise RuntimeError(f"{name} does not come up: {done.stderr}\n{open(self.program.log_path).read()[-2000:]}")

    def start(self):
        command = [os.path.join(BIN, "tailscaled"), f"--tun={self.tun}", f"--socket={self.socket}",
                   f"--statedir={self.home}", "--no-logs-no-support", "--port=0"]
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        if self.number > 1:
            command = ["unshare", "-n", "sh", "-c", SETUP, f"10.77.0.{self.number}", *command]
        self.program = Program(self.world.home, self.name, command, TS_DEBUG_USE_DERP_HTTP="1")
        if self.number > 1:
            self.join()
        if not until(lambda: os.path.exists(self.socket)):
            raise RuntimeError(open(self.program.log_path).read()[-2000:])

    def join(self):
        """A cable from its namespace, once that is there, to the bridge."""
        pid, port = self.program.process.pid, f"way{self.number}"
        until(lambda: os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net"))
        subprocess.run(["ip", "link", "del", port], capture_output=True)  # of a namespace that is going
        ip(f"link add {port} type veth peer name way netns {pid}", f"link set {port} master ways", f"link set {port} up")

    def restart(self, tun=None):
        self.program.stop()
        self.tun = tun or self.tun
        self.start()
        return until(lambda: self.status()["BackendState"] == "Running")

    def log(self):
        return open(self.program.log_path, errors="replace").read()

    def inside(self, *command):
        """The command in this node's namespace."""
        return (["nsenter", "-t", str(self.program.process.pid), "-n"] if self.number > 1 else []) + list(command)

    def tailscale(self, *args, timeout=60):
        return subprocess.run([os.path.join(BIN, "tailscale"), f"--socket={self.socket}", *args], capture_output=True, text=True,
                              timeout=timeout, stdin=subprocess.DEVNULL)

    def status(self):
        return json.loads(ask(self.socket, "GET", "status")[2])


class World:
    def __init__(self, home, policy):
        self.home, self.nodes = home, {}
        subprocess.run(["mount", "--bind", self.write("resolv.conf", ""), "/etc/resolv.conf"], check=True)
        self.write("policy.json", json.dumps(policy))
        self.config = self.write("headscale.yaml", json.dumps(self.settings()))
        self.headscale = Program(home, "headscale", [os.path.join(BIN, "headscale"), "-c", self.config, "serve"])
        if not until(lambda: os.path.exists(os.path.join(home, "headscale.sock"))):
            raise RuntimeError("headscale did not start:\n" + open(self.headscale.log_path).read()[-2000:])

    def settings(self):
        at = lambda name: os.path.join(self.home, name)  # noqa: E731
        return {
            "server_url": f"http://{HOST}:{CONTROL}", "listen_addr": f"{HOST}:{CONTROL}", "metrics_listen_addr": "",
            "grpc_listen_addr": "127.0.0.1:28443", "grpc_allow_insecure": True, "noise": {"private_key_path": at("noise.key")},
            "prefixes": {"v4": "100.64.0.0/10", "v6": "fd7a:115c:a1e0::/48", "allocation": "sequential"},
            "derp": {"server": {"enabled": True, "region_id": 999, "region_code": "test", "region_name": "test",
                                "verify_clients": False, "stun_listen_addr": f"{HOST}:{DERP}", "private_key_path": at("derp.key"),
                                "automatically_add_embedded_derp_region": True, "ipv4": HOST},
                     "urls": [], "paths": [], "auto_update_enabled": False},
            "disable_check_updates": True, "database": {"type": "sqlite", "sqlite": {"path": at("headscale.db")}},
            "log": {"level": "info"}, "policy": {"mode": "file", "path": at("policy.json")},
            "dns": {"magic_dns": True, "base_domain": SUFFIX, "override_local_dns": False, "nameservers": {"global": []}},
            "unix_socket": at("headscale.sock"), "logtail": {"enabled": False},
        }

    def write(self, name, text):
        path = os.path.join(self.home, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def control(self, *args):
        done = subprocess.run([os.path.join(BIN, "headscale"), "-c", self.config, *args, "-o", "json"], capture_output=True, text=True,
                              timeout=60)
        if done.returncode:
            raise RuntimeError(f"headscale {' '.join(args)}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def add_user(self, name):
        return str(self.control("users", "create", name)["id"])

    def add_node(self, name, user, tags=None):
        key = self.control("preauthkeys", "create", "-u", user, *(["--tags", tags] if tags else []))["key"]
        self.nodes[name] = Node(self, name, key)
        return self.nodes[name]

    def stop(self):
        for node in self.nodes.values():
            node.program.stop()
        self.headscale.stop()
