"""How soon a dead peer is noticed and how soon the tunnel is back, over the faults of tests/net/faults.py (about 25: links
cut, addresses changed, servers killed and stopped, sleep), with the release."""
import json
import os
import subprocess
import sys
import tempfile

from bench import row
from tunnel_line import needs_root

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WHAT = [("dead peer noticed", "detect"), ("tunnel reconnected once the path is back", "reconnect")]


def rows(bench):
    needs_root()
    with tempfile.TemporaryDirectory(prefix="culvert-bench-") as build:
        os.mkdir(os.path.join(build, "tool"))
        os.symlink(os.path.abspath(bench.culvert), os.path.join(build, "culvert"))
        os.symlink(bench.program("delay_line"), os.path.join(build, "tool/link"))
        run = subprocess.run([sys.executable, "-B", os.path.join(TOP, "tests/net/faults.py")], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, timeout=1500,
                             env={**os.environ, "CULVERT_BUILD": build, "CULVERT_LONG": "1"})
        try:
            with open(os.path.join(build, "artifacts/faults.json"), encoding="utf-8") as file:
                seen = json.load(file)
        except OSError:
            raise RuntimeError(run.stdout.strip()[-300:]) from None
    for what, name in WHAT:
        told, bar = seen["summary"][name], seen["bars"][name]
        yield row(f"{what}, {told['count']} of {len(seen['faults'])} faults, median / worst",
                  f"{told['median'] / 1000:.2f} / {told['worst'] / 1000:.2f} s", f"≤ {bar / 1000:g} s",
                  told["worst"] <= bar and run.returncode == 0, faults=seen["faults"])
