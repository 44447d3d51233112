"""Each header compiles alone, with gcc and with clang, without a warning."""
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import tree

FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wshadow",
         "-Wstrict-prototypes", "-Wconversion", f"-I{tree.TOP}", "-x", "c", "-"]
LIBRARIES = ["libuv", "libwebsockets", "libcjson", "libsodium", "sqlite3", "libcurl"]


def compile_alone(job):
    compiler, name = job
    run = subprocess.run([compiler, *cflags, *FLAGS], input=f'#include "{name}"\n', text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return f"{compiler}: {name}\n{run.stdout}" if run.returncode else None


compilers = [compiler for compiler in ("gcc", "clang") if shutil.which(compiler)]
if not compilers:
    tree.skip("neither gcc nor clang is here")
cflags = subprocess.run(["pkg-config", "--cflags", *LIBRARIES], stdout=subprocess.PIPE, text=True).stdout.split()
jobs = [(compiler, name) for compiler in compilers for name in tree.sources(".h", folders=tree.FOLDERS + ["tests"])]
with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
    problems = [problem for problem in pool.map(compile_alone, jobs) if problem]
tree.finish(problems, len(jobs))
