#!/usr/bin/env python3
"""Checks the documents: relative links lead somewhere, headings that are linked exist, the tests that tests/README.md
names exist and run by themselves (or it says beside the name "by hand" or "by name"), and no file names a path of somebody's machine. Reads the
files that git knows or would add; prints every fault and exits 1 if there is one."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^\s*(```|~~~)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
# Paths that exist on one machine only: somebody's home, or where this checkout lies.
NAMED = re.compile(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`")
# A function with the attributes and comments above it.
FUNCTION = re.compile(
    r'((?:^[ \t]*#\[(?:[^\]"]|"(?:[^"\\]|\\.)*")*\]\s*?\n|^[ \t]*//[^\n]*\n)*)'
    r"^[ \t]*(?:pub(?:\([a-z]+\))? +)?(?:const +|async +|unsafe +)*fn ([a-z0-9_]+)",
    re.MULTILINE,
)
MACHINE = re.compile(r"(?<![\w.])/root/[\w.]|(?<![\w.])/home/[a-z]|" + re.escape(f"{ROOT}/"))


def files():
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True,
    ).stdout.decode().split("\0")
    return sorted(ROOT / name for name in set(listed) if name and (ROOT / name).is_file())


def anchors(text):
    """The anchors that a forge makes of the headings."""
    found = set()
    for line in outside_fences(text):
        heading = HEADING.match(line)
        if heading:
            plain = re.sub(r"[`*_]|\[([^\]]*)\]\([^)]*\)", lambda m: m.group(1) or "", heading.group(1))
            found.add(re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-"))
    return found


def outside_fences(text):
    inside = False
    for line in text.split("\n"):
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            yield line


def broken_links(path, text):
    for line in outside_fences(text):
        for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            name, _, anchor = target.partition("#")
            linked = (path.parent / name).resolve() if name else path
            if not linked.exists():
                yield f"{target} does not exist"
            elif anchor and linked.suffix == ".md" and anchor not in anchors(linked.read_text(encoding="utf-8")):
                yield f"{target}: there is no such heading"


def missing_tests(text, functions, by_themselves):
    """Names of tests that no source has, or that nobody runs: every word in backticks with three underscores or more is one."""
    for line in text.split("\n"):
        found = list(NAMED.finditer(line))
        ends = [following.start() for following in found[1:]] + [len(line)]
        for named, end in zip(found, ends):
            name = named.group(1)
            if name not in functions:
                yield f"there is no test {name}"
            elif name not in by_themselves and not re.search(r"\bby (?:hand|name)\b", line[named.end():end]):
                yield f"{name} is ignored where all tests run: say beside it that it is run by hand or by name"


def main():
    faults, documents, functions, by_themselves, proofs = [], 0, set(), set(), {}
    for path in files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        name = path.relative_to(ROOT)
        if path != Path(__file__).resolve():
            for number, line in enumerate(text.split("\n"), 1):
                if MACHINE.search(line):
                    faults.append(f"{name}:{number}: names a path of a machine: {line.strip()[:100]}")
        if path.suffix == ".rs":
            functions.update(re.findall(r"\bfn ([a-z0-9_]+)", text))
            by_themselves.update(name for above, name in FUNCTION.findall(text) if "#[ignore" not in above)
        if name.as_posix() == "tests/README.md":
            proofs[name] = text
        if path.suffix == ".md":
            documents += 1
            if not text.strip():
                faults.append(f"{name}: is empty")
            faults.extend(f"{name}: {fault}" for fault in broken_links(path, text))
    for name, text in proofs.items():
        faults.extend(f"{name}: {fault}" for fault in missing_tests(text, functions, by_themselves))
    print("\n".join(faults) if faults else f"{documents} documents: every relative link leads somewhere")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
