"""Every row of a table is used, every name is given once, and every table-built file exists."""
import os
import re

import tree

# table -> (row macro, what using the row looks like in the code, the field that must be unique)
TABLES = {
    "base/err.def": ("ERR", "ERR_{}", 0),
    "gateway/event/events.def": ("EVENT", "EVENT_{}", 0),
    "gateway/config/knobs.def": ("KNOB", "KNOB_{}", 1),
    # A scope may be granted before any method here asks for it: other gateways' clients name it.
    "gateway/conn/scope.def": ("SCOPE", None, 1),
    "gateway/cli/commands.def": ("COMMAND", "cmd_{}", 0),
    "gateway/agent/agents.def": ("AGENT", "agent_kind_{}", 0),
    "gateway/model/models.def": ("MODEL", "model_{}", 0),
    "gateway/method/methods.def": ("METHODS", "methods_{}", 0),
    "gateway/tools/tools.def": ("TOOLS", "tools_{}", 0),
    "gateway/tools/groups.def": ("GROUP", "TOOL_GROUP_{}", 0),
    "gateway/http/routes.def": ("ROUTE", "route_{}", 2),
    "store/schema.def": ("MIGRATION", None, 0),
}


def rows(name, macro):
    text = tree.uncommented(tree.read(name))
    for found in re.finditer(rf"^{macro}\((.*)", text, re.M):
        yield tree.line_of(text, found.start()), [part.strip() for part in found.group(1).rstrip(") ").split(",")]


def check_table(name, macro, use, unique, text, problems):
    seen, count = {}, 0
    for line, fields in rows(name, macro):
        count += 1
        key = fields[unique] if unique < len(fields) else fields[0]
        if key in seen:
            problems.append(f"{name}:{line}: {key} stands at line {seen[key]} already")
        seen[key] = line
        if use and not re.search(r"\b(?:" + use.replace("{}", re.escape(fields[0])) + r")\b", text, re.S):
            problems.append(f"{name}:{line}: row {fields[0]} is not used anywhere")
    return count


def check_methods(problems):
    """A method name stands in one row of one file, and its group file is in methods.def."""
    seen = {}
    for name in tree.sources(".c", folders=["gateway"]):
        text = tree.uncommented(tree.read(name))
        for found in re.finditer(r'^\s*M(?:_F|_SHAPE)?\("([^"]+)"', text, re.M):
            where = f"{name}:{tree.line_of(text, found.start())}"
            if found.group(1) in seen:
                problems.append(f"{where}: method {found.group(1)} has a row already, {seen[found.group(1)]}")
            seen[found.group(1)] = where
    return len(seen)


problems, checked = [], 0
code = "\n".join(tree.uncommented(tree.read(name)) for name in tree.sources(".c", ".h"))
for name, (macro, use, unique) in TABLES.items():
    if os.path.exists(os.path.join(tree.TOP, name)):
        checked += check_table(name, macro, use, unique, code, problems)
checked += check_methods(problems)
tree.finish(problems, checked)
