"""A client in a process of its own, so that nothing but the gateway keeps it waiting: a small question every few
milliseconds until its stdin ends, then how long each answer took, as JSON. A line says when it is connected."""
import asyncio
import json
import sys
import time

from kit import Client


class Where:
    socket = sys.argv[1]


async def ask(times):
    client = await Client.open(Where, unix=True)
    print("connected", flush=True)
    while True:
        started = time.monotonic()
        await client.value("last-heartbeat")
        times.append(time.monotonic() - started)
        await asyncio.sleep(0.005)


async def main():
    times = []
    task = asyncio.create_task(ask(times))
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    task.cancel()
    print(json.dumps(times))


asyncio.run(main())
