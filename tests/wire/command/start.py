"""What keeps a gateway from starting, and what a person is told: one line with the cause and the remedy."""
import os
import re
import signal
import socket
import stat
import subprocess

import kit
from kit import CULVERT, Gateway, check, environment, run, scratch, write

# Configuration text, and words its one-line answer must hold.
BAD_CONFIGS = [
    ("a syntax error", "{\n  gateway: {\n    port: ,\n  }\n}", ["culvert.json"]),
    ("an unclosed brace", "{ gateway: { port: 1 }", ["culvert.json"]),
    ("a wrong type", '{\n  gateway: {\n    port: "many",\n  },\n}', ["gateway.port", "culvert.json:3"]),
    ("a number out of range", "{ gateway: { port: 99999 } }", ["gateway.port", "65535"]),
    ("an unknown key", "{\n  gateway: {\n    prot: 1,\n  },\n}", ["gateway.prot", "culvert.json:3", "\"port\""]),
    ("an unknown top-level key", "{ gatway: {} }", ["gatway", "gateway"]),
    ("a duplicate key", "{ gateway: {}, gateway: {} }", ["twice"]),
    ("an unset variable", '{ gateway: { auth: { token: "${CULVERT_NO_SUCH}" } } }', ["CULVERT_NO_SUCH", "gateway.auth.token"]),
    ("a missing include", '{ $include: "nowhere.json" }', ["nowhere.json"]),
    ("an include of itself", '{ $include: "culvert.json" }', ["culvert.json"]),
    ("a bind that is nothing", '{ gateway: { bind: "moon" } }', ["gateway.bind", "IP address"]),
]


def refuses(what, home, words, *args, env=None, status=1, user=None):
    code, out, err = run(home, "gateway", *args, env=env, user=user)
    lines = [line for line in err.splitlines() if line]
    good = code == status and len(lines) == 1 and all(w.lower() in err.lower() for w in words)
    check(f"{what}: refused in one line with {', '.join(words)}", good, f"status {code}\n{out}{err}")


def bad_configurations():
    for what, text, words in BAD_CONFIGS:
        with scratch() as home:
            os.makedirs(f"{home}/state", mode=0o700)
            write(f"{home}/state/culvert.json", text)
            refuses(what, home, words, "--port", "0")
            code, _, err = run(home, "config", "check")
            check(f"{what}: `config check` says the same", code == 1 and all(w.lower() in err.lower() for w in words), err)


def bad_state_directories():
    with scratch() as home:
        write(f"{home}/file", "")
        refuses("a state directory that is a file", home, ["not a directory"], "--state-dir", f"{home}/file")
        refuses("one that cannot be made", home, ["cannot make", "--state-dir"], "--state-dir", "/proc/no/such")
        deep = f"{home}/" + "d" * 120
        refuses("a socket path too long", home, ["bytes", "shorter"], "--state-dir", deep)
        check("a refused directory is not made", not os.path.exists(deep))
        os.makedirs(f"{home}/open", mode=0o700)
        os.chmod(f"{home}/open", 0o777)
        refuses("one others may write", home, ["chmod"], "--state-dir", f"{home}/open")
        if os.geteuid() != 0:
            kit.skip("a foreign state directory", "needs root")
            return
        os.makedirs(f"{home}/foreign", mode=0o700)
        os.chown(f"{home}/foreign", 12345, 12345)
        refuses("a foreign one", home, ["belongs to uid 12345"], "--state-dir", f"{home}/foreign")
        os.chmod(home, 0o755)
        os.makedirs(f"{home}/locked", mode=0o700)
        os.chown(f"{home}/locked", 12345, 12345)
        os.chmod(f"{home}/locked", 0o000)
        refuses("an unreadable one", home, ["chmod"], "--state-dir", f"{home}/locked", user=12345,
                env=environment(home))


def damaged_store():
    with scratch() as home:
        os.makedirs(f"{home}/state", mode=0o700)
        write(f"{home}/state/culvert.db", "this is no database, it only looks like a file " * 200)
        refuses("a damaged store", home, ["culvert.db"], "--port", "0")


def ports_and_seconds():
    with scratch() as home, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refuses("a port in use", home, [str(port), "in use", f"pid {os.getpid()}", "--port"], "--port", str(port))
        check("nothing is left behind that looks alive", run(home, "health")[0] == 3)
    with scratch() as home:
        with Gateway(home) as gateway:
            refuses("a second gateway", home, ["already runs", f"pid {gateway.process.pid}", "--state-dir"], "--port", "0")
            code, out, err = run(home, "health")
            check("the first one does not mind", code == 0, out + err)
        gone = run(home, "health")
        check("after it is stopped: status 3 and how to start one", gone[0] == 3 and "culvert gateway" in gone[2], gone[2])


def killed_gateway_leaves_no_trap():
    with scratch() as home:
        first = Gateway(home)
        first.stop(signal.SIGKILL)
        check("kill -9 leaves the socket file", os.path.exists(f"{home}/state/gateway.sock"))
        code, _, err = run(home, "health")
        check("a dead socket is status 3", code == 3, err)
        with Gateway(home):
            check("the next start takes the lock and the socket over", run(home, "health")[0] == 0)


def wrong_words():
    rows = [
        (["gateway", "--frob"], 2, "unrecognized option"),
        (["gateway", "--port", "http"], 2, "65535"),
        (["gateway", "extra"], 2, "extra"),
        (["gateway", "--auth", "magic"], 1, "trusted-proxy"),
        (["gateway", "--auth", "password"], 1, "CULVERT_GATEWAY_PASSWORD"),
        (["gateway", "--auth", "none", "--bind", "lan", "--port", "0"], 1, "without authentication"),
        (["gateway", "--token-file", "/no/such"], 2, "/no/such"),
        (["gateway", "--config", "/no/such/dir/x.json", "--port", "-1"], 2, "--port"),
        (["frob"], 2, "--help"),
        ([], 2, "Usage"),
        (["call"], 2, "METHOD"),
        (["call", "health", "{"], 2, "not JSON"),
        (["agent"], 2, "-m"),
        (["sessions", "show"], 2, "show KEY"),
        (["devices", "frob"], 2, "frob"),
        (["logs", "-n", "x"], 2, "-n"),
        (["health", "--url", "http://x"], 1, "ws://"),
        (["health", "--url", "ws://127.0.0.1:1"], 3, "127.0.0.1"),
        (["health", "--url", "unix:/no/such.sock"], 3, "/no/such.sock"),
        (["health", "--pin", "00", "--url", "ws://127.0.0.1:1"], 1, "wss"),
        (["health", "--timeout", "never"], 2, "seconds"),
    ]
    with scratch() as home:
        for args, status, word in rows:
            code, out, err = run(home, *args)
            check(f"culvert {' '.join(args)}: status {status} and a word", code == status and word in err, f"{code}\n{out}{err}")
        for args in (["--help"], ["--version"], ["gateway", "--help"], ["call", "--help"], ["config", "--help"]):
            code, out, err = run(home, *args)
            check(f"culvert {' '.join(args)}: status 0 on stdout", code == 0 and "ulvert" in out and not err, out + err)


def completion():
    rows = [
        (["h"], ["health"]),
        (["sess"], ["sessions"]),
        (["sessions", "re"], ["reset"]),
        (["call", "chat.ab"], ["chat.abort"]),
        (["status", "--to"], ["--token", "--token-file"]),
        (["call", "health", ""], []),
    ]
    with scratch() as home:
        for words, offered in rows:
            code, out, err = run(home, "completion", "words", *words)
            check(f"{' '.join(words)}<TAB> offers {', '.join(offered) or 'nothing'}", code == 0 and out.split() == offered, out + err)
        script = f"PATH={os.path.dirname(CULVERT)}:$PATH; source <(culvert completion bash); COMP_WORDS=(culvert config s); COMP_CWORD=2; " \
                 "_culvert; echo ${COMPREPLY[@]}"
        done = subprocess.run(["bash", "-c", script], env=environment(home), capture_output=True, text=True, timeout=kit.WAIT_S)
        check("bash completes by it", done.stdout.split() == ["set", "schema"], done.stdout + done.stderr)
        code, _, err = run(home, "completion", "tcsh")
        check("another shell is status 2", code == 2 and "bash" in err, err)


def secrets_stay_secret():
    with scratch() as home:
        with Gateway(home, token=False) as gateway:
            check("a made token is printed once", gateway.wait_output("A token was made"))
            token = open(f"{home}/state/identity/token").read().strip()
            check("it is the stored one", token in gateway.output())
            for name in ("identity/token", "identity/gateway.json", "culvert.db", "gateway.lock"):
                mode = stat.S_IMODE(os.stat(f"{home}/state/{name}").st_mode)
                check(f"{name} is ours alone", mode & 0o077 == 0, oct(mode))
            check("the state directory too", stat.S_IMODE(os.stat(f"{home}/state").st_mode) == 0o700)
            url = f"ws://127.0.0.1:{gateway.port}"
            check("the token opens the door", run(home, "health", "--url", url, "--token", token)[0] == 0)
            os.makedirs(f"{home}/other")
            code, out, err = run(home, "health", "--url", url, "--token", "wrong-" + token[:8], env=environment(f"{home}/other"))
            check("a wrong token is status 4", code == 4 and "token" in err, f"{code} {out}{err}")
            check("a wrong token is not repeated", "wrong-" not in out + err)
        with Gateway(home, token=False) as gateway:
            check("the second start does not print it", token not in gateway.output())
            log = subprocess.run(["grep", "-r", "-l", token, f"{home}/state/logs"], capture_output=True, text=True).stdout
            check("the log never holds it", log == "", log)
        with Gateway(home) as gateway:
            cmdline = open(f"/proc/{gateway.process.pid}/cmdline").read()
            check("--token is wiped from argv", kit.TOKEN not in cmdline, cmdline)


def sign_in_link():
    with scratch() as home:
        with Gateway(home) as gateway:
            check("no link where nobody looks", gateway.wait_output("Other clients") and "#code=" not in gateway.output())
        with Gateway(home, "--link") as gateway:
            check("--link prints one", gateway.wait_output("/#code="), gateway.output())
            code = re.search(r"http://127\.0\.0\.1:(\d+)/#code=([\w-]{43})\s", gateway.output())
            check("for the port it listens on", code and int(code[1]) == gateway.port, gateway.output())
            log = "".join(open(f"{home}/state/logs/{name}").read() for name in os.listdir(f"{home}/state/logs"))
            check("the log does not hold it", code and log and code[2] not in log)


def service_manager():
    with scratch() as home, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(f"{home}/notify")
        notify.settimeout(kit.WAIT_S)
        gateway = Gateway(home, env=environment(home, NOTIFY_SOCKET=f"{home}/notify"))
        check("READY=1 when it serves", notify.recv(100) == b"READY=1")
        write(f"{home}/state/culvert.json", '{ logging: { level: "debug" } }')
        gateway.process.send_signal(signal.SIGHUP)
        check("RELOADING=1 on SIGHUP", notify.recv(100) == b"RELOADING=1")
        check("READY=1 after it", notify.recv(100) == b"READY=1")
        check("the reload is logged", gateway.wait_output("configuration reloaded"))
        write(f"{home}/state/culvert.json", "{ logging: { level: 5 } }")
        gateway.process.send_signal(signal.SIGHUP)
        check("a bad file keeps the running configuration", gateway.wait_output("the running one is kept"), gateway.output())
        check("and the gateway goes on", run(home, "health")[0] == 0)
        notify.recv(100), notify.recv(100)
        check("Ctrl-C stops it with status 0", gateway.stop(signal.SIGINT) == 0)
        check("STOPPING=1 before it goes", notify.recv(100) == b"STOPPING=1")


if __name__ == "__main__":
    bad_configurations()
    bad_state_directories()
    damaged_store()
    ports_and_seconds()
    killed_gateway_leaves_no_trap()
    wrong_words()
    completion()
    secrets_stay_secret()
    sign_in_link()
    service_manager()
    kit.finish()
