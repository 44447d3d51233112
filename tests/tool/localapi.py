#!/usr/bin/env python3
"""tailscaled's LocalAPI on a unix socket, played from a script: for tests of what talks to it.

    localapi.py SOCKET [SCRIPT.json]        prints "ready" when it listens; ends with its standard input

The script, and what is posted to /double/set, is one object that is merged (null deletes) into:
    version   what Tailscale-Version says
    suffix    MagicDNS suffix       state  BackendState      tun  is there a kernel interface
    self      the key of this node  nodes  {key: {ip: [...], login, user, tags, caps, online, dns, host, os}}
    status    merged over the status made from these         whois  {"ip" or "ip:port": answer, null: nobody's}
    serve     the serve configuration                        conflicts  so many writes end with 412
    sessions  false: it knows no foreground configurations and forgets them, as before 1.50
    ssh       is Tailscale SSH on        deny_unix  a target that is a socket: 401
    deny      "read" or "write": 403                         locked  the configuration is from a file: 500
    dial      {"ip:port": "127.0.0.1:port", "unix:path", "never", null: refused}; an ip of no node: Dial-Self
    modes     {"status" …: how to answer instead}: garbage truncated html huge slow silent reset nul notype
              endless bare chunked1 old (no such path) error
More doors: GET /double/log tells what was asked, POST /double/bus sends its lines to every watcher,
POST /double/drop ends the watchers, POST /double/raw sends its body to watchers without a line end, POST /double/carry
{listen, to, as?} listens on a unix socket and brings what comes there to "host:port" or "unix:path" as this process's
own connections; with as (an address) whois knows each by its local port, as of what netstack forwards.
The answers are what tailscaled 1.102 gives; its own command line agrees (tests/peer/tailnet)."""
import asyncio
import hashlib
import json
import os
import sys
from urllib.parse import parse_qs, urlsplit

CSP = "default-src 'none'; frame-ancestors 'none'; script-src 'none'; script-src-elem 'none'; script-src-attr 'none'"
STATE = {
    "version": "1.102.5-tdouble",
    "suffix": "tail1234.ts.net",
    "state": "Running",
    "tun": False,
    "self": "laptop",
    "nodes": {
        "laptop": {"ip": ["100.64.0.1", "fd7a:115c:a1e0::1"], "login": "alice@example.com"},
        "box": {"ip": ["100.64.0.2", "fd7a:115c:a1e0::2"], "login": "bob@example.com"},
    },
    "status": {},
    "whois": {},
    "serve": None,
    "conflicts": 0,
    "sessions": True,
    "ssh": False,
    "deny_unix": False,
    "deny": None,
    "locked": False,
    "dial": {},
    "modes": {},
}
NULL_STANDS = ("serve", "deny", "status", "whois", "dial")  # below these null is a value
LOG = []
WATCHERS = {}  # session -> queue of lines; None ends it
TAGGED = 2147455555


def merge(target, patch, null_deletes=True):
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None and null_deletes and key not in NULL_STANDS:
            target.pop(key, None)
        else:
            target[key] = merge(target.get(key), value, null_deletes and key not in NULL_STANDS)
    return target


# ---- what it knows ----


def logins():
    """login -> its id, stable over calls."""
    names = sorted({n.get("login", "") for n in STATE["nodes"].values() if not n.get("tags")} - {""})
    return {name: 1000 + at for at, name in enumerate(names)}


def user_of(node):
    if node.get("tags"):
        return {"ID": TAGGED, "LoginName": "tagged-devices", "DisplayName": "Tagged Devices"}
    login = node.get("login", "")
    return {"ID": logins().get(login, 0), "LoginName": login, "DisplayName": node.get("user", login.split("@")[0]),
            **({"ProfilePicURL": node["picture"]} if "picture" in node else {})}


def key_of(name):
    return hashlib.sha256(name.encode()).hexdigest()


def peer_status(name, node, is_self):
    dns = node.get("dns", f"{name}.{STATE['suffix']}.")
    out = {
        "ID": f"n{key_of(name)[:12]}CNTRL", "NodeID": 1 + list(STATE["nodes"]).index(name), "PublicKey": "nodekey:" + key_of(name), "HostName": node.get("host", name),
        "DNSName": dns, "OS": node.get("os", "linux"), "UserID": user_of(node)["ID"], "TailscaleIPs": node["ip"],
        "AllowedIPs": [ip + ("/128" if ":" in ip else "/32") for ip in node["ip"]], "Addrs": None,
        "CurAddr": "" if is_self else node.get("direct", "192.0.2.7:41641"), "Relay": "fra", "PeerRelay": "",
        "RxBytes": 0, "TxBytes": 0, "Created": "2026-01-01T00:00:00Z", "LastWrite": "0001-01-01T00:00:00Z",
        "LastSeen": "0001-01-01T00:00:00Z", "LastHandshake": "0001-01-01T00:00:00Z",
        "Online": node.get("online", True), "ExitNode": False, "ExitNodeOption": False, "Active": False,
        "PeerAPIURL": [f"http://{node['ip'][0]}:1"], "TaildropTarget": 0, "NoFileSharingReason": "",
        "InNetworkMap": True, "InMagicSock": not is_self, "InEngine": False,
    }
    if node.get("tags"):
        out["Tags"] = node["tags"]
    return out


def status(peers):
    mine = STATE["nodes"].get(STATE["self"])
    out = {
        "Version": STATE["version"], "TUN": STATE["tun"], "BackendState": STATE["state"], "HaveNodeKey": True,
        "AuthURL": "", "TailscaleIPs": mine["ip"] if mine else None,
        "Self": peer_status(STATE["self"], mine, True) if mine else None, "Health": [],
        "MagicDNSSuffix": STATE["suffix"],
        "CurrentTailnet": {"Name": "example.com", "MagicDNSSuffix": STATE["suffix"], "MagicDNSEnabled": True},
        "CertDomains": None, "ExtraRecords": None, "ClientVersion": None,
        "Peer": None, "User": {str(user_of(n)["ID"]): user_of(n) for name, n in STATE["nodes"].items() if peers or name == STATE["self"]},
    }
    if peers:
        out["Peer"] = {"nodekey:" + key_of(name): peer_status(name, node, False)
                       for name, node in STATE["nodes"].items() if name != STATE["self"]}
    return merge(out, STATE["status"], null_deletes=False)


def whois(address):
    ip = address
    if address.startswith("["):
        ip = address[1:].split("]")[0]
    elif address.count(":") == 1:
        ip = address.split(":")[0]
    for key in (address, ip):
        if key in STATE["whois"]:
            return STATE["whois"][key]
    for name, node in STATE["nodes"].items():
        if ip in node["ip"]:
            break
    else:
        return None
    view = {
        "ID": 1, "StableID": f"n{key_of(name)[:12]}CNTRL", "Name": node.get("dns", f"{name}.{STATE['suffix']}."),
        "User": user_of(node)["ID"], "Key": "nodekey:" + key_of(name),
        "Addresses": [a + ("/128" if ":" in a else "/32") for a in node["ip"]],
        "Hostinfo": {"OS": "linux", "Hostname": node.get("host", name)}, "Created": "2026-01-01T00:00:00Z",
        "MachineAuthorized": True, "ComputedName": name, "ComputedNameWithHost": name,
    }
    if node.get("tags"):
        view["Tags"] = node["tags"]
    return {"Node": view, "UserProfile": user_of(node), "CapMap": node.get("caps")}


def etag():
    return hashlib.sha256(json.dumps(STATE["serve"], sort_keys=True).encode()).hexdigest()


# ---- HTTP ----


async def read_request(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {}
    for line in head[1:]:
        if line:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    elif headers.get("content-length"):
        body = await reader.readexactly(int(headers["content-length"]))
    return method, target, headers, body


def head(code, headers, text="OK"):
    lines = [f"HTTP/1.1 {code} {text}", f"Content-Security-Policy: {CSP}", f"Tailscale-Version: {STATE['version']}",
             "Tailscale-Cap: 138", "X-Content-Type-Options: nosniff", "X-Frame-Options: DENY"]
    return "\r\n".join(lines + [f"{k}: {v}" for k, v in headers.items()] + ["", ""]).encode()


def answer(writer, code, body=b"", kind="application/json", **headers):
    headers = {k.replace("_", "-"): v for k, v in headers.items()}
    if kind:
        headers["Content-Type"] = kind
    writer.write(head(code, {**headers, "Content-Length": len(body)}) + body)


def refuse(writer, code, words):
    answer(writer, code, (words + "\n").encode(), "text/plain; charset=utf-8")


async def played(mode, writer):
    """An answer that tailscaled would not give. True: it was one."""
    chunked = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    if mode == "garbage":
        writer.write(b"\x00\xff\x13 what is this\r\n\r\n")
    elif mode == "truncated":
        writer.write(head(200, {"Content-Type": "application/json", "Content-Length": 4000}) + b'{"Version": "1')
    elif mode == "html":
        answer(writer, 200, b"<html>a portal</html>", "text/html")
    elif mode == "notype":
        answer(writer, 200, b"{}", None)
    elif mode == "bare":
        answer(writer, 200, b"[1, 2]")
    elif mode == "nul":
        answer(writer, 200, b'{"BackendState": "Run\\u0000ning"}')
    elif mode == "error":
        answer(writer, 500, json.dumps({"error": "it is\nbroken \x1b[31m"}).encode())
    elif mode == "old":
        refuse(writer, 404, "404 page not found")
    elif mode == "huge":
        writer.write(head(200, chunked))
        for _ in range(12):
            writer.write(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
            await writer.drain()
        writer.write(b"2\r\n{}\r\n0\r\n\r\n")
    elif mode == "endless":
        writer.write(b"HTTP/1.1 200 OK\r\nX-Filler: ")
        while True:
            writer.write(b"y" * 4096)
            await writer.drain()
    elif mode == "silent":
        await asyncio.sleep(3600)
    elif mode == "reset":
        writer.transport.abort()
    else:
        return False
    return True


def send_json(writer, value, mode, text=None, **headers):
    body = (text if text is not None else json.dumps(value, indent="\t") + "\n").encode()
    if mode == "chunked1":
        writer.write(head(200, {**headers, "Content-Type": "application/json", "Transfer-Encoding": "chunked"}))
        for byte in body:
            writer.write(b"1\r\n" + bytes([byte]) + b"\r\n")
        writer.write(b"0\r\n\r\n")
    else:
        answer(writer, 200, body, **headers)


# ---- its doors ----


async def serve_config(method, headers, body, mode, writer):
    if method == "GET":
        send_json(writer, None, mode, json.dumps(STATE["serve"], separators=(",", ":")), Etag=etag())
        return
    if method != "POST":
        refuse(writer, 405, "method not allowed")
        return
    if STATE["deny"] in ("read", "write"):
        refuse(writer, 403, "serve config denied")
        return
    try:
        config = json.loads(body)
    except ValueError as error:
        answer(writer, 500, json.dumps({"error": f"decoding config: {error}"}).encode())
        return
    if STATE["deny_unix"] and '"Proxy": "unix:' in json.dumps(config):
        refuse(writer, 401, "must be root, or be an operator and able to run 'sudo tailscale' to serve a path")
        return
    wanted = headers.get("if-match", "")
    if STATE["conflicts"] > 0:
        STATE["conflicts"] -= 1
        wanted = "somebody else's"
    if wanted and wanted != etag():
        refuse(writer, 412, "etag mismatch")
    elif STATE["locked"]:
        error = "updating config: can't reconfigure tailscaled when using a config file; config file is locked"
        answer(writer, 500, json.dumps({"error": error}).encode())
    else:
        gone = set((STATE["serve"] or {}).get("Foreground") or {}) - set(config.get("Foreground") or {})
        if not STATE["sessions"]:
            config.pop("Foreground", None)
        STATE["serve"] = config
        for session in gone & set(WATCHERS):  # whose foreground configuration was taken away
            WATCHERS[session].put_nowait(None)
        answer(writer, 200, b"", None)


async def watch(query, reader, writer):
    mask = int(query.get("mask", ["0"])[0])
    session = os.urandom(8).hex()
    queue = WATCHERS[session] = asyncio.Queue()
    first = {"Version": STATE["version"], "SessionID": session}
    if mask & 2:
        first["State"] = {"NoState": 0, "NeedsLogin": 2, "Stopped": 4, "Starting": 5, "Running": 6}[STATE["state"]]
    if mask & 4:
        first["Prefs"] = {"ControlURL": "https://control.example.com", "WantRunning": STATE["state"] == "Running",
                          "RunSSH": STATE["ssh"]}
    if mask & 128:
        first["Health"] = {"Warnings": {}}
    if mask & (1 << 14):
        first["InitialStatus"] = status(True)
    writer.write(head(200, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}))
    left = asyncio.ensure_future(reader.read())
    line = json.dumps(first) + "\n"
    try:
        while line is not None:
            data = line.encode()
            writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            await writer.drain()
            take = asyncio.ensure_future(queue.get())
            await asyncio.wait([take, left], return_when=asyncio.FIRST_COMPLETED)
            if not take.done():
                take.cancel()
                return
            line = take.result()
        writer.write(b"0\r\n\r\n")
    finally:
        left.cancel()
        await asyncio.wait([left])
        del WATCHERS[session]
        foreground = (STATE["serve"] or {}).get("Foreground") or {}
        if session in foreground:  # a foreground configuration dies with its session
            del foreground[session]
            if not foreground:
                del STATE["serve"]["Foreground"]


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass


async def carry(spec):
    """Connections of this very process, as tailscaled's proxy and netstack make them."""

    async def on_arrival(reader, writer):
        if spec["to"].startswith("unix:"):
            far, far_writer = await asyncio.open_unix_connection(spec["to"][5:])
        else:
            far, far_writer = await asyncio.open_connection(*spec["to"].rsplit(":", 1))
        if spec.get("as"):
            STATE["whois"]["%s:%d" % far_writer.get_extra_info("sockname")[:2]] = whois(spec["as"])
        both = [asyncio.ensure_future(pump(reader, far_writer)), asyncio.ensure_future(pump(far, writer))]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
        far_writer.close()
        writer.close()

    await asyncio.start_unix_server(on_arrival, spec["listen"])


async def dial(headers, reader, writer):
    if "upgrade" not in headers.get("connection", "") or headers.get("upgrade") != "ts-dial":
        refuse(writer, 400, "bad ts-dial upgrade")
        return
    host, port = headers.get("dial-host", ""), headers.get("dial-port", "")
    if not host or not port:
        refuse(writer, 400, "missing Dial-Host or Dial-Port header")
        return
    known = {n: node["ip"][0] for n, node in STATE["nodes"].items()}
    known.update({f"{n}.{STATE['suffix']}": ip for n, ip in list(known.items())})
    ip = known.get(host, host)
    if f"{ip}:{port}" not in STATE["dial"] and ip not in [a for n in STATE["nodes"].values() for a in n["ip"]]:
        answer(writer, 200, b"", None, Dial_Self="true", Dial_Addr=f"{ip}:{port}")
        return
    target = STATE["dial"].get(f"{ip}:{port}")
    try:
        if target == "never":
            await asyncio.sleep(3600)
        if not target:
            raise OSError("connection was refused")
        if target.startswith("unix:"):
            far, far_writer = await asyncio.open_unix_connection(target[5:])
        else:
            far, far_writer = await asyncio.open_connection(*target.rsplit(":", 1))
    except OSError as error:
        refuse(writer, 502, f"dial failure: {error}")
        return
    writer.write(head(101, {"Connection": "upgrade", "Upgrade": "ts-dial"}, "Switching Protocols"))
    # As tailscaled: whichever side ends first ends both.
    both = [asyncio.ensure_future(pump(reader, far_writer)), asyncio.ensure_future(pump(far, writer))]
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    for task in both:
        task.cancel()
    far_writer.close()


async def control(path, body, writer):
    global STATE
    if path == "/double/set":
        STATE = merge(STATE, json.loads(body))
    elif path == "/double/bus":
        for line in body.decode().splitlines():
            for queue in WATCHERS.values():
                queue.put_nowait(line + "\n")
    elif path == "/double/raw":
        for queue in WATCHERS.values():
            queue.put_nowait(body.decode("utf-8", "surrogateescape"))
    elif path == "/double/carry":
        await carry(json.loads(body))
    elif path == "/double/drop":
        for queue in WATCHERS.values():
            queue.put_nowait(None)
    answer(writer, 200, json.dumps({"log": LOG, "watchers": len(WATCHERS), "serve": STATE["serve"]}).encode())


async def route(method, target, headers, body, reader, writer):
    url = urlsplit(target)
    query = parse_qs(url.query)
    if url.path.startswith("/double/"):
        await control(url.path, body, writer)
        return
    name = url.path.removeprefix("/localapi/v0/")
    mode = STATE["modes"].get(name)
    LOG.append(f"{method} {target}" + (f" If-Match: {headers['if-match']}" if headers.get("if-match") else ""))
    if headers.get("referer") or headers.get("origin") or headers.get("host") not in ("", "local-tailscaled.sock"):
        refuse(writer, 403, "invalid localapi request")
    elif mode == "slow":
        await asyncio.sleep(float(STATE.get("slow", 1)))
        await route_known(name, method, query, headers, body, None, reader, writer)
    elif not (mode and await played(mode, writer)):
        await route_known(name, method, query, headers, body, mode, reader, writer)


async def route_known(name, method, query, headers, body, mode, reader, writer):
    if STATE["deny"] == "read" and name != "dial":
        refuse(writer, 403, name.split("-")[0] + " access denied")
    elif name == "status":
        send_json(writer, status(query.get("peers", ["true"])[0] != "false"), mode)
    elif name == "whois":
        found = whois(query["addr"][0]) if query.get("addr") else None
        if not query.get("addr"):
            refuse(writer, 400, "missing 'addr' parameter")
        elif found is None:
            refuse(writer, 404, "no match for IP:port")
        else:
            send_json(writer, None, mode, json.dumps(found, indent="\t"))
    elif name == "serve-config":
        await serve_config(method, headers, body, mode, writer)
    elif name == "watch-ipn-bus":
        await watch(query, reader, writer)
    elif name == "dial" and method == "POST":
        await dial(headers, reader, writer)
    elif name == "prefs" and method == "GET":
        send_json(writer, {"ControlURL": "https://control.example.com", "WantRunning": True}, mode)
    else:
        refuse(writer, 404, "404 page not found")


async def on_connection(reader, writer):
    try:
        while True:
            method, target, headers, body = await read_request(reader)
            await route(method, target, headers, body, reader, writer)
            await writer.drain()
            if headers.get("connection", "").lower() in ("close", "upgrade"):
                break
    except (asyncio.IncompleteReadError, ConnectionError, ValueError):
        pass
    finally:
        writer.close()


async def main():
    global STATE
    path = sys.argv[1]
    if len(sys.argv) > 2:
        with open(sys.argv[2], encoding="utf-8") as script:
            STATE = merge(STATE, json.load(script))
    if os.path.exists(path):
        os.unlink(path)
    server = await asyncio.start_unix_server(on_connection, path, limit=16 << 20)
    os.chmod(path, 0o666)
    print("ready", flush=True)
    over = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_reader(0, lambda: over.done() or os.read(0, 4096) or over.set_result(None))
    await over
    server.close()
    os.unlink(path)
    os._exit(0)  # connections that wait for nothing end with us


if __name__ == "__main__":
    asyncio.run(main())
