"""Mixed load for a while: people come and go, chat, stop answers, read histories, sessions, the configuration. After
warm-up the gateway's memory stays level (not held to it with a sanitizer, whose allocator keeps what it likes), its
descriptors come back to what they were, and no sanitizer speaks.
Default 20 s; CULVERT_LONG=1: 10 minutes; CULVERT_SOAK_S=n: n seconds.

What is kept by design is told apart: the idempotency table (store.h) grows with every chat.send for 24 h."""
import asyncio
import contextlib
import os
import random
import time

from kit import LONG, Client, check, main, percentile, running, say, until

SECONDS = float(os.environ.get("CULVERT_SOAK_S", "600" if LONG else "20"))
WARM_UP = 0.3  # of it
CHATTERS, PER_SESSION = 6, 20
SLOPE_KIB_MIN = 512  # beyond what the sends account for; a shorter run says too little to hold it to that
KIB_PER_SEND = 2.0  # an idempotency entry with its outcome, and what the index takes


class Count:
    def __init__(self):
        self.done, self.wrong, self.end = {}, [], time.monotonic() + SECONDS

    def add(self, what):
        self.done[what] = self.done.get(what, 0) + 1

    def going(self):
        return time.monotonic() < self.end

    async def forever(self, what, step, pause):
        """One kind of user: the step again and again; a failure is kept."""
        while self.going():
            try:
                await step()
                self.add(what)
            except Exception as error:
                self.wrong.append(f"{what}: {type(error).__name__} {error}")
                await asyncio.sleep(0.2)
            await asyncio.sleep(random.uniform(0, pause))


async def visit(gateway):
    """Somebody comes, asks a little, goes, one way or the other."""
    client = await Client.open(gateway, unix=random.random() < 0.5, version=random.choice((3, 4)))
    await client.value(random.choice(("health", "status", "sessions.list", "config.get", "models.list", "channels.status")))
    if random.random() < 0.5:
        await client.close()
    client.abandon()


class Chatter:
    def __init__(self, gateway, number):
        self.gateway, self.session, self.count, self.client = gateway, f"soak{number}", 0, None

    async def begin(self):
        if self.client is None or self.client.closed:
            self.client = await Client.open(self.gateway, unix=True)
            await self.client.value("sessions.subscribe")
            await self.client.value("sessions.messages.subscribe", {"key": self.session})

    async def turn(self, message):
        """One message; (its key, a function that tells its end)."""
        await self.begin()
        self.client.events.clear()
        self.count += 1
        key = f"{self.session}-{self.count}-{os.getpid()}"
        if self.count % PER_SESSION == 0:
            await self.client.value("sessions.reset", {"key": self.session})
        await self.client.value("chat.send", {"sessionKey": self.session, "message": message, "idempotencyKey": key})

        def end():
            return next((e["payload"]["state"] for e in self.client.events if e["event"] == "chat" and
                         e["payload"]["runId"] == key and e["payload"]["state"] in ("final", "error", "aborted")), None)
        return key, end

    async def chat(self):
        _, end = await self.turn("some words to be repeated " * 8)
        if await until(end, 30) != "final":
            raise RuntimeError(f"a turn ended as {end()}")
        await self.client.value("chat.history", {"sessionKey": self.session})

    async def stop(self):
        key, end = await self.turn("a long story " * 300)
        await asyncio.sleep(random.uniform(0, 0.4))
        await self.client.value("chat.abort", {"sessionKey": self.session, "runId": key})
        if await until(end, 30) not in ("aborted", "final"):
            raise RuntimeError(f"a stopped turn ended as {end()}")

    async def one(self):
        await (self.stop() if random.random() < 0.3 else self.chat())

    async def close(self):
        if self.client:
            await self.client.close()


async def measure(gateway, count, samples):
    while count.going():
        samples.append((time.monotonic(), gateway.memory_kib(), gateway.descriptors(), count.done.get("chat", 0)))
        await asyncio.sleep(min(2.0, SECONDS / 40))


def slope(samples):
    """KiB per minute, least squares; each sample freed of what its sends account for."""
    points = [(at / 60, rss - KIB_PER_SEND * sends) for at, rss, _, sends in samples]
    mean_x, mean_y = (sum(column) / len(points) for column in zip(*points))
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / (sum((x - mean_x) ** 2 for x, _ in points) or 1)


async def soak(folder):
    async with running(folder, {"agents": {"defaults": {"maxConcurrent": 16}}}) as gateway:
        keeper = await Client.open(gateway, unix=True, scopes=("operator.pairing",))
        await asyncio.sleep(0.5)
        descriptors, count, samples = gateway.descriptors(), Count(), []
        chatters = [Chatter(gateway, number) for number in range(CHATTERS)]
        await asyncio.gather(measure(gateway, count, samples), count.forever("visit", lambda: visit(gateway), 0.1),
                             count.forever("visit", lambda: visit(gateway), 0.3),
                             *(count.forever("chat", c.one, 1.5) for c in chatters))
        for chatter in chatters:
            await chatter.close()
        check("nothing goes wrong meanwhile", not count.wrong, f"{len(count.wrong)}: {count.wrong[:5]}")
        check("everybody got through", count.done.get("visit", 0) > SECONDS and count.done.get("chat", 0) > SECONDS / 4, count.done)
        back = await until(lambda: gateway.descriptors() <= descriptors, 10)
        check("no descriptor is left open", back, f"{descriptors} -> {gateway.descriptors()}")
        warm = samples[int(len(samples) * WARM_UP):]
        raw = (warm[-1][1] - warm[0][1]) / ((warm[-1][0] - warm[0][0]) / 60)
        level = slope(warm)
        say(f"{SECONDS:.0f} s: {count.done}, RSS {samples[0][1]} -> {warm[0][1]} (warm) -> {warm[-1][1]} KiB, "
            f"{raw:+.0f} KiB/min, {level:+.0f} KiB/min beyond what {warm[-1][3] - warm[0][3]} sends keep; "
            f"descriptors {descriptors}, at most {max(s[2] for s in samples)}, after {gateway.descriptors()}")
        if SECONDS >= 300 and "libasan" not in open(f"/proc/{gateway.process.pid}/maps").read():
            check("memory is level", level < SLOPE_KIB_MIN, f"{level:+.0f} KiB/min")
        await keeper.close()


if __name__ == "__main__":
    main(soak)
