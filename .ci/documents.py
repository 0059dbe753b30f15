#!/usr/bin/env python3
"""Checks the documents: relative links lead somewhere, headings that are linked exist, the tests that tests/README.md
names exist, and no file names a path of somebody's machine. Reads the files that git knows or would add; prints every fault and exits 1 if there is one."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^\s*(```|~~~)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
# Paths that exist on one machine only: somebody's home, or where this checkout lies.
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


def missing_tests(text, functions):
    """Names of tests that no source has: every word in backticks with three underscores or more is one."""
    for name in re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`", text):
        if name not in functions:
            yield f"there is no test {name}"


def main():
    faults, documents, functions, proofs = [], 0, set(), {}
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
        if name.as_posix() == "tests/README.md":
            proofs[name] = text
        if path.suffix == ".md":
            documents += 1
            if not text.strip():
                faults.append(f"{name}: is empty")
            faults.extend(f"{name}: {fault}" for fault in broken_links(path, text))
    for name, text in proofs.items():
        faults.extend(f"{name}: {fault}" for fault in missing_tests(text, functions))
    print("\n".join(faults) if faults else f"{documents} documents: every relative link leads somewhere")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
