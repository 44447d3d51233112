"""No call of a function in banned.txt, outside the files it names."""
import os
import re

import tree

rows = {}
for line in tree.read(os.path.join(tree.HERE, "banned.txt")).splitlines():
    if line.strip() and not line.startswith("#"):
        name, doors, instead = (part.strip() for part in line.split("|"))
        rows[name] = (doors.split(), instead)

# A call: not a member, not part of a longer name.
call = re.compile(r"(?<![\w.>])(" + "|".join(rows) + r")\s*\(")
problems = []
names = tree.sources(".c", ".h", ".def")
for name in names:
    text = tree.code(tree.read(name))
    for found in call.finditer(text):
        doors, instead = rows[found.group(1)]
        if not tree.matches(name, doors):
            problems.append(f"{name}:{tree.line_of(text, found.start())}: {found.group(1)}() is banned; use {instead}")
tree.finish(problems, len(names))
