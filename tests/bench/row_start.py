"""exec to the first hello-ok, warm, against the program that only links and initialises the libraries."""
from bench import median, row

TIMES = 20


def rows(bench):
    ours, floor = [], []
    for turn in range(TIMES + 2):
        with bench.gateway() as gateway:
            first = gateway.ready
        with bench.baseline() as baseline:
            second = baseline.ready
        if turn >= 2:  # the first two warm the caches
            ours.append(first * 1000)
            floor.append(second * 1000)
    above = median(ours) - median(floor)
    yield row("exec to first hello-ok, warm, median of 20", f"{median(ours):.1f} ms", "≤ 15 ms above the floor",
              above <= 15, f"{median(floor):.1f} ms", ours_ms=ours, floor_ms=floor, above_ms=above)
