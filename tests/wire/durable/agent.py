"""The built-in agent over real sockets: a whole turn with a tool as v3 and v4 clients hear it, several agents by session
key, and kill -9 in the middle of a tool: after the restart the finished work is there, the cut call and the run are told
as interrupted once, and the next turn goes on from that."""
import asyncio
import contextlib
import json
import os
import re

from kit import Client, Gateway, Model, check, history, main, running, until

EVERYTHING = {"exec": {"security": "full", "ask": "off"}}


class Script(Model):
    """Answers request n with step n: a text, or a list of (name, arguments) to call. What was asked is kept."""

    def __init__(self, *steps):
        super().__init__()
        self.steps, self.requests = steps, []

    def chunk(self, step):
        if isinstance(step, str):
            return {"content": step}, "stop"
        calls = [{"index": i, "id": f"call_{len(self.requests)}_{i}", "type": "function",
                  "function": {"name": name, "arguments": json.dumps(arguments)}} for i, (name, arguments) in enumerate(step)]
        return {"content": "Working. ", "tool_calls": calls}, "tool_calls"

    async def serve(self, reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(re.search(r"(?i)content-length: (\d+)", head)[1])
            self.requests.append(json.loads(await reader.readexactly(length)))
            delta, reason = self.chunk(self.steps[min(len(self.requests), len(self.steps)) - 1])
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            for choice in ({"delta": delta}, {"delta": {}, "finish_reason": reason}):
                writer.write(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
            writer.write(b'data: {"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":10}}\n\ndata: [DONE]\n\n')
            await writer.drain()
        writer.close()


def write_file(gateway, name, text, workspace="workspace"):
    folder = os.path.join(gateway.state, workspace)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with open(os.path.join(folder, name), "w") as file:
        file.write(text)


def streams(client, stream):
    return [e["payload"] for e in client.events if e.get("event") == "agent" and e["payload"]["stream"] == stream]


def chats(client, state):
    return [e["payload"] for e in client.events if e.get("event") == "chat" and e["payload"]["state"] == state]


def text_of(message):
    content = message.get("content", "")
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


async def whole_turn(folder):
    async with Script([("read", {"path": "notes.md"})], "The notes say 42.") as model, \
            running(folder, model.config(tools=EVERYTHING)) as gateway:
        write_file(gateway, "AGENTS.md", "Be exact about numbers.")
        write_file(gateway, "notes.md", "the answer is 42")
        v3 = await Client.open(gateway, version=3)
        v4 = await Client.open(gateway, version=4, caps=["tool-events"])
        quiet = await Client.open(gateway, version=4)
        await v4.value("sessions.patch", {"key": "main", "verboseLevel": "full"})
        await v4.value("chat.send", {"sessionKey": "main", "message": "What do the notes say?", "idempotencyKey": "k1"})
        for name, client in (("v3", v3), ("v4", v4), ("v4 without the cap", quiet)):
            check(f"{name} hears the end", await until(lambda: chats(client, "final")), client.events)
            check(f"{name} hears the answer", "42" in text_of(chats(client, "final")[0]["message"]), chats(client, "final"))
        for name, client in (("v3", v3), ("v4", v4)):
            tools = streams(client, "tool")
            check(f"{name} hears the tool begin and end", [t["data"]["phase"] for t in tools] == ["start", "result"], tools)
            check(f"{name} hears which and with what", tools and tools[0]["data"]["name"] == "read"
                  and tools[0]["data"]["args"] == {"path": "notes.md"}, tools)
            check(f"{name} hears what came of it", tools and "the answer is 42" in json.dumps(tools[-1]["data"]["result"])
                  and tools[-1]["data"]["isError"] is False, tools)
            order = [(e["payload"]["stream"], e["payload"]["data"].get("phase")) for e in client.events if e.get("event") == "agent"
                     and e["payload"]["stream"] in ("lifecycle", "tool")]
            check(f"{name} hears them in order", order == [("lifecycle", "start"), ("tool", "start"), ("tool", "result"),
                                                          ("lifecycle", "end")], order)
        check("a v4 client without the cap hears no tools", not streams(quiet, "tool"), quiet.events)
        first, second = model.requests
        check("the model reads the workspace's files", "Be exact about numbers." in json.dumps(first["messages"][0]), first["messages"][0])
        check("the model is told of its tools", {"read", "exec"} <= {t["function"]["name"] for t in first["tools"]}, first.get("tools"))
        check("the model gets the tool's result", "the answer is 42" in json.dumps(second["messages"][-1]), second["messages"][-1])
        roles = [m["role"] for m in await history(v4, "main")]
        check("the transcript has the whole turn", roles == ["user", "assistant", "toolResult", "assistant"], roles)
        row = (await v4.value("sessions.describe", {"key": "main"}))["session"]
        check("the session counts the whole run", row.get("inputTokens") == 200 and row.get("outputTokens") == 20, row)


async def agents_by_key(folder):
    async with Script("Hello.") as model:
        config = model.config()
        config["agents"]["list"] = [{"id": "main", "name": "Ada"}, {"id": "ops", "name": "Ben", "model": "slow/other"}]
        async with running(folder, config) as gateway:
            write_file(gateway, "SOUL.md", "calm")
            write_file(gateway, "SOUL.md", "curt", "workspace-ops")
            client = await Client.open(gateway)
            for key in ("agent:main:main", "agent:ops:main"):
                await client.value("chat.send", {"sessionKey": key, "message": "hi", "idempotencyKey": key})
            check("both answer", await until(lambda: len(chats(client, "final")) == 2), client.events)
            asked = {r["model"]: json.dumps(r["messages"][0]) for r in model.requests}
            check("each with its model", set(asked) == {"one", "other"}, asked.keys())
            check("each as itself", "You are Ada" in asked.get("one", "") and "You are Ben" in asked.get("other", ""), asked)
            check("each with its own files", "calm" in asked.get("one", "") and "curt" in asked.get("other", "")
                  and "curt" not in asked.get("one", ""), asked)
            listed = await client.value("agents.list")
            check("agents.list tells both", [(a["id"], a["name"], a["model"]["primary"]) for a in listed["agents"]]
                  == [("main", "Ada", "slow/one"), ("ops", "Ben", "slow/other")], listed)
            check("agents.list tells their folders", [os.path.basename(a["workspace"]) for a in listed["agents"]]
                  == ["workspace", "workspace-ops"], listed)


async def killed_in_a_tool(folder):
    async with Script([("read", {"path": "notes.md"})], [("exec", {"command": "sleep 2; touch done"})], "Going on.") as model:
        gateway = Gateway(folder, model.config(tools=EVERYTHING))
        write_file(gateway, "notes.md", "the answer is 42")
        await gateway.start()
        client = await Client.open(gateway, caps=["tool-events"])
        await client.value("chat.send", {"sessionKey": "main", "message": "Look, then work.", "idempotencyKey": "k1"})
        began = await until(lambda: any(t["data"]["name"] == "exec" for t in streams(client, "tool")))
        check("the second tool runs", began, client.events)
        await client.value("chat.history", {"sessionKey": "main"})
        gateway.kill()
        await gateway.start()
        client = await Client.open(gateway)
        messages = await history(client, "main")
        roles = [m["role"] for m in messages]
        check("finished work is kept, the cut call has its result", roles ==
              ["user", "assistant", "toolResult", "assistant", "toolResult", "assistant"], messages)
        check("the finished result is whole", "the answer is 42" in json.dumps(messages[2]), messages[2])
        check("the cut call failed", messages[4].get("isError") is True, messages[4])
        told = [m for m in messages if "interrupted" in m.get("errorMessage", "")]
        check("interrupted is told once", len(told) == 1 and messages[-1] is told[0], messages)
        again = await client.call("chat.send", {"sessionKey": "main", "message": "Look, then work.", "idempotencyKey": "k1"})
        check("the key runs nothing again", not again["ok"] and len(model.requests) == 2, again)
        await client.value("chat.send", {"sessionKey": "main", "message": "Go on.", "idempotencyKey": "k2"})
        check("the next turn answers", await until(lambda: chats(client, "final")), client.events)
        asked = json.dumps(model.requests[-1]["messages"])
        check("it goes on from the finished work", "the answer is 42" in asked and "Go on." in asked, asked)
        calls = [c["id"] for m in model.requests[-1]["messages"] for c in m.get("tool_calls", [])]
        results = [m["tool_call_id"] for m in model.requests[-1]["messages"] if m["role"] == "tool"]
        check("every call has one result", calls == results and len(calls) == 2, (calls, results))
        await gateway.stop()
        gateway.check_log("the gateway")


main(whole_turn, agents_by_key, killed_in_a_tool)
