"""Memory of an idle gateway, and what one more idle connection adds."""
import time

from bench import Client, row

CONNECTIONS = 500


def rows(bench):
    with bench.baseline() as baseline:
        time.sleep(1)
        floor = baseline.memory()
    with bench.gateway() as gateway:
        gateway.first.close()
        time.sleep(2)
        idle = gateway.memory()
        yield row("memory, idle: RssAnon", f"{idle['RssAnon'] / 1024:.1f} MB", "≤ 6 MB",
                  idle["RssAnon"] <= 6 * 1024, f"{floor['RssAnon'] / 1024:.1f} MB", kib=idle, floor_kib=floor)
        yield row("memory, idle: RSS", f"{idle['VmRSS'] / 1024:.1f} MB", "≤ floor + 4 MB",
                  idle["VmRSS"] <= floor["VmRSS"] + 4 * 1024, f"{floor['VmRSS'] / 1024:.1f} MB", kib=idle, floor_kib=floor)
        yield per_connection(gateway)


def per_connection(gateway):
    warm = [Client(gateway.port) for _ in range(20)]
    time.sleep(1)
    before = gateway.memory()
    idle = [Client(gateway.port) for _ in range(CONNECTIONS)]
    time.sleep(2)
    after = gateway.memory()
    each = (after["VmRSS"] - before["VmRSS"]) / CONNECTIONS
    for client in warm + idle:
        client.close()
    return row("added per idle connection", f"{each:.1f} KB", "≤ 8 KB", each <= 8, "", connections=CONNECTIONS, kib=each)
