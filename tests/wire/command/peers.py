"""--url ts:// and culvert tunnel discover, against tailscaled's double (tests/tool/localapi.py) and a mDNS browser that says what the
test wants."""
import contextlib
import json
import os
import re
import subprocess
import sys

import kit
from kit import TOKEN, Gateway, check, environment, run, scratch, write

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BROWSER = """#!/bin/sh
test "$*" = "-rpt _openclaw-gw._tcp" || exit 2
cat <<'TEXT'
+;eth0;IPv4;Attic;_openclaw-gw._tcp;local
=;eth0;IPv4;Attic\\032\\040OpenClaw\\041;_openclaw-gw._tcp;local;attic.local;192.168.7.7;18789;"role=gateway" "gatewayTls=1" "gatewayTlsSha256=FFEEDDCCBBAA99887766554433221100ffeeddccbbaa99887766554433221100"
=;eth0;IPv6;Attic\\032\\040OpenClaw\\041;_openclaw-gw._tcp;local;attic.local;fd00::7;18789;"role=gateway" "gatewayTls=1"
=;eth0;IPv4;box;_openclaw-gw._tcp;local;box.local;192.168.7.2;18789;"tailnetDns=box.tail1234.ts.net"
=;eth0;IPv4;Evil\\027[2J;_openclaw-gw._tcp;local;evil.local;192.168.7.9;18789;
garbage
TEXT
"""


@contextlib.contextmanager
def tailscaled(folder, **script):
    path = os.path.join(folder, "localapi.sock")
    write(f"{folder}/script.json", json.dumps(script))
    double = subprocess.Popen([sys.executable, "-B", f"{TOP}/tests/tool/localapi.py", path, f"{folder}/script.json"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    try:
        double.stdout.readline()
        yield path
    finally:
        double.stdin.close()
        double.wait(timeout=kit.WAIT_S)


def by_name():
    with scratch() as folder, Gateway(f"{folder}/far") as gateway:
        home = f"{folder}/near"
        os.makedirs(home)
        dial = {"100.64.0.2:18789": f"127.0.0.1:{gateway.port}", "100.64.0.2:7": None, "100.64.0.2:8": "never"}
        with tailscaled(folder, dial=dial) as path:
            env = environment(home, TS_SOCKET=path)
            code, _, err = run(home, "health", "--url", "ts://box", "--token", TOKEN, env=env)
            asked = re.search(r"devices approve (\S+)", err)
            check("ts://name reaches the gateway, which has to be paired with", code == 4 and asked, f"{code} {err}")
            if asked:
                run(gateway.home, "devices", "approve", asked[1])
            code, out, err = run(home, "health", "--url", "ts://box:18789", "--token", TOKEN, env=env)
            check("then it answers", code == 0 and "ok" in out, f"{code} {out} {err}")
            code, out, err = run(home, "health", "--url", "ts://box", env=env)
            check("from then on by the device's own token", code == 0, f"{code} {err}")
            check("nothing stays behind", not [n for n in os.listdir(f"{home}/state") if n.startswith("culvert-")])
            code, _, err = run(home, "health", "--url", "ts://boks", env=env)
            check("an unknown name: status 3 and the nearest", code == 3 and "box" in err, f"{code} {err}")
            code, _, err = run(home, "health", "--url", "ts://box:7", env=env)
            check("nobody at the port: status 3 and why", code == 3 and err.strip(), f"{code} {err}")
        code, _, err = run(home, "health", "--url", "ts://box", env=environment(home, TS_SOCKET=f"{folder}/none.sock"))
        check("no tailscaled: status 3 and what to do", code == 3 and "tailscale" in err, f"{code} {err}")


def with_tls():
    with scratch() as folder, Gateway(f"{folder}/far", config='{"gateway":{"tls":{"enabled":true}}}') as gateway:
        home = f"{folder}/near"
        os.makedirs(home)
        pin = json.loads(run(gateway.home, "status", "--json")[1])["tls"]["sha256"]
        with tailscaled(folder, dial={"100.64.0.2:18789": f"127.0.0.1:{gateway.port}"}) as path:
            code, _, err = run(home, "health", "--url", "ts://box", "--pin", pin, "--token", TOKEN, env=environment(home, TS_SOCKET=path))
            check("ts:// with a pin speaks TLS", code == 4 and "devices approve" in err, f"{code} {err}")


def found():
    with scratch() as folder, Gateway(f"{folder}/far") as gateway:
        home = f"{folder}/near"
        os.makedirs(f"{home}/bin")
        write(f"{home}/bin/avahi-browse", BROWSER, 0o755)
        with tailscaled(folder, dial={"100.64.0.2:18789": f"127.0.0.1:{gateway.port}"}) as path:
            env = environment(home, TS_SOCKET=path, PATH=f"{home}/bin:{os.environ['PATH']}")
            code, out, err = run(home, "tunnel", "discover", "--json", env=env)
            rows = {row["url"]: row for row in json.loads(out)}
            check("each gateway once, by the best of its roads", code == 0 and set(rows) == {"ts://box.tail1234.ts.net", "wss://192.168.7.7:18789", "ws://192.168.7.9:18789"}
                  or set(rows) == {"ts://box", "wss://192.168.7.7:18789", "ws://192.168.7.9:18789"}, out)
            attic = rows["wss://192.168.7.7:18789"]
            check("what the network says is marked as said", attic["name"] == "Attic (OpenClaw)" and attic["saysSha256"].startswith("ffeedd"), attic)
            code, out, err = run(home, "tunnel", "discover", env=env)
            check("people see a table and a command to go on with", code == 0 and "URL" in out and "culvert status --url ts://" in out, out)
            check("and no control characters of strangers", "\x1b" not in out, repr(out))
            write(f"{home}/bin/avahi-browse", "#!/bin/sh\necho Daemon not running >&2\nexit 1\n", 0o755)
            code, out, err = run(home, "tunnel", "discover", env=env)
            check("one search that fails leaves the other", code == 0 and "ts://" in out and "avahi-daemon" in out, out)
        env["TS_SOCKET"] = f"{folder}/none.sock"
        code, out, err = run(home, "tunnel", "discover", env=env)
        check("nothing found: status 1, and what was looked for", code == 1 and "No gateway answers." in out and "tailnet:" in out, f"{code} {out}")
        code, out, err = run(home, "tunnel", "discover", "--json", env=env)
        check("… as JSON an empty list", code == 1 and json.loads(out) == [], out)


if __name__ == "__main__":
    by_name()
    with_tls()
    found()
    kit.finish()
