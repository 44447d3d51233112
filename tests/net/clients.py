"""Published clients through the tunnel: `openclaw gateway call health`, its TUI, and WebChat in Chromium on the forwarded
port. None pairs by itself; each is approved at the gateway's host. What they do is in clients.mjs."""
import glob
import os
import sys
import time

from culvert import PORT, TOKEN, Gateway, Tunnel
from kit import BUILD, TOP, World, check, finish, say, skip_all
from ssh import Sshd, may_log_in


def main():
    nodes = glob.glob(os.path.join(os.environ.get("CULVERT_NPM", os.path.join(TOP, ".cache/npm")), "v4/node_modules/node-linux-*/bin/node"))
    if not nodes:
        skip_all("Node is not in .cache/npm/v4; deploy/test installs it")
    with World() as world:
        laptop, gate = world.host("laptop"), world.host("gate")
        line = world.line(laptop, "10.8.0.2/24", gate, "10.8.0.1/24", delay=10)
        gate.user("alice")
        gateway = Gateway(gate, "alice")
        sshd = Sshd(gate, ExposeAuthInfo="yes")
        may_log_in(laptop, "root", sshd, "alice")
        Tunnel(laptop, "alice@gate").wait_up()
        told = os.path.join(laptop.folder, "approved")
        laptop.write(told, "")
        run = laptop.start([nodes[0], os.path.join(TOP, "tests/peer/kit/run.mjs"), os.path.join(TOP, "tests/net/clients.mjs")], name="clients", env={
            "CULVERT_NET_URL": f"ws://127.0.0.1:{PORT}", "CULVERT_TOKEN": TOKEN, "CULVERT_NET_APPROVED": told, "TMPDIR": laptop.folder,
            "CULVERT_ARTIFACTS": os.path.join(BUILD, "artifacts"), "CULVERT_PEER_LIMIT_MS": "200000",
            **{k: v for k, v in os.environ.items() if k in ("CULVERT_NPM", "CULVERT_CHROMIUM")}})
        approve_all(gateway, run, told)
        print(run.output(), flush=True)
        if run.popen.returncode == 77:
            skip_all("the published clients or the browser are missing; deploy/test installs them")
        check("the published clients do through the tunnel what they do at the gateway", run.popen.returncode == 0, run.popen.returncode)
        say(f"the line carried {line.stats()}")
    finish()


def approve_all(gateway, run, told):
    """The person at the gateway: sees who asks, and by whom they came."""
    approved = []
    while run.running():
        time.sleep(0.7)
        for request in gateway.devices()["pending"]:
            if time.time() * 1000 - request["ts"] < 2000:  # what asks has time to show it
                continue
            done = gateway.approve(request["requestId"])
            approved.append(request["clientId"])
            with open(told, "a") as file:
                file.write(f"{request['clientId']}\n")
            check("the request is approved at the gateway", done.status == 0, done)
            check("it says that it came by alice's SSH", request.get("identity", {}).get("kind") == "ssh"
                  and request["identity"].get("user") == "alice", request)
    check("the TUI and the browser asked", len(set(approved)) >= 2, approved)


main()
