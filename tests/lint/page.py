"""WebChat's page: what the browser is asked to trust. Libraries are as published; strings never become markup outside
markdown.js; styles use the scales of tokens.css; every import is a file; files stay readable."""
import glob
import hashlib
import os
import re

import tree

PAGE, VENDOR = "gateway/webchat/page/", "gateway/webchat/vendor/"
FILE_LINES = 500
BANNED = [
    (r"\binnerHTML\b|\bouterHTML\b|insertAdjacentHTML|document\.write|srcdoc|DOMParser|createContextualFragment|setHTMLUnsafe",
     "strings become markup in markdown.js only; use h() of dom.js"),
    (r"\beval\s*\(|new Function\b|import\s*\(\s*[^\"'\s]", "no code is made from strings"),
    (r"\.setAttribute\(\s*[\"'](?:on|style|src\b|href\b)", "use h() of dom.js, which knows what may be set"),
    (r"https?://(?!www\.w3\.org/)", "the page asks nobody but its own origin"),
]
COLOUR = r"#[0-9a-fA-F]{3,8}\b|\b(?:oklch|oklab|rgba?|hsla?)\("


def vendored():
    listed = dict(re.findall(r"^\| `([\w.]+)` \|[^\n]*`([0-9a-f]{64})` \|$", tree.read(VENDOR + "README.md"), flags=re.M))
    there = {os.path.basename(path) for path in glob.glob(os.path.join(tree.TOP, VENDOR, "*.js"))}
    for name in sorted(there | set(listed)):
        path = os.path.join(tree.TOP, VENDOR, name)
        if name not in there or name not in listed:
            yield f"{VENDOR}README.md: {name} is {'listed but not there' if name in listed else 'there but not listed'}"
            continue
        with open(path, "rb") as file:
            found = hashlib.sha256(file.read()).hexdigest()
        if found != listed[name]:
            yield f"{VENDOR}{name}: is not the published file (sha256 {found}); take it from npm again"


def banned(name, text):
    for pattern, instead in BANNED:
        for match in re.finditer(pattern, text):
            yield f"{name}:{tree.line_of(text, match.start())}: {match.group(0).strip()}: {instead}"


def imports(name, text):
    for match in re.finditer(r"""(?:from|import)\s+"(\.[^"]+)\"""", text):
        path = os.path.normpath(os.path.join(os.path.dirname(name), match.group(1)))
        path = path.replace(PAGE + "vendor/", VENDOR)
        if not os.path.isfile(os.path.join(tree.TOP, path)):
            yield f"{name}:{tree.line_of(text, match.start())}: {match.group(1)} is not there"


def styles(name, text):
    for match in re.finditer(COLOUR, text):
        yield f"{name}:{tree.line_of(text, match.start())}: {match.group(0)}: name it in tokens.css"
    for match in re.finditer(r"font-size:\s*[\d.]+(?:px|rem)|border-radius:\s*[\d.]+(?:px|rem)|(?:margin|padding|gap)[\w-]*:[^;]*\b[\d.]{2,}px", text):
        yield f"{name}:{tree.line_of(text, match.start())}: {match.group(0)}: use the scales of tokens.css"
    for used in set(re.findall(r"var\((--[\w-]+)", text)):
        if f"{used}:" not in tree.read(PAGE + "css/tokens.css"):
            yield f"{name}: {used} is not in tokens.css"


problems, checked = list(vendored()), 0
for name in tree.tracked():
    if not name.startswith(PAGE):
        continue
    checked += 1
    text = tree.read(name)
    if text.count("\n") > FILE_LINES:
        problems.append(f"{name}: {text.count(chr(10))} lines; at most {FILE_LINES}")
    if name.endswith(".js"):
        bare = tree.uncommented(text)
        problems += [*banned(name, bare), *imports(name, bare)]
    if name.endswith(".css") and not name.endswith("tokens.css"):
        problems += styles(name, re.sub(r"/\*.*?\*/", tree.blank, text, flags=re.S))
    if name.endswith(".html") and re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", text):
        problems.append(f"{name}: no inline script, handler or style: the policy forbids them")
tree.finish(problems, checked)
