"""Runs the real `culvert` as a person would: scratch homes, real sockets, everything stopped by its id."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

CULVERT = os.environ["CULVERT_BIN"]
TOKEN = "command-test-token"
WAIT_S = 20
failures, passed, skipped = [], 0, []


def check(what, ok, seen=""):
    """One expectation; a failed one is told and the run goes on."""
    global passed
    if ok:
        passed += 1
        return True
    failures.append(what)
    print(f"FAIL {what}\n     {str(seen).strip()[:1500]}", flush=True)
    return False


def skip(what, why):
    skipped.append(what)
    print(f"SKIP {what}: {why}", flush=True)


def finish():
    print(f"{passed} passed, {len(failures)} failed, {len(skipped)} skipped", flush=True)
    sys.exit(1 if failures else 77 if not passed else 0)


def environment(home, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CULVERT_", "OPENCLAW_"))}
    return {**env, "HOME": home, "CULVERT_STATE_DIR": os.path.join(home, "state"), **more}


@contextlib.contextmanager
def scratch():
    folder = tempfile.mkdtemp(prefix="culvert-command-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(home, *args, env=None, stdin=subprocess.DEVNULL, timeout=WAIT_S, user=None):
    """One command to its end: (status, stdout, stderr)."""
    done = subprocess.run([CULVERT, *args], env=env or environment(home), stdin=stdin, capture_output=True, text=True,
                          timeout=timeout, user=user, errors="replace")
    return done.returncode, done.stdout, done.stderr


class Gateway:
    """A running gateway; `with` stops it and checks that it left well."""

    def __init__(self, home, *args, env=None, config=None, token=True, prefix=()):
        self.home, self.state = home, os.path.join(home, "state")
        os.makedirs(self.state, mode=0o700, exist_ok=True)
        if config is not None:
            write(os.path.join(self.state, "culvert.json"), config)
        command = [*prefix, CULVERT, "gateway", "--port", "0", *args, *(["--token", TOKEN] if token else [])]
        self.log = open(os.path.join(home, "gateway.log"), "w+")
        self.process = subprocess.Popen(command, env=env or environment(home), stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=subprocess.STDOUT)
        self.port = self.wait_ready()

    def wait_ready(self):
        lock, until = os.path.join(self.state, "gateway.lock"), time.monotonic() + WAIT_S
        while time.monotonic() < until and self.process.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                told = json.load(open(lock))
                if told["pid"] == self.process.pid and "Other clients:" in self.output():  # from here on signals are heard
                    return told["port"]
            time.sleep(0.01)
        raise RuntimeError(f"the gateway did not start:\n{self.output()}")

    def output(self):
        self.log.flush()
        return open(self.log.name, errors="replace").read()

    def wait_output(self, text):
        until = time.monotonic() + WAIT_S
        while text not in self.output() and time.monotonic() < until:
            time.sleep(0.01)
        return text in self.output()

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(timeout=WAIT_S)
        self.log.close()
        return status

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        status = self.stop()
        check("the gateway leaves with status 0 when told to stop", status == 0, f"{status}\n{open(self.log.name).read()[-3000:]}")


def write(path, text, mode=0o600):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)
