"""gateway.tls: a certificate of the gateway's own, given ones, and those it refuses to start with."""
import json
import os
import re
import shutil
import stat
import subprocess

import kit
from kit import TOKEN, Gateway, check, environment, run, scratch, write

ON = {"enabled": True}


def config(**tls):
    return json.dumps({"gateway": {"tls": {**ON, **tls}}})


def fingerprint(home):
    return json.loads(run(home, "status", "--json")[1])["tls"]["sha256"]


def own_certificate():
    with scratch() as home:
        with Gateway(home, config=config()) as gateway:
            folder = os.path.join(gateway.state, "gateway/tls")
            modes = {name: stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) for name in os.listdir(folder)}
            check("its own pair lies 0600 in a folder 0700", modes == {"gateway-cert.pem": 0o600, "gateway-key.pem": 0o600}
                  and stat.S_IMODE(os.stat(folder).st_mode) == 0o700, modes)
            seen = fingerprint(home)
            check("the start names the fingerprint and wss", f"sha256:{seen}" in gateway.output() and "wss://127.0.0.1:" in gateway.output(),
                  gateway.output())
            check("status says it to people", f"sha256:{seen}" in run(home, "status")[1])
            check("doctor says it", re.search(rf"ok +tls .*sha256:{seen}", run(home, "doctor")[1]), run(home, "doctor")[1])
            at = ["--url", f"wss://127.0.0.1:{gateway.port}", "--token", TOKEN]
            code, _, err = run(home, "health", *at)
            hint = re.search(r"--pin (sha256:[0-9a-f]{64})$", err.strip())
            check("an untrusted certificate: status 3 and the pin to use", code == 3 and hint and hint[1] == f"sha256:{seen}", f"{code} {err}")
            check("that pin works", run(home, "health", *at, "--pin", hint[1] if hint else "")[0] == 0)
            spelled = "SHA256:" + ":".join(seen[i:i + 2].upper() for i in range(0, 64, 2))
            check("so does another spelling of it", run(home, "health", *at, "--pin", spelled)[0] == 0)
            code, _, err = run(home, "health", *at, "--pin", "12ab")
            check("a pin that is none is told apart", code == 1 and "64 hex digits" in err, f"{code} {err}")
            verify_with_openssl(gateway, folder)
        with Gateway(home, config=config()):
            check("the next start keeps the certificate", fingerprint(home) == seen)


def verify_with_openssl(gateway, folder):
    if not shutil.which("openssl"):
        kit.skip("openssl s_client", "openssl is not installed")
        return
    cert = os.path.join(folder, "gateway-cert.pem")

    def client(*args):
        return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-CAfile", cert, *args],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=kit.WAIT_S).stdout
    for names in (["-verify_ip", "127.0.0.1"], ["-verify_ip", "::1"], ["-verify_hostname", "localhost"], ["-verify_hostname", os.uname().nodename]):
        seen = client(*names)
        check(f"openssl trusts it for {names[1]}", "Verify return code: 0" in seen, seen[-1500:])
    check("TLS 1.2 is spoken", "Cipher is ECDHE" in client("-tls1_2"))
    check("TLS 1.1 is not", "Cipher is (NONE)" in client("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"))


def refused_at_start():
    if not shutil.which("openssl"):
        kit.skip("certificates refused", "openssl is not installed")
        return
    with scratch() as home:
        os.makedirs(os.path.join(home, "state"), mode=0o700)
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x"]
        for name in "ab":
            subprocess.run([*make, "-days", "2", "-keyout", f"{home}/{name}.key", "-out", f"{home}/{name}.crt"], check=True, capture_output=True)
        subprocess.run(["openssl", "x509", "-in", f"{home}/a.crt", "-signkey", f"{home}/a.key", "-days", "-1", "-out", f"{home}/old.crt"],
                       check=True, capture_output=True)
        write(f"{home}/junk.pem", "junk\n")
        given = lambda cert, key: config(certPath=f"{home}/{cert}", keyPath=f"{home}/{key}")
        cases = {
            "a key of another certificate": (given("a.crt", "b.key"), "does not belong"),
            "an expired certificate": (given("old.crt", "a.key"), "ended on"),
            "no such certificate": (given("none.crt", "a.key"), "none.crt: No such file"),
            "no PEM": (given("junk.pem", "a.key"), "holds no PEM certificate"),
            "a certificate without its key": (config(certPath=f"{home}/a.crt"), "gateway.tls.keyPath is not"),
            "none given, none to be made": (config(autoGenerate=False), "cannot read the TLS certificate"),
        }
        for what, (text, why) in cases.items():
            write(os.path.join(home, "state/culvert.json"), text)
            code, out, err = run(home, "gateway", "--port", "0", "--token", TOKEN)
            check(f"{what}: no start, and why", code == 1 and why in err and out == "", f"{code} {out} {err}")
            check(f"{what}: doctor says the same", re.search(rf"fail +tls .*{re.escape(why)}", run(home, "doctor")[1]), run(home, "doctor")[1])


def half_a_pair():
    with scratch() as home:
        with Gateway(home, config=config()):
            pass
        os.unlink(os.path.join(home, "state/gateway/tls/gateway-key.pem"))
        code, _, err = run(home, "gateway", "--port", "0", "--token", TOKEN)
        check("half of its own pair: it says which is missing, and makes no other", code == 1 and "gateway-key.pem is not" in err, f"{code} {err}")


if __name__ == "__main__":
    own_certificate()
    refused_at_start()
    half_a_pair()
    kit.finish()
