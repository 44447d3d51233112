"""Nothing in the tree names the machine it was written on, a package registry's host, or a secret."""
import re

import tree

RULES = [
    (r"(?<![\w$}])/(?:root|work|workspace|home/[a-z]\w*|Users/\w+)/[\w.]", "a path of one machine"),
    (r"/tmp/(?:house|oracle|conn|bash_jobs)\b", "a path of one machine"),
    (r"registry\.(?:npmjs|yarnpkg|npmmirror)\.\w+|\bpypi\.org|files\.pythonhosted|deb\.debian\.org|npm\.pkg\.github", "a package registry's host"),
    (r'"resolved"\s*:', "a lock file that names where packages came from"),
    (r"-----BEGIN (?:OPENSSH|RSA|EC) PRIVATE KEY-----", "a private key"),
    (r"\b(?:sk-ant-|xoxb-\d|ghp_)[A-Za-z0-9]{16,}", "something that looks like a real credential"),
]
# Files that hold the patterns themselves.
ALLOWED = ["tests/lint/private.py", "tests/fuzz/corpus/*"]

problems = []
names = [name for name in tree.tracked() if not tree.matches(name, ALLOWED)]
for name in names:
    text = tree.read(name)
    for pattern, what in RULES:
        for found in re.finditer(pattern, text):
            problems.append(f"{name}:{tree.line_of(text, found.start())}: {what}: {found.group(0)}")
tree.finish(problems, len(names))
