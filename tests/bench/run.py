"""Runs the rows (row_*.py: rows(bench) yields results), prints the table, writes JSON."""
import argparse
import importlib
import json
import os
import platform
import sys
import time

from bench import Bench, row

HERE = os.path.dirname(os.path.abspath(__file__))
MARK = {True: "ok", False: "MISSED", None: ""}


def show(result):
    floor = f"floor {result['floor']}" if result["floor"] else ""
    print(f"{result['what']:<58} {result['measured']:>16}  {floor:<24} {result['bar']:<26} {MARK[result['good']]}", flush=True)


def measure(name, bench):
    try:
        yield from importlib.import_module(f"row_{name}").rows(bench)
    except Exception as error:  # one row that cannot run must not hide the others
        yield row(name, "not measured", str(error).splitlines()[-1][:200], False, error=repr(error))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--culvert", required=True)
    arguments.add_argument("--programs", required=True)
    arguments.add_argument("--json")
    arguments.add_argument("rows", nargs="*")
    given = arguments.parse_args()
    names = given.rows or sorted(f[4:-3] for f in os.listdir(HERE) if f.startswith("row_") and f.endswith(".py"))
    bench, results = Bench(given.culvert, given.programs), []
    for name in names:
        for result in measure(name, bench):
            show(result)
            results.append({**result, "row": name})
    if given.json:
        machine = {"cores": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()[0]}
        with open(given.json, "w", encoding="utf-8") as file:
            json.dump({"at": int(time.time()), "machine": machine, "rows": results}, file, indent=1)
            file.write("\n")
    return 1 if any(result["good"] is False for result in results) else 0


sys.exit(main())
