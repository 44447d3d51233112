#!/usr/bin/env python3
"""An Agent Client Protocol program that does on request what such programs should not do.

The prompt's first word says what: hello, work, permit, crash, signal, hang, wait, flood, flood-bytes, garbage,
garbage-many, huge, twice, ids, grandchild, env, memory, image, bad-stop, tools-many, fail, read PATH, write PATH
TEXT, ask METHOD PARAMS. Options change how it starts: --hang-init --version N --exit-init N --auth --load FILE --image --deaf
(SIGTERM and the end of its input are ignored).
"""
import json
import os
import select
import signal
import subprocess
import sys
import time

options = sys.argv[1:]


def option(name, default=None):
    return options[options.index(name) + 1] if name in options else default


out = sys.stdout.buffer
inp = sys.stdin.buffer
state = {"id": 0, "signed_in": "--auth" not in options, "sessions": {}, "asked": []}


def send(message):
    out.write(json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False).encode() + b"\n")
    out.flush()


def read():
    while True:
        line = inp.readline()
        if line:
            return json.loads(line)
        if "--deaf" not in options:
            sys.exit(0)
        time.sleep(1)


def update(session, news, **members):
    send({"method": "session/update",
          "params": {"sessionId": session, "update": {"sessionUpdate": news, **members}}})


def say(session, text):
    update(session, "agent_message_chunk", content={"type": "text", "text": text})


def ask(method, params):
    """Asks and waits for the answer; a cancel that comes meanwhile is kept."""
    state["id"] += 1
    mine = state["id"]
    send({"id": mine, "method": method, "params": params})
    while True:
        message = read()
        if "method" not in message and message.get("id") == mine:
            return message
        state["asked"].append(message)


def cancelled(session):
    return any(m.get("method") == "session/cancel" and m["params"]["sessionId"] == session
               for m in state["asked"])


def wait_cancel(session):
    while not cancelled(session):
        state["asked"].append(read())


def permit(session, words):
    kinds = words.split(",") if words else ["allow_once", "allow_always", "reject_once"]
    call = {"toolCallId": "edit-1", "title": "Write the file", "kind": "edit", "status": "pending",
            "rawInput": {"path": "/etc/hosts", "content": "127.0.0.1 localhost"}}
    say(session, "May I? ")
    update(session, "tool_call", **call)
    answer = ask("session/request_permission", {
        "sessionId": session, "toolCall": call,
        "options": [{"optionId": "o-" + kind, "name": kind, "kind": kind} for kind in kinds]})
    outcome = answer["result"]["outcome"]
    chosen = outcome.get("optionId", outcome["outcome"])
    if outcome["outcome"] == "cancelled" and cancelled(session):
        return "cancelled"
    allowed = chosen.startswith("o-allow")
    update(session, "tool_call_update", toolCallId="edit-1",
           status="completed" if allowed else "failed",
           content=[{"type": "content", "content": {"type": "text", "text": "chose " + chosen}}])
    say(session, "The answer was %s." % chosen)


def work(session, _):
    update(session, "plan", entries=[{"content": "look", "priority": "high", "status": "pending"}])
    update(session, "agent_thought_chunk", content={"type": "text", "text": "Let me think."})
    say(session, "First I read. ")
    update(session, "tool_call", toolCallId="t1", title="Read a file", kind="read", status="pending")
    update(session, "tool_call_update", toolCallId="t1", status="in_progress",
           rawInput={"path": "a.txt"})
    update(session, "tool_call", toolCallId="t2", title="Search", kind="search",
           status="in_progress", rawInput={"query": "b"})
    update(session, "tool_call_update", toolCallId="t2", status="failed",
           rawOutput={"error": "nothing found"})
    update(session, "tool_call_update", toolCallId="t1", status="completed",
           content=[{"type": "content", "content": {"type": "text", "text": "the file"}}])
    update(session, "something_new", what=1)
    update(session, "usage_update", used=1200, size=200000)
    say(session, "Then I ")
    say(session, "answer: größer ✓.")


def crash(session, _):
    say(session, "I am about to")
    sys.stderr.write("Traceback: api_key=sk-test-0123456789abcdef was refused\n")
    sys.stderr.flush()
    os._exit(3)


def kill_self(session, _):
    say(session, "I am about to")
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(session, _):
    say(session, "Wait for it")
    while True:
        time.sleep(60)


def wait(session, _):
    say(session, "Until you stop me")
    wait_cancel(session)
    say(session, " I stop.")
    return "cancelled"


def flood(session, words):
    line = json.dumps({"jsonrpc": "2.0", "method": "session/update", "params": {
        "sessionId": session, "update": {"sessionUpdate": "agent_message_chunk",
                                         "content": {"type": "text", "text": "0123456789"}}}})
    block = (line + "\n").encode() * 100
    for _ in range(int(words or "20000") // 100):
        out.write(block)
    out.flush()


def plans(session, words):
    for i in range(int(words)):
        update(session, "plan", entries=[{"content": "step %d" % i, "priority": "low",
                                          "status": "pending"}])
        update(session, "usage_update", used=i, size=200000)


def flood_bytes(session, _):
    while True:
        update(session, "tool_call_update", toolCallId="t", status="in_progress",
               content=[{"type": "content", "content": {"type": "text", "text": "x" * 100000}}])


def garbage(session, words):
    for i in range(int(words or "10")):
        out.write(b"this is not JSON %d \xff\n" % i)
    out.write(b"[1,2]\n\n{}\n")
    out.flush()
    say(session, "still here")


def huge(session, _):
    out.write(b'{"jsonrpc":"2.0","method":"session/update","params":{"x":"')
    for _ in range(20):
        out.write(b"y" * (1 << 20))
    out.write(b'"}}\n')
    out.flush()


def ids(session, _):
    for bad in (1, 2, 3, 99, "prompt", None):
        send({"id": bad, "result": {"stopReason": "end_turn"}} if bad != state["prompt"]
             else {"id": 100000, "result": {}})
    send({"id": 7, "error": {"code": -1, "message": "nothing asked this"}})
    mine = state["prompt"]
    send({"id": mine, "method": "terminal/create", "params": {"sessionId": session}})
    answer = read()
    say(session, "code %d for %s" % (answer["error"]["code"], answer["id"] == mine))


def grandchild(session, words):
    child = subprocess.Popen(["sh", "-c", "trap '' TERM HUP; exec sleep 1000"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    say(session, "pids %d %d" % (os.getpid(), child.pid))
    if words == "crash":
        os._exit(5)
    if words == "hang":
        hang(session, "")


def env(session, _):
    say(session, " ".join(sorted(os.environ)) + " in " + os.getcwd())


def memory(session, _):
    said = state["sessions"][session]
    say(session, "I was told %d things: %s" % (len(said), "; ".join(said)))


def image(session, _):
    blocks = [b for b in state["blocks"] if b["type"] == "image"]
    say(session, "I see %d %s" % (len(blocks), blocks[0]["mimeType"] if blocks else ""))


def tools_many(session, _):
    for i in range(2000):
        update(session, "tool_call", toolCallId="t%d" % i, title="x", kind="other")


def read_file(session, words):
    answer = ask("fs/read_text_file", {"sessionId": session, "path": words})
    say(session, json.dumps(answer.get("result", answer.get("error"))))


def write_file(session, words):
    path, _, text = words.partition(" ")
    answer = ask("fs/write_text_file", {"sessionId": session, "path": path, "content": text})
    say(session, json.dumps(answer.get("result", answer.get("error"))))


def ask_as_told(session, words):
    method, _, params = words.partition(" ")
    answer = ask(method, {**json.loads(params), "sessionId": session})
    say(session, json.dumps(answer.get("result", answer.get("error"))))


def twice(session, _):
    say(session, "once")
    send({"id": state["prompt"], "result": {"stopReason": "end_turn"}})
    say(session, "and again")


def fail(session, _):
    say(session, "half an answer")
    raise ValueError("the model is gone, token: abcdef123456")


def hello(session, words):
    for word in ("you said " + words).split():
        say(session, word + " ")
        time.sleep(0.02)
        if select.select([inp], [], [], 0)[0]:
            state["asked"].append(read())
        if cancelled(session):
            return "cancelled"
    return None


verbs = {
    "hello": hello, "work": work, "permit": permit, "crash": crash, "signal": kill_self,
    "hang": hang, "wait": wait, "flood": flood, "flood-bytes": flood_bytes, "plans": plans, "garbage": garbage,
    "garbage-many": lambda s, w: garbage(s, "500"), "huge": huge, "twice": twice, "ids": ids,
    "grandchild": grandchild, "env": env, "memory": memory, "image": image,
    "bad-stop": lambda s, w: "tired", "tools-many": tools_many, "read": read_file,
    "write": write_file, "ask": ask_as_told, "fail": fail, "refuse": lambda s, w: "refusal",
}


def initialize(_):
    if "--hang-init" in options:
        time.sleep(1000)
    if "--exit-init" in options:
        sys.stderr.write("cannot find my model\n")
        sys.stderr.flush()
        os._exit(int(option("--exit-init")))
    return {"protocolVersion": int(option("--version", "1")),
            "agentCapabilities": {"loadSession": "--load" in options,
                                  "promptCapabilities": {"image": "--image" in options}},
            "authMethods": [{"id": "card", "name": "Card"}] if "--auth" in options else []}


class Refused(Exception):
    pass


def new_session(_):
    if not state["signed_in"]:
        raise Refused("sign in first")
    name = "s%d-%d" % (os.getpid(), len(state["sessions"]))
    state["sessions"][name] = []
    return {"sessionId": name}


def load_session(params):
    with open(option("--load"), encoding="utf-8") as file:
        said = json.load(file)[params["sessionId"]]
    state["sessions"][params["sessionId"]] = said
    for text in said:
        update(params["sessionId"], "user_message_chunk", content={"type": "text", "text": text})
        say(params["sessionId"], "an old answer")
    return {}


def authenticate(params):
    state["signed_in"] = params["methodId"] == "card"
    return {}


def prompt(params):
    session = params["sessionId"]
    state["blocks"] = params["prompt"]
    text = "\n".join(b["text"] for b in params["prompt"] if b["type"] == "text")
    state["sessions"][session].append(text)
    if "--load" in options:
        with open(option("--load"), "w", encoding="utf-8") as file:
            json.dump(state["sessions"], file)
    verb, _, words = text.split("\n")[-1].partition(" ")
    return {"stopReason": verbs.get(verb, hello)(session, words) or "end_turn",
            "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}}


methods = {"initialize": initialize, "session/new": new_session, "session/load": load_session,
           "authenticate": authenticate, "session/prompt": prompt}


def serve(message):
    try:
        if message["method"] == "session/prompt":
            state["prompt"] = message["id"]
        send({"id": message["id"], "result": methods[message["method"]](message["params"])})
    except Refused as why:
        send({"id": message["id"], "error": {"code": -32000, "message": str(why)}})
    except (KeyError, ValueError, OSError) as why:
        send({"id": message["id"], "error": {"code": -32603, "message": str(why)}})


if "--deaf" in options:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    todo = state["asked"].pop(0) if state["asked"] else read()
    if "method" in todo and "id" in todo:
        serve(todo)
