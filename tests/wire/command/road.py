"""What a person meets on the way to a gateway behind ssh: refusals, questions, and --url ssh:// for any command."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import kit
import sshd
from kit import TOKEN, check, environment, run, write
from tunnel import BIN, at_terminal, left_behind, world


def refused():
    """What only a person can mend ends it, when it is met first."""
    with world() as (home, gateway, host):
        known = host.path("known_hosts")
        mine = open(known).read()
        args = ["tunnel", "up", "gate", "--listen", "127.0.0.1:0"]
        os.unlink(known)
        code, out, err = run(home, *args)
        check("an unknown host: status 4 and --accept-new", code == 4 and "--accept-new" in err, f"{code} {out} {err}")
        code, _, err = run(home, "health", "--url", "ssh://gate")
        check("the same with --url", code == 4 and "--accept-new" in err, f"{code} {err}")
        code, _, err = run(home, "health", "--url", "ssh://gate", "--token", TOKEN, "--accept-new")
        check("--accept-new takes and keeps it", code == 4 and "devices approve" in err and open(known).read().strip(), f"{code} {err}")
        host.make_key("other")
        write(known, mine.rsplit(" ", 1)[0] + " " + open(host.path("other.pub")).read().split()[1] + "\n")
        code, _, err = run(home, *args, "--accept-new")
        check("a changed key: status 4 all the same", code == 4 and "key" in err, f"{code} {err}")
        write(known, mine)
        write(host.path("authorized_keys"), "")
        code, _, err = run(home, *args)
        check("nobody lets us in: status 4 and what to do", code == 4 and "authorized_keys" in err, f"{code} {err}")
        check("nothing stays behind", not left_behind(home), left_behind(home))
        code, _, err = run(home, "health", "--url", "ssh://gate")
        check("the same with --url", code == 4 and "authorized_keys" in err and not left_behind(home), f"{code} {err}")


def by_url():
    with world() as (home, gateway, host):
        env = environment(home)
        code, _, err = run(home, "health", "--url", "ssh://gate", "--token", TOKEN)
        check("--url ssh:// has to pair as well", code == 4 and "devices approve" in err, f"{code} {err}")
        run(gateway.home, "devices", "approve", re.search(r"devices approve (\S+)", err)[1])
        code, out, err = run(home, "health", "--url", "ssh://gate", "--token", TOKEN)
        check("then it answers", code == 0 and "ok" in out and not err, f"{code} {out} {err}")
        code, out, err = run(home, "status", "--json", "--url", "ssh://gate/")
        check("from then on without a token, by the device's own", code == 0 and json.loads(out)["runtimeVersion"], f"{code} {out} {err}")
        os.makedirs(f"{home}/run", mode=0o700)
        code, _, err = run(home, "health", "--url", "ssh://gate", env={**env, "XDG_RUNTIME_DIR": f"{home}/{'long' * 20}"})
        check("a runtime folder that is of no use is passed over", code == 0, f"{code} {err}")
        code, _, err = run(home, "health", "--url", "ssh://gate", env={**env, "XDG_RUNTIME_DIR": f"{home}/run"})
        check("no socket and no folder stays behind", code == 0 and not left_behind(home), left_behind(home))
        two = open(host.config).read().replace("Host gate", "Host other")
        write(f"{home}/.ssh/config", open(host.config).read() + two)
        code, _, err = run(home, "health", "--url", "ssh://other")
        check("a token is for the gateway it came from", code == 4 and "of its own" in err and "--token-file" in err, f"{code} {err}")
        code, _, err = run(home, "health", "--url", "ssh://gate", "--token", "of-another-gateway")
        check("a wrong token is told in this program's words", code == 4 and "not that gateway's" in err and "remote.token" not in err, f"{code} {err}")
        follower = subprocess.Popen([kit.CULVERT, "logs", "-f", "--url", "ssh://gate"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        check("a command that goes on", "culvert" in follower.stdout.readline())
        host.cut()
        _, err = follower.communicate(timeout=kit.WAIT_S)
        check("… ends with the tunnel: status 3 and why", follower.returncode == 3 and "the way to ssh://gate was lost" in err, f"{follower.returncode} {err}")
        gone_and_silent(home, host)


def without_culvert_there():
    with world(path="/usr/bin:/bin") as (home, gateway, host):
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            closed = nobody.getsockname()[1]
        at = ["health", "--url", "ssh://gate", "--token", TOKEN, "--gateway-port"]
        code, _, err = run(home, *at, str(closed))
        check("no culvert there, and nobody at its port: status 3, both reasons and the option",
              code == 3 and "not in PATH" in err and "nobody listens" in err and "--gateway-port names" in err, f"{code} {err}")
        code, _, err = run(home, *at, str(gateway.port))
        check("--gateway-port leads to the gateway", code == 4 and "devices approve" in err, f"{code} {err}")
        run(gateway.home, "devices", "approve", re.search(r"devices approve (\S+)", err)[1])
        code, out, err = run(home, *at, str(gateway.port))
        check("… and through", code == 0 and "ok" in out, f"{code} {out} {err}")
        for port in ("0", "65536", "x"):
            code, _, err = run(home, *at, port)
            check(f"--gateway-port {port}: why", code == 2 and "1 to 65535" in err, f"{code} {err}")
        code, _, err = run(home, "health", "--url", "ws://gate", "--gateway-port", "1")
        check("--gateway-port is for ssh", code == 1 and "--gateway-port goes with" in err, f"{code} {err}")
        code, _, err = run(home, "health", "--url", "ssh://gate", "--culvert", f"{BIN}/culvert bridge")
        check("--culvert leads to the bridge", code == 0 and not err, f"{code} {err}")
        code, _, err = run(home, "health", "--culvert", "culvert bridge")
        check("--culvert is for ssh", code == 1 and "--culvert goes with" in err, f"{code} {err}")


def gone_and_silent(home, host):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        waiting = subprocess.Popen([kit.CULVERT, "health", "--url", f"ssh://{host.user}@127.0.0.1:{port}"], env=environment(home),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        silent.accept()[0].settimeout(1)
        waiting.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, err = waiting.communicate(timeout=kit.WAIT_S)
        check("Ctrl-C while a server says nothing: at once, clean", waiting.returncode == 1 and time.monotonic() - began < 3 and not left_behind(home),
              f"{waiting.returncode} {err} {left_behind(home)}")
    code, _, err = run(home, "health", "--url", f"ssh://{host.user}@127.0.0.1:{port}")
    check("nobody listens: status 3", code == 3 and "refused" in err and not left_behind(home), f"{code} {err}")
    for url, why in (("ssh://", "no host"), ("ssh://a/b", "path"), ("ssh://a?b", "path"), ("ts://", "no host"), ("ts://a:0", "port"), ("s://a", "scheme")):
        code, _, err = run(home, "health", "--url", url)
        check(f"--url {url}: why", code == 1 and why in err, f"{code} {err}")
    code, _, err = run(home, "health", "--url", "ssh://gate", "--pin", "00" * 32)
    check("--pin is for wss and ts", code == 1 and "--pin goes with" in err, f"{code} {err}")


def at_a_terminal():
    with world() as (home, gateway, host):
        subprocess.run(["ssh-keygen", "-q", "-p", "-N", "open sesame", "-f", host.path("id")], check=True)
        status, shown, typed = at_terminal(home, ["tunnel", "up", "gate", "--listen", "127.0.0.1:0"], "assphrase", "open sesame", until="up | ")
        check("the passphrase is asked once, and not shown", typed == 1 and "open sesame" not in shown and "up: gate" in shown, shown)
        check("a line lives on the terminal; Ctrl-C ends it with 0", status == 0 and re.search(r"gate up \| \d+ s \|", shown), f"{status} {shown}")
        status, shown, typed = at_terminal(home, ["health", "--url", "ssh://gate", "--token", TOKEN], "assphrase", "open sesame")
        check("--url asks as well", typed == 1 and status == 4 and "open sesame" not in shown, f"{status} {shown}")
        code, _, err = run(home, "health", "--url", "ssh://gate")
        check("without a terminal nobody is asked", code == 4 and "passphrase" in err, f"{code} {err}")


if __name__ == "__main__":
    if why := sshd.missing():
        kit.skip("everything", why)
        kit.finish()
    for part in (refused, by_url, without_culvert_there, at_a_terminal):
        if not sys.argv[1:] or part.__name__ in sys.argv[1:]:
            part()
    kit.finish()
