"""Hosts that the test makes itself: each has network, mounts, process ids, /etc, /run and users of its own, so that
sshd, gateways and clients run as on machines of their own and this one is not changed.

    with World() as world:
        gate, laptop = world.host("gate"), world.host("laptop")
        line = world.line(laptop, "10.8.0.2/24", gate, "10.8.0.1/24")     # tests/tool/link: delay, loss, drop
        gate.user("alice")
        done = laptop.run(["ping", "-c", "1", "10.8.0.1"])
        line.set(delay=50)

A host lives as long as its first process, which dies with the test, however that ends; the kernel then ends
every other process there and the devices with it. Only the scratch folder may outlive a test that is killed: the
next one sweeps it. Needs root, or a user namespace that maps more than one user; else the test is skipped.
"""
import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("CULVERT_BUILD", os.path.join(TOP, "build/asan"))
CULVERT = os.environ.get("CULVERT_BIN", os.path.join(BUILD, "culvert"))
LINK = os.path.join(BUILD, "tool/link")
LONG = os.environ.get("CULVERT_LONG") == "1" or "--long" in sys.argv
SCRATCH = "culvert-net-"
WAIT_S = 30
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CULVERT_FOLDER = "/run/bin"  # in every host; on PATH where a test wants it

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
NEW = {"mnt": 0x00020000, "uts": 0x04000000, "ipc": 0x08000000, "pid": 0x20000000, "net": 0x40000000}
MS_BIND, MS_REC, MS_PRIVATE, PR_SET_PDEATHSIG = 4096, 16384, 1 << 18, 1


# ---- checks ----

class Checks:
    passed, failed, skipped, started = 0, [], [], time.monotonic()


def say(text):
    print(f"[{time.monotonic() - Checks.started:6.1f} s] {text}", flush=True)


def check(what, ok, seen=""):
    """One expectation; a failed one is told and the run goes on."""
    if ok:
        Checks.passed += 1
        return True
    Checks.failed.append(what)
    say(f"FAILED {what}\n     {str(seen() if callable(seen) else seen).strip()[-3000:]}")
    return False


def skip(what, why):
    Checks.skipped.append(what)
    say(f"SKIP {what}: {why}")


def skip_all(why):
    print(f"skipped: {why}", flush=True)
    sys.exit(77)


def finish():
    say(f"{Checks.passed} passed, {len(Checks.failed)} failed, {len(Checks.skipped)} skipped")
    sys.exit(1 if Checks.failed else 77 if not Checks.passed else 0)


def until(what, test, limit=WAIT_S, every=0.02):
    """Waits for something to become true, and gives it back; says what it waited for when it does not."""
    end = time.monotonic() + limit
    while True:
        value = test()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"waited {limit} s for {what}")
        time.sleep(every)


def need(*programs):
    """Skips the whole test where a program is not installed."""
    missing = [p for p in programs if not shutil.which(p, path=PATH + ":" + os.environ.get("PATH", ""))]
    if missing:
        skip_all(f"{', '.join(missing)}: not installed; deploy/test installs what the tests need")


def environment(**more):
    """What our programs need to know of the sanitizers, and nothing of who runs the test."""
    keep = {k: v for k, v in os.environ.items() if k in ("LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")}
    return {**keep, "OLLAMA_HOST": "127.0.0.1:1", "PATH": f"{CULVERT_FOLDER}:{PATH}", **more}


# ---- the world ----

class World:
    """Hosts and what is between them. Leaving it ends every process in it; logs are kept when a check failed."""

    def __init__(self):
        enter_user_namespace()
        need("ip", "nft", "ssh", "sshd")
        if not os.path.exists(LINK):
            skip_all(f"{LINK} is not built")
        if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
            skip_all("/dev/net/tun is not there: a line between two hosts cannot be made")
        sweep()
        self.folder = tempfile.mkdtemp(prefix=f"{SCRATCH}{os.getpid()}-")
        os.chmod(self.folder, 0o755)
        self.hosts, self.stops = [], []

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind and not issubclass(kind, (SystemExit, KeyboardInterrupt)):
            Checks.failed.append(f"{kind.__name__}: {value}")
        for stop in reversed(self.stops):
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                stop()
        for host in self.hosts:
            host.end()
        if Checks.failed:
            print(f"logs kept in {self.folder}", flush=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def at_end(self, stop):
        self.stops.append(stop)

    def host(self, name):
        host = Host(self, name)
        self.hosts.append(host)
        return host

    def line(self, a, a_address, b, b_address, **settings):
        """A line of tests/tool/link between two hosts; each has it as a device of the other's name."""
        return Line(self, a, a_address, b, b_address, settings)

    def cable(self, a, a_address, b, b_address):
        """A line that is never bad (veth)."""
        run("ip", "link", "add", b.name, "netns", str(a.pid), "type", "veth", "peer", "name", a.name, "netns", str(b.pid))
        a.address(b.name, a_address)
        b.address(a.name, b_address)


def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, env={"PATH": PATH})
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def sweep():
    """Scratch folders of tests that were killed."""
    for name in os.listdir(tempfile.gettempdir()):
        found = re.match(rf"{SCRATCH}(\d+)-", name)
        if found and not os.path.exists(f"/proc/{found[1]}"):
            folder = os.path.join(tempfile.gettempdir(), name)
            if time.time() - os.stat(folder).st_mtime > 3600:  # kept logs are for a person to read
                shutil.rmtree(folder, ignore_errors=True)


def enter_user_namespace():
    """As root nothing; else the test starts again as root of a user namespace, or is skipped."""
    if os.geteuid() == 0:
        return
    again = ["unshare", "--map-root-user", "--map-auto"]
    if subprocess.run([*again, "--net", "ip", "tuntap", "add", "probe", "mode", "tun"], capture_output=True).returncode:
        skip_all("not root, and no user namespace with several users and tun devices may be made here")
    os.execvp(again[0], [*again, sys.executable, "-B", *sys.argv])


# ---- a host ----

class Host:
    """A machine: its folder on disk, its first process, its users."""

    def __init__(self, world, name):
        self.world, self.name = world, name
        self.folder = os.path.join(world.folder, name)
        os.mkdir(self.folder, 0o755)
        self.users = {"root": User("root", 0, self.home_of("root"))}
        self.processes_started = 0
        self.guard, self.pid = start_first_process(self)
        self.spaces = [os.open(f"/proc/{self.pid}/ns/{space}", os.O_RDONLY | os.O_CLOEXEC) for space in NEW]
        self.write_users()
        self.run_ok(["ip", "link", "set", "lo", "up"])

    def home_of(self, name, uid=0):
        home = os.path.join(self.folder, name)
        os.mkdir(home, 0o700)
        os.chown(home, uid, uid)
        return home

    def user(self, name, password=None):
        """A person with an account here. Ids differ from the machine's own users; the same name has the same id
        on every host."""
        uid = 4100 + sum(name.encode()) % 800
        self.users[name] = User(name, uid, self.home_of(name, uid), password)
        self.write_users()
        return self.users[name]

    def write_users(self):
        """sshd and getpwnam see these and the machine's system accounts (sshd's own among them)."""
        system = [line for line in open("/etc/passwd") if re.match(r"(sshd|nobody|_?apt|daemon):", line)]
        if not any(line.startswith("sshd:") for line in system):
            system.append("sshd:x:4099:65534::/run/sshd:/usr/sbin/nologin\n")
        mine = self.users.values()
        files = {
            "passwd": "".join([f"{u.name}:x:{u.uid}:{u.uid}::{u.home}:/bin/sh\n" for u in mine] + system),
            "group": "".join(f"{u.name}:x:{u.uid}:\n" for u in mine) + "nogroup:x:65534:\nsshd:x:4099:\n",
            "shadow": "".join(f"{u.name}:{u.hash}:19000:0:99999:7:::\n" for u in mine),
            "hosts": "127.0.0.1 localhost\n::1 localhost\n" + "".join(
                f"{address.split('/')[0]} {host.name}\n" for host in self.world.hosts for address in host.addresses()),
            "resolv.conf": "", "hostname": self.name + "\n", "nsswitch.conf": "passwd: files\nshadow: files\ngroup: files\nhosts: files\n",
        }
        for name, text in files.items():
            self.write(f"/etc/{name}", text, 0o640 if name == "shadow" else 0o644)

    def write(self, path, text, mode=0o600, user="root"):
        """A file as this host sees it, whole at once."""
        path = f"/proc/{self.pid}/root{path}"
        with open(os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
            os.fchmod(file.fileno(), mode)
            os.fchown(file.fileno(), self.users[user].uid, self.users[user].uid)
            file.write(text)
        os.rename(f"{path}.new", path)

    def read(self, path):
        with open(f"/proc/{self.pid}/root{path}", errors="replace") as file:
            return file.read()

    def addresses(self):
        return getattr(self, "_addresses", [])

    def address(self, device, address, up=True):
        """Gives an address to a device; the first ones are known to all hosts by this host's name."""
        self._addresses = [*self.addresses(), address]
        self.run_ok(["ip", "addr", "add", address, "dev", device])
        if up:
            self.run_ok(["ip", "link", "set", device, "up"])
        for host in self.world.hosts:
            host.write_users()

    def start(self, argv, user="root", env=None, name=None, stdin=subprocess.DEVNULL, stdout=None, cwd=None):
        """A program that runs until it is stopped; what it prints is in .output()."""
        return Process(self, argv, self.users[user], env, name, stdin, stdout, cwd)

    def run(self, argv, user="root", env=None, stdin="", timeout=WAIT_S, cwd=None):
        """One program to its end."""
        process = self.start(argv, user, env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=cwd)
        began = time.monotonic()
        try:
            out, err = process.popen.communicate(stdin.encode() if isinstance(stdin, str) else stdin, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.popen.communicate()
            err += f"\n(stopped after {timeout} s)".encode()
        return Done(argv, process.popen.returncode, out, err, time.monotonic() - began)

    def run_ok(self, argv, **options):
        done = self.run(argv, **options)
        if done.status:
            raise RuntimeError(f"{self.name}: {' '.join(argv)}: status {done.status}: {done.err.strip() or done.out.strip()}")
        return done.out

    def processes(self, *names):
        """(pid, argv) of what runs here, or only of programs of these names (a prefix of their title)."""
        mine, found = os.stat(f"/proc/{self.pid}/ns/pid").st_ino, []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{pid}/ns/pid").st_ino != mine or int(pid) in (self.pid, self.guard):
                    continue
                argv = open(f"/proc/{pid}/cmdline", errors="replace").read().strip("\0").split("\0")
                if argv != [""] and (not names or os.path.basename(argv[0]).startswith(names)):
                    found.append((int(pid), argv))
        return found

    def nft(self, rules):
        """Replaces all packet rules."""
        self.run_ok(["nft", "-f", "-"], stdin="flush ruleset\n" + rules)

    def listens(self, port):
        return f":{port} " in self.run_ok(["ss", "-Hltn"])

    def end(self):
        os.kill(self.pid, signal.SIGKILL)  # the kernel ends the rest before it is gone, and the guard has waited for it
        os.waitpid(self.guard, 0)
        for space in self.spaces:
            os.close(space)


class User:
    def __init__(self, name, uid, home, password=None):
        self.name, self.uid, self.home = name, uid, home
        self.hash = "*"
        if password:
            self.hash = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=password, capture_output=True, text=True,
                                       check=True).stdout.strip()


class Done:
    """A command that ended."""

    def __init__(self, argv, status, out, err, seconds):
        self.argv, self.status, self.seconds = argv, status, seconds
        self.out, self.err = out.decode(errors="replace"), err.decode(errors="replace")

    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return f"{' '.join(map(str, self.argv))}: status {self.status} after {self.seconds:.1f} s\n{self.out}{self.err}"


class Process:
    """A process in a host; `pid` is its own id as seen from here, and all that is ever signalled."""

    def __init__(self, host, argv, user, env, name, stdin, stdout, cwd):
        host.processes_started += 1
        self.host, self.argv, self.name = host, argv, name or os.path.basename(argv[0])
        self.log = os.path.join(host.folder, f"{host.processes_started:03d}-{self.name}.log")
        told, tell = os.pipe()
        log = subprocess.PIPE if stdout == subprocess.PIPE else open(self.log, "wb")
        base = environment(HOME=user.home, USER=user.name, LOGNAME=user.name)
        self.popen = subprocess.Popen(argv, stdin=stdin, stdout=log, stderr=log, env={**base, **(env or {})}, start_new_session=True,
                                      preexec_fn=lambda: enter(host, user, cwd or user.home, tell))
        os.close(tell)
        self.pid = int(os.read(told, 32))
        os.close(told)
        if stdout != subprocess.PIPE:
            log.close()
            if not os.path.getsize(self.log) and self.popen.poll() is not None:
                os.unlink(self.log)

    def kill(self, number=signal.SIGKILL):
        if self.popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def running(self):
        return self.popen.poll() is None

    def stop(self, number=signal.SIGTERM, timeout=WAIT_S):
        """Its status; negative: the signal that ended it."""
        self.kill(number)
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            self.popen.wait(5)
            return None

    def output(self):
        try:
            return open(self.log, errors="replace").read()
        except FileNotFoundError:
            return ""

    def wait_output(self, text, limit=WAIT_S):
        def seen():
            if text in self.output():
                return True
            if not self.running():
                raise RuntimeError(f"{self.name} ended ({self.popen.returncode}):\n{self.output()[-3000:]}")
            return False
        return until(f"{self.name} to say {text!r}", seen, limit)


@contextlib.contextmanager
def asleep(pid):
    """The process does not run, and is told nothing, neither before nor after: as a laptop that sleeps. (A stopped one hears of
    SIGCONT.)"""
    PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000
    threads = [int(thread) for thread in os.listdir(f"/proc/{pid}/task")]
    for thread in threads:
        must(libc.ptrace(PTRACE_SEIZE, thread, None, None), "ptrace")
        must(libc.ptrace(PTRACE_INTERRUPT, thread, None, None), "ptrace")
        os.waitpid(thread, WALL)
    try:
        yield
    finally:
        for thread in threads:
            libc.ptrace(PTRACE_DETACH, thread, None, None)


def enter(host, user, folder, tell):
    """Between fork and exec: into the host's namespaces. A process becomes a member of a process-id namespace only by
    being born there, so this one stays as its parent and passes on how it ended."""
    for space in host.spaces:
        if libc.setns(space, 0):
            os._exit(126)
    pid = os.fork()
    if pid:
        os.write(tell, str(pid).encode())
        os.closerange(0, 1 << 20)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status < 0:
            signal.signal(-status, signal.SIG_DFL) if -status not in (signal.SIGKILL, signal.SIGSTOP) else None
            os.kill(os.getpid(), -status)
        os._exit(max(status, 0))
    os.setgroups([])
    os.setgid(user.uid)
    os.setuid(user.uid)
    os.chdir(folder)


# ---- the first process of a host ----

def start_first_process(host):
    """(guard, first process): the guard dies with us, the first process with the guard, the host with it."""
    ready, tell = os.pipe()
    us = os.getpid()
    guard = os.fork()
    if guard == 0:
        try:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != us:
                os._exit(1)
            os.setsid()
            must(libc.unshare(sum(NEW.values())), "unshare")
            first = os.fork()
            if first == 0:
                be_first_process(host, ready, tell)
            os.write(tell, f"{first}\n".encode())
            os.close(tell)
            os.closerange(3, 1 << 20)
            os.waitpid(first, 0)
        except BaseException as error:  # told through the pipe; there is nobody above
            os.write(tell, f"error {error}\n".encode())
        os._exit(0)
    os.close(tell)
    with os.fdopen(ready) as told:
        words = told.read().split("\n")
    first = [word for word in words if word.isdigit()]
    if "ready" not in words or not first:
        skip_all(f"no host can be made here: {' '.join(words)}")
    return guard, int(first[0])


def be_first_process(host, ready, tell):
    try:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.close(ready)
        mount(None, "/", None, MS_REC | MS_PRIVATE)
        mount("proc", "/proc", "proc")
        private_etc(host)
        mount("tmpfs", "/run", "tmpfs", 0, "mode=755")
        for folder in ("/run/sshd", "/run/lock", CULVERT_FOLDER):
            os.mkdir(folder, 0o755)
        open(f"{CULVERT_FOLDER}/culvert", "w").close()
        mount(CULVERT, f"{CULVERT_FOLDER}/culvert", None, MS_BIND)
        name = host.name.encode()
        must(libc.sethostname(name, len(name)), "sethostname")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.write(tell, b"ready\n")
        os.closerange(3, 1 << 20)
        while True:  # whoever loses their parent here becomes our child
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                time.sleep(0.1)
    except BaseException as error:
        os.write(tell, f"error {error}\n".encode())
        os._exit(1)


def private_etc(host):
    """The machine's /etc, where what is written stays in this host."""
    upper = os.path.join(host.folder, "etc")
    os.mkdir(upper)
    mount("tmpfs", upper, "tmpfs", 0, "mode=755")
    for folder in ("upper", "work"):
        os.mkdir(os.path.join(upper, folder), 0o755)
    mount("overlay", "/etc", "overlay", 0, f"lowerdir=/etc,upperdir={upper}/upper,workdir={upper}/work")


def mount(what, where, kind, flags=0, options=None):
    words = [None if w is None else w.encode() for w in (what, where, kind, options)]
    must(libc.mount(words[0], words[1], words[2], flags, words[3]), f"mount {where}")


def must(result, what):
    if result:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


# ---- a bad line ----

def prefer():
    """The line is the world's clock: it goes before what it carries, where that is allowed."""
    with contextlib.suppress(OSError):
        os.nice(-5)


class Line:
    """tests/tool/link between two hosts."""

    def __init__(self, world, a, a_address, b, b_address, settings):
        options = settings.pop("options", [])
        self.process = subprocess.Popen([LINK, *options, f"{a.pid}:{b.name}", f"{b.pid}:{a.name}"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=prefer)
        world.at_end(self.close)
        self.expect("ready")
        self.ends = [(a, b.name), (b, a.name)]
        a.address(b.name, a_address)
        b.address(a.name, b_address)
        self.set(**settings)

    def expect(self, wanted):
        told = self.process.stdout.readline().strip()
        if told != wanted:
            raise RuntimeError(f"link: {told or self.process.poll()}")

    def set(self, direction="", **settings):
        """delay=MS, jitter=MS, loss=PERCENT, rate=BYTES_PER_SECOND, queue=BYTES, drop=bool; direction up: a to b, or down."""
        for name, value in settings.items():
            value = {True: "on", False: "off"}.get(value, value) if name == "drop" else value
            self.tell(f"{direction} {name} {value}")
            self.expect("ok")

    def stats(self):
        self.tell("stats")
        return json.loads(self.process.stdout.readline())

    def tell(self, text):
        self.process.stdin.write(text.strip() + "\n")
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        self.process.wait(5)
