"""The sources are as clang-format 14 leaves them. Another version formats differently, so only that one counts."""
import shutil
import subprocess

import tree

PROGRAM = "clang-format-14"
# Row macros whose columns are aligned by hand.
BY_HAND = ["base/field.h"]

if not shutil.which(PROGRAM):
    tree.skip(f"{PROGRAM} is not installed (Debian package {PROGRAM})")
names = [n for n in tree.sources(".c", ".h", folders=tree.FOLDERS + ["tests"]) if n not in BY_HAND]
run = subprocess.run([PROGRAM, "--dry-run", "--Werror", "--ferror-limit=1", *names], cwd=tree.TOP,
                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
problems = [line for line in run.stdout.splitlines() if "clang-format-violations" in line]
if run.returncode and not problems:
    problems = [run.stdout]
tree.finish(problems, len(names))
