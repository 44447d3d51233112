"""SIGTERM in the middle of streaming turns with 200 connections: everyone hears `shutdown`, then 1012 "service restart";
the gateway is gone with status 0 within 6 s, also when some do not read; nothing acknowledged is lost, and the turns
that were cut off are ended as interrupted. protocol.md 5.2, 9.8."""
import asyncio
import contextlib

from kit import LONG, Client, Gateway, Model, check, history, main, percentile, say, until

CONNECTIONS = 200
VIEWERS, SESSIONS, DEAF = 40, 6, 5
EXIT_S = 6.0


async def connect_all(gateway):
    """Viewers hear the chats; the rest, without operator.read, only what everybody hears."""
    clients = []
    for at in range(CONNECTIONS):
        scopes = ("operator.read", "operator.write") if at < VIEWERS else ("operator.pairing",)
        clients.append(await Client.open(gateway, unix=at % 2 == 0, version=3 if at % 5 == 4 else 4, scopes=scopes))
    return clients


async def keep_sending(client, acknowledged, session):
    """Until the connection ends; what was acknowledged counts."""
    with contextlib.suppress(Exception):
        for at in range(1000):
            key = f"{session}-{at}"
            answer = await client.call("chat.send", {"sessionKey": session, "message": f"say {key}", "idempotencyKey": key})
            if answer["ok"]:
                acknowledged.append(key)
            else:
                await asyncio.sleep(0.02)


def streaming(clients):
    """Sessions whose deltas the first viewer has seen."""
    return {e["payload"]["sessionKey"] for e in clients[0].events if e.get("event") == "chat" and e["payload"]["state"] == "delta"}


def check_farewells(clients, deaf):
    wrong = []
    for at, client in enumerate(clients):
        if at in deaf:
            continue
        told = [e for e in client.events if e["event"] == "shutdown"]
        last = client.events[-1]["event"] if client.events else ""
        good = client.closed and (client.closed.code, client.closed.reason) == (1012, "service restart") and \
            len(told) == 1 and told[0]["payload"]["reason"] and "restartExpectedMs" not in told[0]["payload"] and client.in_order
        if not good:
            wrong.append(f"{at}: {client.closed} after {last}, {len(told)} shutdown events, in order {client.in_order}")
    check(f"each of {len(clients) - len(deaf)} connections hears shutdown, then 1012 service restart", not wrong, "\n".join(wrong[:10]))


async def check_after(gateway, acknowledged):
    """The next start: everything acknowledged once, every turn with an end, the sessions go on."""
    await gateway.start()
    client = await Client.open(gateway, unix=True)
    await client.value("chat.send", {"sessionKey": "probe", "message": "hello", "idempotencyKey": "probe"})
    said, ends, interrupted = [], [], 0
    for session in (f"t{at}" for at in range(SESSIONS)):
        for message in await history(client, session):
            run = message["__openclaw"]["runId"]
            (said if message["role"] == "user" else ends).append(run)
            interrupted += message["role"] == "assistant" and message.get("openclawAbort", {}).get("origin") == "interrupted"
    lost = [key for key in acknowledged if said.count(key) != 1]
    check("every acknowledged message is there once", not lost, lost)
    check("every turn has one end", sorted(said) == sorted(ends), set(said) ^ set(ends))
    check("the streaming turns are ended as interrupted", interrupted >= SESSIONS, interrupted)
    answer = await client.call("chat.send", {"sessionKey": "t0", "message": "say t0-0", "idempotencyKey": "t0-0"})
    check("a cut-off key is answered with its end", not answer["ok"] and answer["payload"]["status"] == "error", answer)
    await client.value("chat.send", {"sessionKey": "t0", "message": "again", "idempotencyKey": "again"})
    done = lambda: any(e["event"] == "chat" and e["payload"]["runId"] == "again" and e["payload"]["state"] == "final"
                       for e in client.events)
    check("and its session goes on", await until(done, 20))
    await client.close()
    return interrupted


async def one(folder, deaf):
    async with Model(words=2000, pause=0.02) as model:
        gateway = Gateway(folder, model.config(messages={"queue": {"mode": "followup", "cap": 64, "drop": "new"}}))
        try:
            await gateway.start()
            clients, acknowledged = await connect_all(gateway), []
            senders = [asyncio.create_task(keep_sending(clients[at], acknowledged, f"t{at}")) for at in range(SESSIONS)]
            check("all the turns stream", await until(lambda: len(streaming(clients)) == SESSIONS, 20), streaming(clients))
            for at in deaf:
                clients[at].reading.clear()
            await asyncio.sleep(0.5)
            status, seconds = await gateway.stop()
            check("status 0", status == 0, f"{status}\n{gateway.log()[-3000:]}")
            check(f"gone within {EXIT_S} s", seconds < EXIT_S, seconds)
            await asyncio.gather(*(c.gone(5) for at, c in enumerate(clients) if at not in deaf))
            check_farewells(clients, deaf)
            for client in clients:
                client.reading.set()
                client.abandon()
            await asyncio.gather(*senders, return_exceptions=True)
            model.words, model.pause = 5, 0
            interrupted = await check_after(gateway, acknowledged)
            say(f"gone after {seconds:.2f} s with {CONNECTIONS} connections ({len(deaf)} of them deaf), "
                f"{len(acknowledged)} acknowledged, {interrupted} interrupted")
            return seconds
        finally:
            await gateway.stop()
            gateway.check_log("both lives")


async def everyone_reads(folder):
    times = [await one(f"{folder}/{at}", ()) for at in range(10 if LONG else 1)]
    say(f"exit median {percentile(times, 0.5):.2f} s, slowest {max(times):.2f} s")


async def some_are_deaf(folder):
    await one(folder, range(VIEWERS - DEAF, VIEWERS))


if __name__ == "__main__":
    main(everyone_reads, some_are_deaf)
