"""What every check shares: the list of sources, C text without comments and strings, and how to report."""
import os
import re
import subprocess
import sys
from fnmatch import fnmatch

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
# Folders of the product, bottom to top (design.md: the layer rule).
FOLDERS = ["base", "store", "tunnel", "relay", "node-agent", "gateway"]

COMMENT = r"//[^\n]*|/\*.*?\*/"
TEXT = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''


def tracked():
    """Files of the project, also new ones not yet added; never build products."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP, check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
    if not any(names):
        skip("not a git checkout, so there is no list of files")
    return sorted(name for name in set(names) if name and os.path.isfile(os.path.join(TOP, name)))


def sources(*endings, folders=FOLDERS):
    return [n for n in tracked() if n.split("/")[0] in folders and n.endswith(endings)]


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def code(text):
    """The same text, same lines and columns, with comments and literals blanked out."""
    return re.sub(f"{TEXT}|{COMMENT}", blank, text, flags=re.S)


def uncommented(text):
    """Comments blanked, literals kept."""
    return re.sub(f"({TEXT})|{COMMENT}", lambda m: m.group(1) or blank(m), text, flags=re.S)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def matches(name, globs):
    return any(fnmatch(name, glob) for glob in globs)


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def finish(problems, checked):
    """--warn: say it, but do not fail (for a check that is being introduced)."""
    warn = "--warn" in sys.argv[1:]
    for problem in problems:
        print(f"warning: {problem}" if warn else problem)
    print(f"{checked} checked, {len(problems)} wrong")
    sys.exit(1 if problems and not warn else 0)
