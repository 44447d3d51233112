"""kill -9 while chat.send is acknowledged: whatever was acknowledged is in the transcript exactly once after the
restart, a repeated key runs nothing twice, a turn cut off is told as interrupted, no session is stuck, and the event
log neither loses what was published nor gives an offset a second time. The same where messages join the run that
answers (steer) or are answered together (collect). CULVERT_SEED=n: other moments."""
import asyncio
import collections
import contextlib
import json
import os
import random
import sqlite3
import time

from kit import LONG, Closed, Client, Gateway, Model, check, history, main, say, until

SESSIONS, IN_FLIGHT = 6, 3  # of them in each session
WANTED = 1000 if LONG else 150
LIFE_S, PAUSE_S = 1.2, 1.0  # a gateway lives and a sender waits at most so long
PROBE = "probe"


class Ledger:
    """What the clients know, over all the lives of the gateway."""

    def __init__(self):
        self.session = {}  # key: its session, in the order in which they were made
        self.acknowledged, self.finals, self.unknown = set(), set(), set()
        self.logged = {}  # offset: what stood there

    def make(self, session):
        key = f"key-{len(self.session) + 1:05d}."
        self.session[key] = session
        return key

    def on_event(self, frame):
        if frame.get("event") == "chat" and frame["payload"]["state"] in ("final", "error", "aborted"):
            self.finals.add((frame["payload"]["runId"], frame["payload"]["state"]))


def send(client, ledger, key):
    return client.call("chat.send", {"sessionKey": ledger.session[key], "message": f"say {key}", "idempotencyKey": key})


async def sender(client, ledger, session):
    """One message after the other until the connection breaks; one whose answer did not come is unknown."""
    while len(ledger.acknowledged) < WANTED:
        await asyncio.sleep(random.uniform(0, PAUSE_S))
        key = ledger.make(session)
        ledger.unknown.add(key)
        with contextlib.suppress(asyncio.TimeoutError):
            answer = await send(client, ledger, key)
            if answer["ok"]:
                ledger.acknowledged.add(key)
                ledger.unknown.discard(key)
            else:  # the lane is full: nothing was taken
                ledger.unknown.discard(key)
                del ledger.session[key]
                check("a refused message says that too many wait", "waiting" in answer["error"]["message"], answer)
                await asyncio.sleep(0.05)


async def one_life(gateway, ledger):
    """Load until the kill. Some kills come while it starts."""
    end = time.monotonic() + random.uniform(0.02, LIFE_S)
    gateway.spawn()
    tasks = []
    with contextlib.suppress(Closed):
        ready = asyncio.create_task(gateway.ready())
        await asyncio.wait([ready], timeout=max(0, end - time.monotonic()))
        if ready.done():
            client = await Client.open(gateway, unix=True, on_event=ledger.on_event)
            tasks = [asyncio.create_task(sender(client, ledger, f"s{at % SESSIONS}")) for at in range(SESSIONS * IN_FLIGHT)]
            while time.monotonic() < end and len(ledger.acknowledged) < WANTED:
                await asyncio.sleep(0.005)
        ready.cancel()
    gateway.kill()
    await asyncio.gather(*tasks, return_exceptions=True)
    return bool(tasks)


async def settle(gateway, ledger):
    """A start that is left in peace: the keys whose answer did not come are asked again, as a client would."""
    await gateway.start()
    client = await Client.open(gateway, unix=True, on_event=ledger.on_event)
    await client.value("chat.send", {"sessionKey": PROBE, "message": "hello", "idempotencyKey": f"probe-{gateway.starts}"})
    # Commits end in order: what this start put into the store before is there.
    before = {session: await history(client, session) for session in sorted(set(ledger.session.values()))}
    check_transcripts(ledger, before)
    await check_repeats(client, ledger)
    check_log(gateway, ledger)
    return client


def check_transcripts(ledger, transcripts):
    """A message is named by its key, an answer by its run: the key of the message that began it."""
    said, run_of, answered = {}, {}, {}
    for session, messages in transcripts.items():
        for message in messages:
            run = message["__openclaw"].get("runId")
            if message["role"] == "user":
                key = message["idempotencyKey"].removesuffix(":user")
                said.setdefault(key, []).append((session, message["content"]))
                run_of[key] = run
            else:
                answered.setdefault(run, []).append(message)
    lost = [key for key in ledger.acknowledged if key not in said]
    check("every acknowledged message is there", not lost, lost)
    twice = {key: where for key, where in said.items() if len(where) > 1}
    check("none is there twice", not twice, twice)
    wrong = {k: w for k, w in said.items() if k in ledger.session and w[0] != (ledger.session[k], f"say {k}")}
    check("each is in its session, whole", not wrong, wrong)
    asked = collections.Counter(run_of.values())
    more = {run: found for run, found in answered.items() if len(found) > asked[run]}
    check("no turn has two ends", not more, more)
    cut = [run for run, found in answered.items() if any(m["stopReason"] != "stop" for m in found[:-1])]
    check("nothing is said after an interruption", not cut, cut)
    open_ends = [key for key, run in run_of.items() if run not in answered]
    check("every turn of an earlier life has an end", not open_ends, open_ends)
    odd = [m for found in answered.values() for m in found if m["stopReason"] != "stop" and
           m.get("openclawAbort", {}).get("origin") != "interrupted"]
    check("an end is an answer or says that it was interrupted", not odd, odd)
    untold = [key for key, state in ledger.finals if state == "final" and key in ledger.session
              and answered.get(run_of.get(key), [{}])[-1].get("stopReason") != "stop"]
    check("an end that was published is kept as published", not untold, untold)
    ledger.joined = sum(key != run for key, run in run_of.items())
    ledger.interrupted = sum(m["stopReason"] != "stop" for found in answered.values() for m in found)


async def check_repeats(client, ledger):
    """Known keys are answered from what is known; unknown ones run now, once."""
    known = random.sample(sorted(ledger.acknowledged), min(25, len(ledger.acknowledged)))
    answers = await asyncio.gather(*(send(client, ledger, key) for key in known))
    wrong = [(key, a) for key, a in zip(known, answers) if (a.get("payload") or {}).get("status") not in ("ok", "error")]
    check("a repeated key is answered with its end", not wrong, wrong)
    for key in sorted(ledger.unknown):
        answer = await send(client, ledger, key)
        status = (answer.get("payload") or {}).get("status")
        if check("a key whose answer was lost is taken once", status in ("started", "ok", "error"), answer):
            ledger.acknowledged.add(key)
            ledger.unknown.discard(key)


def check_log(gateway, ledger):
    database = sqlite3.connect(f"file:{os.path.join(gateway.state, 'culvert.db')}?mode=ro", uri=True)
    rows = database.execute("SELECT offset, name, at, payload FROM log").fetchall()
    terms = database.execute("SELECT number, first_offset FROM term ORDER BY number").fetchall()
    database.close()
    now = {row[0]: row[1:3] + (hash(row[3]),) for row in rows}
    changed = [offset for offset, what in ledger.logged.items() if now.get(offset) != what]
    check("no offset of the log is lost or given again", not changed, changed[:20])
    check("every start begins above the last head", [t[1] for t in terms] == sorted(t[1] for t in terms), terms)
    kept = {(p["runId"], p["state"]) for p in (json.loads(r[3]) for r in rows if r[1] == "chat")}
    check("what was published is in the log", ledger.finals <= kept, sorted(ledger.finals - kept)[:20])
    ledger.logged = now


async def nobody_is_stuck(client, ledger):
    """A new message in every session is answered to its end."""
    keys = [ledger.make(session) for session in sorted(set(ledger.session.values()))]
    for key in keys:
        answer = await send(client, ledger, key)
        if check("a session takes a new message after the kill", answer["ok"], answer):
            ledger.acknowledged.add(key)
    ended = await until(lambda: all((key, "final") in ledger.finals for key in keys), 60)
    check("and answers it", ended, [key for key in keys if (key, "final") not in ledger.finals])


async def killed(folder, config):
    gateway, ledger, kills, idle = Gateway(folder, config), Ledger(), 0, 0
    try:
        while len(ledger.acknowledged) < WANTED:
            idle += not await one_life(gateway, ledger)
            kills += 1
            if kills % 3 and len(ledger.acknowledged) < WANTED:
                continue  # several kills in a row, also in the middle of the recovery
            client = await settle(gateway, ledger)
            if ledger.session:
                await nobody_is_stuck(client, ledger)
            client.abandon()
            gateway.kill()
            kills += 1
        client = await settle(gateway, ledger)
        answers = await asyncio.gather(*(send(client, ledger, key) for key in list(ledger.session)))
        again = [a for a in answers if (a.get("payload") or {}).get("status") == "started"]
        check("all the keys again: nothing runs", not again, again[:5])
        await client.value("chat.send", {"sessionKey": PROBE, "message": "end", "idempotencyKey": "probe-end"})
        await client.close()
        status, seconds = await gateway.stop()
        check("the last gateway leaves with status 0", status == 0, f"{status}\n{gateway.log()[-2000:]}")
        await gateway.start()
        client = await Client.open(gateway, unix=True)
        check_transcripts(ledger, {s: await history(client, s) for s in sorted(set(ledger.session.values()))})
        check_log(gateway, ledger)
        await client.close()
    finally:
        await gateway.stop()
        gateway.check_log("all the lives")
    say(f"{len(ledger.acknowledged)} acknowledged over {kills} kills ({idle} before it listened), "
        f"{ledger.joined} joined another, {ledger.interrupted} turns interrupted, {len(ledger.finals)} ends published, {len(ledger.logged)} log rows")
    return ledger


def queued(config, mode):
    return config | {"messages": {"queue": {"mode": mode, "debounceMs": 50}}}


async def echo(folder):
    await killed(folder, queued({"agents": {"defaults": {"maxConcurrent": 32}}}, "followup"))


async def slow_model(folder, mode="followup"):
    async with Model(words=12, pause=0.03) as model:
        return await killed(folder, queued(model.config(), mode))


async def steer(folder):
    ledger = await slow_model(folder, "steer")
    check("messages joined runs", ledger.joined > 10, ledger.joined)


async def collect(folder):
    ledger = await slow_model(folder, "collect")
    check("messages were answered together", ledger.joined > 10, ledger.joined)


if __name__ == "__main__":
    main(echo, slow_model, steer, collect)
