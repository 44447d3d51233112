"""Durable appends to the event log, 64 in flight, against bare SQLite inserting in batches of 64."""
import json
import subprocess
import tempfile

from bench import row


def rows(bench):
    # Beside the build, not in /tmp: a file system in memory knows no fsync.
    with tempfile.TemporaryDirectory(prefix="append-", dir=bench.programs) as folder:
        run = subprocess.run([bench.program("bench_store_append"), folder], check=True, stdout=subprocess.PIPE, timeout=300)
    seen = json.loads(run.stdout)
    for what, rows_per_s, ratio in [("durable log append, 64 in flight", "rows_per_s", "ratio"),
                                    ("the same while replay reads", "replay_rows_per_s", "replay_ratio")]:
        yield row(what, f"{seen[rows_per_s]:,.0f}/s", f"≥ {seen['bar']} of the floor ({seen[ratio]:.2f})",
                  seen[ratio] >= seen["bar"], f"{seen['floor_rows_per_s']:,.0f}/s", run=seen)
