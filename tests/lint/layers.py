"""Who may include whom: base <- base/io <- {store, tunnel} <- {relay, node-agent} <- gateway; across
folders only public headers; one door per third-party library."""
import os
import re

import tree

BELOW = {
    "base": [],
    "base/io": ["base"],
    "store": ["base", "base/io"],
    "tunnel": ["base", "base/io"],
    "relay": ["base", "base/io", "store", "tunnel"],
    "node-agent": ["base", "base/io", "store", "tunnel"],
    "gateway": ["base", "base/io", "store", "tunnel", "relay", "node-agent"],
}
# The header that other folders may include. base is all public, but for its private headers.
PUBLIC = {
    "base": ["base/*.h", "base/*.def"],
    "base/io": ["base/io/*.h"],
    "store": ["store/store.h"],
    "tunnel": ["tunnel/tunnel.h", "tunnel/bridge.h", "tunnel/tailnet.h"],
    "relay": ["relay/relay.h"],
    "node-agent": ["node-agent/node.h", "node-agent/node_agent.h"],
}
PRIVATE = ["*_private.h", "*_internal.h", "*_impl.h"]
# Third-party headers and the files that are their door.
DOORS = {
    r"cjson/.*|cJSON\.h": ["base/json.c", "base/json_*.[ch]"],
    r"sodium\.h": ["base/crypto.c", "base/crypto_*.c"],
    r"uv\.h": ["base/io/loop*.[ch]", "base/io/work.c", "base/io/child*.[ch]", "base/io/ws*.[ch]"],
    r"libwebsockets\.h": ["base/io/ws*.[ch]"],
    r"openssl/.*": ["base/io/ws*.c", "base/io/tls*.c"],
    r"curl/.*": ["base/io/http*.[ch]"],
    r"sqlite3\.h": ["store/*.[ch]"],
    r"libssh2.*": ["tunnel/*.[ch]", "tunnel/ssh/*.[ch]"],
    r"zmq.*\.h": ["relay/*.[ch]"],
    r"nats.*": ["relay/*.[ch]"],
    r"qrencode\.h": ["gateway/cli/qr.c"],
}
C_LIBRARY = re.compile(r"(arpa|linux|net|netinet|sys|asm)/|[a-z0-9]+\.h$")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+([<"])([^>"]+)[>"]', re.M)


def floor(name):
    return "base/io" if name.startswith("base/io/") else name.split("/")[0]


def check_own(name, target, where, problems):
    if target.startswith(".") or not os.path.exists(os.path.join(tree.TOP, target)):
        problems.append(f'{where}: "{target}" is not a path from the top of the tree')
        return
    mine, theirs = floor(name), floor(target)
    if mine == theirs:
        return
    if theirs not in BELOW[mine]:
        problems.append(f"{where}: {mine} may not include {target}; it may use {BELOW[mine] or 'nothing'}")
    elif not tree.matches(target, PUBLIC[theirs]) or tree.matches(target, PRIVATE):
        problems.append(f"{where}: {target} is private to {theirs}")


def check_library(name, target, where, problems):
    for header, doors in DOORS.items():
        if re.fullmatch(header, target):
            if not tree.matches(name, doors):
                problems.append(f"{where}: <{target}> belongs behind its door, {' '.join(doors)}")
            return
    if not C_LIBRARY.match(target):
        problems.append(f"{where}: <{target}>: a library without a door; add it to tests/lint/layers.py")


problems = []
names = tree.sources(".c", ".h")
for name in names:
    text = tree.uncommented(tree.read(name))
    for found in INCLUDE.finditer(text):
        where = f"{name}:{tree.line_of(text, found.start())}"
        check = check_own if found.group(1) == '"' else check_library
        check(name, found.group(2), where, problems)
tree.finish(problems, len(names))
