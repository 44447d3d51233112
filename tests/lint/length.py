"""A file has one purpose and at most 500 lines; a function reads in one breath: at most 60 lines."""
import tree

FILE_LINES, FUNCTION_LINES = 500, 60
# path or path:function -> why. Keep it empty.
ALLOWED = {}


def functions(text):
    """(name, first line, lines) of each function: the brace style puts its braces alone in column 0."""
    lines = text.splitlines()
    start = None
    for number, line in enumerate(lines):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            head = start - 1
            while head > 0 and lines[head][:1] in (" ", "\t"):
                head -= 1
            # A test case is T(name); of a real function only the name before its parameters matters.
            name = lines[head] if lines[head].startswith("T(") else lines[head].split("(")[0].split()[-1].lstrip("*")
            yield name, head + 1, number - start - 1
            start = None


problems = []
names = tree.sources(".c", ".h") + [n for n in tree.sources(".c", ".h", folders=["tests"]) if "/fuzz/corpus/" not in n]
for name in names:
    text = tree.code(tree.read(name))
    lines = text.count("\n")
    if lines > FILE_LINES and name not in ALLOWED:
        problems.append(f"{name}: {lines} lines, more than {FILE_LINES}: split it by purpose")
    for function, line, length in functions(text):
        if length > FUNCTION_LINES and f"{name}:{function}" not in ALLOWED:
            problems.append(f"{name}:{line}: {function} has {length} lines, more than {FUNCTION_LINES}")
tree.finish(problems, len(names))
