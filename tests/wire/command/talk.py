"""The command line against a running gateway: every command, both outputs, TLS by pin, and a shutdown."""
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import threading

import kit
from kit import TOKEN, Gateway, check, environment, run, scratch


def json_of(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


def every_command():
    # Command, a word a person reads, a check of the --json payload.
    rows = [
        (["health"], "ok", lambda v: v["ok"] is True),
        (["status"], "culvert", lambda v: "sessions" in v),
        (["agent", "-m", "hello there"], "hello there", lambda v: "hello there" in v["result"]["payloads"][0]["text"]),
        (["sessions", "list"], "agent:main:main", lambda v: v["count"] == 1),
        (["sessions", "show", "main"], "hello there", lambda v: len(v["messages"]) >= 2),
        (["devices", "list"], "culvert", lambda v: len(v["paired"]) == 1),
        (["config", "get"], "{", lambda v: v["valid"] is True),
        (["config", "schema"], "gateway", lambda v: "properties" in v["schema"]),
        (["config", "set", "logging.level", "debug"], "logging.level is set", lambda v: v["ok"] is True),
        (["logs", "-n", "5"], "conn", None),
        (["doctor"], "gateway", lambda v: all(row["verdict"] != "fail" for row in v)),
        (["doctor"], "libssh2 1.", lambda v: any(row["check"] == "tunnel" for row in v)),
        (["call", "system.info"], "hostname", lambda v: v["pid"] > 0),
        (["webchat"], "/#code=", lambda v: v["url"].endswith("#code=" + v["code"]) and v["expiresAtMs"] > 0),
        (["sessions", "reset", "main"], "begins anew", lambda v: v["ok"] is True),
    ]
    with scratch() as home, Gateway(home):
        for args, word, payload in rows:
            code, out, err = run(home, *args)
            check(f"culvert {' '.join(args)}: for a person", code == 0 and word in out, f"{code}\n{out}{err}")
            if payload:
                code, out, err = run(home, *args, "--json")
                value = json_of(out)
                check(f"culvert {' '.join(args)} --json", code == 0 and value is not None and payload(value), f"{code}\n{out}{err}")
        code, out, _ = run(home, "call", "agent", '{"message":"streams","sessionKey":"main","idempotencyKey":"s1"}', "--stream")
        lines = [json_of(line) for line in out.splitlines()]
        check("call --stream prints events, then the final answer",
              code == 0 and any(v and v.get("event") == "agent" for v in lines) and lines[-1]["status"] == "ok", out)
        code, _, err = run(home, "sessions", "delete", "main")
        check("the main session is kept", code == 1 and "main" in err, err)
        code, _, err = run(home, "call", "no.such")
        check("an unknown method is status 1", code == 1 and "unknown method: no.such" in err, err)


def another_home():
    """A second device on the same host: by the port with the token; revoked, it is out."""
    with scratch() as home, Gateway(home) as gateway:
        other = f"{home}/other"
        os.makedirs(other)
        env = environment(other)
        at = ["--url", f"ws://127.0.0.1:{gateway.port}"]
        code, _, err = run(other, "health", *at, env=env)
        check("without a credential: status 4", code == 4, err)
        check("with the token: in", run(other, "health", *at, "--token", TOKEN, env=env)[0] == 0)
        check("the device token does from now on", run(other, "health", *at, env=env)[0] == 0)
        devices = json_of(run(home, "devices", "list", "--json")[1])["paired"]
        kit.write(f"{home}/token", TOKEN + "\n")
        check("two devices are paired after a command by gateway.sock", len(devices) == 2, devices)
        device = json_of(open(f"{other}/state/identity/cli.json").read())["deviceId"]
        check("revoke", run(home, "devices", "revoke", device, "operator")[0] == 0)
        code, _, err = run(other, "health", *at, env=env)
        check("a revoked device is out", code == 4, f"{code} {err}")
        check("--token-file lets it in again", run(other, "health", *at, "--token-file", f"{home}/token", env=env)[0] == 0)
        check("remove", run(home, "devices", "remove", device)[0] == 0)


def interrupted_turn():
    """Ctrl-C in `culvert agent` aborts the turn at the gateway."""
    with scratch() as home, Gateway(home):
        long = " ".join(["word"] * 4000)
        turn = subprocess.Popen([kit.CULVERT, "call", "agent", json.dumps({"message": long, "sessionKey": "main", "idempotencyKey": "i1"}),
                                 "--stream"], env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        turn.stdout.readline()
        turn.send_signal(signal.SIGINT)
        turn.communicate(timeout=kit.WAIT_S)
        check("an interrupted command does not hang", turn.returncode != 0, turn.returncode)
        check("the gateway goes on", run(home, "health")[0] == 0)


def tls():
    if not shutil.which("openssl"):
        kit.skip("wss", "openssl is not installed")
        return
    with scratch() as home:
        cert, key = f"{home}/cert.pem", f"{home}/key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=culvert",
                        "-keyout", key, "-out", cert], check=True, capture_output=True)
        pin = subprocess.run(["openssl", "x509", "-in", cert, "-noout", "-fingerprint", "-sha256"], check=True,
                             capture_output=True, text=True).stdout.split("=")[1].strip()
        config = json.dumps({"gateway": {"tls": {"enabled": True, "certPath": cert, "keyPath": key}}})
        with Gateway(home, config=config) as gateway:
            at = ["--url", f"wss://127.0.0.1:{gateway.port}", "--token", TOKEN]
            check("wss with the right pin", run(home, "health", *at, "--pin", pin)[0] == 0, run(home, "health", *at, "--pin", pin))
            check("the pin in plain hex", run(home, "health", *at, "--pin", pin.replace(":", "").lower())[0] == 0)
            code, _, err = run(home, "health", *at, "--pin", "00" * 32)
            check("a wrong pin is status 3 and says so", code == 3 and "pin" in err.lower(), f"{code} {err}")
            code, _, err = run(home, "health", *at)
            check("an unknown certificate is status 3", code == 3, f"{code} {err}")
            code, _, err = run(home, "health", "--url", f"ws://127.0.0.1:{gateway.port}", "--token", TOKEN)
            check("ws to a wss port is status 3", code == 3, f"{code} {err}")


def the_owner_behind_a_proxys_gateway():
    """trusted-proxy: names carry no scope, so only the owner's own socket can approve the first device."""
    for args in (["--auth", "trusted-proxy"], ["--auth", "token"], ["--auth", "none"]):
        with scratch() as home, Gateway(home, *args):
            code, out, err = run(home, "devices", "list", "--json")
            value = json_of(out)
            check(f"{args[1]}: the owner comes in by gateway.sock without a secret",
                  code == 0 and "operator.pairing" in value["paired"][0]["scopes"], f"{code}\n{out}{err}")


def shutdown_reaches_the_follower():
    with scratch() as home:
        gateway = Gateway(home)
        follower = subprocess.Popen([kit.CULVERT, "logs", "-f"], env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    text=True)
        check("logs -f shows lines", "culvert" in follower.stdout.readline())
        drain = threading.Thread(target=follower.stdout.read)
        drain.start()
        check("SIGTERM with a client connected: status 0", gateway.stop() == 0)
        err = follower.stderr.read()
        follower.wait(timeout=kit.WAIT_S)
        drain.join()
        check("the client hears why", follower.returncode == 3 and re.search(r"1012.*service restart", err), err)


if __name__ == "__main__":
    every_command()
    another_home()
    interrupted_turn()
    tls()
    the_owner_behind_a_proxys_gateway()
    shutdown_reaches_the_follower()
    kit.finish()
