"""Two network namespaces and a line between them (tests/tool/link.c) with a round-trip time that can be set."""
import contextlib
import os
import subprocess

THERE, HERE = "10.177.0.1", "10.177.0.2"


def needs_root():
    if os.getuid() != 0 or not os.path.exists("/dev/net/tun"):
        raise RuntimeError("needs root and /dev/net/tun, for network namespaces")


@contextlib.contextmanager
def namespace():
    """The pid of a process that holds a network namespace with its loopback up."""
    process = subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link set lo up && echo ready && exec sleep 100000"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("no network namespace can be made here")
        yield process.pid
    finally:
        process.kill()
        process.wait()


def inside(pid):
    return ["nsenter", "-t", str(pid), "-n"]


class Line:
    def __init__(self, process):
        self.process = process

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer != "ok":
            raise RuntimeError(f"line: {command}: {answer}")

    def send_buffer(self, prefix, most):
        """What TCP may hold on the far host: poll() lets a sender have two thirds of it under way."""
        subprocess.run([*prefix, "sysctl", "-qw", f"net.ipv4.tcp_wmem=4096 16384 {most}"], check=True)

    def round_trip(self, milliseconds):
        self.tell(f"delay {milliseconds / 2:g}")


@contextlib.contextmanager
def line(bench):
    """(line, prefix there, prefix here)"""
    needs_root()
    with namespace() as there, namespace() as here:
        process = subprocess.Popen([bench.program("delay_line"), f"{there}:line0", f"{here}:line1"], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            if process.stdout.readline().strip() != "ready":
                raise RuntimeError("the line did not start")
            for pid, device, address in ((there, "line0", THERE), (here, "line1", HERE)):
                subprocess.run([*inside(pid), "ip", "addr", "add", f"{address}/24", "dev", device], check=True)
                subprocess.run([*inside(pid), "ip", "link", "set", device, "up"], check=True)
            yield Line(process), inside(there), inside(here)
        finally:
            process.stdin.close()
            process.wait()
