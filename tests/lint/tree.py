"""What every check shares: the list of sources, C text without comments and strings, and how to report."""
import os
import re
import sys
from fnmatch import fnmatch

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
# Folders of the product, bottom to top (design.md: the layer rule).
FOLDERS = ["base", "store", "tunnel", "relay", "node-agent", "gateway"]
# What .gitignore names, wherever it stands, and git's own (a file in a worktree).
NOT_OURS = {"build", ".cache", "node_modules", ".git"}

COMMENT = r"//[^\n]*|/\*.*?\*/"
TEXT = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''


def tracked():
    """Files of the project, also new ones; never build products. Without asking git, which a machine that only
    builds may lack, and which refuses another user's checkout."""
    names = []
    for folder, below, files in os.walk(TOP):
        below[:] = [name for name in below if name not in NOT_OURS]
        names += [os.path.relpath(os.path.join(folder, name), TOP) for name in files
                  if name not in NOT_OURS]
    return sorted(name for name in names if os.path.isfile(os.path.join(TOP, name)))


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
