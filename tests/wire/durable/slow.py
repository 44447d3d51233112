"""Readers that do not keep up, over real sockets: one keeps a pending delta per run and gets replace:true with the full
text when it reads again; one that never reads is closed 1008 "slow consumer" at its ceiling; past the ceiling of the
whole process the slowest goes first; memory stays bounded and nobody else waits. design.md section 4, protocol.md 5.1."""
import asyncio
import json
import os
import re
import sys

from kit import Client, Model, check, main, percentile, running, say, until

OUTPUT_MAX, OUTPUT_MAX_V3, OUTPUT_TOTAL_MAX = 52428800, 1572864, 268435456
RUNS, WORDS, WIDTH = 3, 800, 100
MIB = 1024 * 1024
WHOLE = {"agents": {"defaults": {"compaction": {"enabled": False}}}}  # a long history stays as it is
BAR_MS = 1000  # of the others' p99, with a sanitizer on a busy machine; the numbers are told


class Asker:
    """Another client, asker.py: how long its small questions take meanwhile."""

    @classmethod
    async def start(cls, gateway):
        self = cls()
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-B", os.path.join(os.path.dirname(__file__), "asker.py"), gateway.socket,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        await self.process.stdout.readline()
        return self

    async def end(self, what, bar):
        times = json.loads((await self.process.communicate(b""))[0])
        p50, p99, most = (1000 * percentile(times, part) for part in (0.5, 0.99, 1))
        say(f"{what}: {len(times)} calls of others, p50 {p50:.1f} ms, p99 {p99:.1f} ms, slowest {most:.1f} ms")
        check(f"{what}: the p99 of the others stays below {bar} ms", len(times) > 50 and p99 < bar, f"{p99:.1f} ms of {len(times)}")


# ---- deltas ----

class Viewer:
    """Puts the texts of the runs together as a client would: deltas are added, replace starts anew."""

    def __init__(self):
        self.text, self.deltas, self.replaced, self.final, self.wrong = {}, {}, {}, {}, []

    def see(self, frame):
        event, p = frame["event"], frame["payload"]
        if event == "chat" and p["state"] == "delta":
            whole = p["message"]["content"][0]["text"] if "message" in p else None
            self.add("chat", p["runId"], p["deltaText"], p.get("replace"), whole)
        elif event == "agent" and p["stream"] == "assistant":
            self.add("agent", p["runId"], p["data"]["delta"], p["data"].get("replace"), p["data"].get("text"))
        elif event == "chat":
            self.final[p["runId"]] = p["message"]["content"][0]["text"] if p["state"] == "final" else p["state"]

    def add(self, event, run, delta, replace, whole):
        key = (event, run)
        self.deltas[key] = self.deltas.get(key, 0) + 1
        self.replaced[key] = self.replaced.get(key, 0) + bool(replace)
        text = self.text[key] = delta if replace else self.text.get(key, "") + delta
        if whole is not None and text != whole:
            self.wrong.append(f"{key}: delta {self.deltas[key]} gives {len(text)} characters, the whole is {len(whole)}")


async def deltas(folder):
    """Three runs of 120 KB each; one viewer reads all the time, one pauses in the middle."""
    async with Model(words=WORDS, pause=0.008, width=WIDTH) as model, running(folder, model.config()) as gateway:
        fast, slow = Viewer(), Viewer()
        reader = await Client.open(gateway, unix=True, on_event=fast.see)
        sleeper = await Client.open(gateway, unix=True, on_event=slow.see)
        asker = await Asker.start(gateway)
        for at in range(RUNS):
            await reader.value("chat.send", {"sessionKey": f"d{at}", "message": "go", "idempotencyKey": f"run{at}"})
        check("both viewers hear deltas", await until(lambda: len(slow.deltas) == 2 * RUNS, 10), slow.deltas)
        sleeper.reading.clear()
        before = dict(slow.deltas)
        target = {key: count + 12 for key, count in fast.deltas.items()}
        check("the runs go on", await until(lambda: all(fast.deltas[k] >= n for k, n in target.items()), 30), fast.deltas)
        sleeper.reading.set()
        check("the runs end for the reader", await until(lambda: len(fast.final) == RUNS, 60), fast.final)
        check("and for the sleeper", await until(lambda: len(slow.final) == RUNS, 20), f"{slow.final} {sleeper.closed}")
        for name, client, viewer in (("reader", reader, fast), ("sleeper", sleeper, slow)):
            check(f"the {name}'s deltas always add up to the whole text", not viewer.wrong, viewer.wrong[:3])
            check(f"the {name}'s frames are numbered without a gap", client.in_order)
            check(f"the {name}'s final is its text", all(len(t) == WORDS * WIDTH for t in viewer.final.values()),
                  [len(t) for t in viewer.final.values()])
        check("every run of the sleeper was replaced", all(slow.replaced.get(k) for k in fast.deltas), slow.replaced)
        merged = sum(fast.deltas.values()) - sum(slow.deltas.values())
        check("deltas were merged", merged > 2 * RUNS, merged)
        say(f"{sum(fast.deltas.values())} deltas to the reader, {sum(slow.deltas.values())} to the sleeper "
            f"({sum(before.values())} before it slept, {sum(slow.replaced.values())} replaced)")
        await asker.end("deltas", BAR_MS)
        await reader.close()
        await sleeper.close()


# ---- ceilings ----

async def fill(client, mebibytes):
    """A session whose history is so large: messages of 1 MiB, half of them the echo's."""
    for at in range(mebibytes // 2):
        key = f"fill-{at}"
        await client.value("chat.send", {"sessionKey": "big", "message": "x" * (MIB - 4096), "idempotencyKey": key})
        done = lambda: any(e["event"] == "chat" and e["payload"]["runId"] == key and e["payload"]["state"] in ("final", "error")
                           for e in client.events)
        check("the filling turns end", await until(done, 60))
        client.events.clear()


def ask_history(client, count, limit=1000):
    return [client.post("chat.history", {"sessionKey": "big", "limit": limit}) for _ in range(count)]


def warned(gateway, words):
    return re.findall(rf"(\S+): {words}, (\d+)", gateway.log())


async def own_ceiling(folder):
    """Version 3 and version 4, each at its own policy.maxBufferedBytes."""
    async with running(folder, WHOLE) as gateway:
        filler = await Client.open(gateway, unix=True)
        await fill(filler, 6)
        asker = await Asker.start(gateway)
        for version, ceiling in ((3, OUTPUT_MAX_V3), (4, OUTPUT_MAX)):
            client = await Client.open(gateway, unix=True, version=version)
            check(f"version {version} is told its ceiling", client.hello["policy"]["maxBufferedBytes"] == ceiling,
                  client.hello["policy"])
            client.reading.clear()
            descriptors, before = gateway.descriptors(), gateway.memory_kib()
            # One answer for version 3 is 1 MiB, below its ceiling; the second is beyond.
            ask_history(client, 4 if version == 3 else 12, limit=1 if version == 3 else 1000)
            uuid = client.hello["server"]["connId"]
            told = lambda: uuid in dict(warned(gateway, "slow consumer"))
            check(f"version {version} is closed at its ceiling", await until(told, 30), gateway.log()[-500:])
            most = gateway.memory_kib()
            waited = int(dict(warned(gateway, "slow consumer")).get(uuid, 0))
            check("not before", ceiling * 0.3 < waited <= ceiling, waited)
            if version == 3:
                client.reading.set()
                closed = await client.gone(10)
                check("it reads 1008 slow consumer", closed and (closed.code, closed.reason) == (1008, "slow consumer"), closed)
            check("its descriptor is given back", await until(lambda: gateway.descriptors() < descriptors, 10))
            say(f"version {version}: closed with {waited} bytes waiting, RSS {before} -> {most} KiB")
            check("memory is bounded by the ceiling", most - before < 2.5 * ceiling / 1024 + 40 * 1024, f"{before} -> {most} KiB")
            client.abandon()
        check("others are still served", not filler.closed and (await filler.call("health"))["ok"])
        await filler.close()
        await asker.end("own ceiling", BAR_MS)


async def process_ceiling(folder):
    """Five readers with 42 MiB each and one with 48: past 256 MiB that one goes, the rest get all they asked for."""
    async with running(folder, WHOLE) as gateway:
        filler = await Client.open(gateway, unix=True)
        await fill(filler, 6)
        size = len((await filler.call("chat.history", {"sessionKey": "big", "limit": 1000}))["payload"]["messages"])
        asker = await Asker.start(gateway)
        before = gateway.memory_kib()
        readers, asked = [], []
        for count in (8, 7, 7, 7, 7, 7, 7):
            reader = await Client.open(gateway, unix=True)
            reader.reading.clear()
            readers.append(reader)
            asked.append((reader, ask_history(reader, count)))
            await asyncio.sleep(0.05)
        dropped = lambda: re.findall(r"(\S+): dropped, (\d+) bytes of output", gateway.log())
        check("past the ceiling somebody is dropped", await until(dropped, 60), gateway.log()[-500:])
        for _ in range(100):  # until the last of the answers is queued
            count, _ = len(dropped()), await asyncio.sleep(0.02)
            if count != len(dropped()):
                continue
        most, gone = gateway.memory_kib(), dropped()
        check("the slowest first", gone[0][0] == readers[0].hello["server"]["connId"], gone)
        lost = {uuid for uuid, _ in gone}
        check("no more than it takes", 1 <= len(lost) <= 2, gone)
        for reader in readers:
            reader.reading.set()
        whole = 0
        for reader, answers in asked:
            if reader.hello["server"]["connId"] in lost:
                continue
            got = await asyncio.gather(*answers, return_exceptions=True)
            good = [a for a in got if isinstance(a, dict) and a["ok"] and len(a["payload"]["messages"]) == size]
            check("a reader that was kept gets all its answers", len(good) == len(answers), f"{len(good)} of {len(answers)}")
            whole += len(good)
        say(f"{len(lost)} of {len(readers)} dropped ({', '.join(b for _, b in gone)} bytes), {whole} answers of "
            f"{size} messages came whole to the others; RSS {before} -> {most} KiB")
        check("memory is bounded by the ceiling", most - before < 2.0 * OUTPUT_TOTAL_MAX / 1024, f"{before} -> {most} KiB")
        for reader in readers:
            await reader.close()
        await asker.end("process ceiling", BAR_MS)
        await filler.close()


if __name__ == "__main__":
    main(deltas, own_ceiling, process_ceiling)
