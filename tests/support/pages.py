"""The blocks of commands and of Python in the pages, and how they are run.

In a block of the console a line that begins with `$ ` is a command, and a line below it what the
command prints, where … stands for anything. A command that fails says so: `# exit code 3`. The
comment `<!-- not run: why -->` above a block leaves it out.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.places import ROOT

CONSOLE, PYTHON = "console", "python"
RUNNABLE = {CONSOLE, PYTHON, "bash", "sh", "shell", "py", "pycon"}
"""Languages of blocks that a reader would type; only the first two are used."""
COMMENT = re.compile(r"<!-- not run: (.+) -->")
CODE = re.compile(r"#.*\bexit code (\d+)$")
MARK = "<<<ended with>>>"
MINUTES = 30


@dataclass(frozen=True)
class Block:
    """A block of a page, such as that of line 12 of `docs/gate.md`, and why it is not run."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None


@dataclass(frozen=True)
class Command:
    """A command of a console block, what it prints by the page, and its exit code."""

    text: str
    printed: tuple[str, ...]

    @property
    def code(self) -> int:
        """The exit code that the page states, else 0."""
        stated = CODE.search(self.text)
        return int(stated[1]) if stated else 0


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page, by its path in the repository."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    start: int | None = None
    for number, line in enumerate(lines):
        if start is None and line.startswith("```"):
            start = number
        elif start is not None and line == "```":
            before = COMMENT.fullmatch(lines[start - 1]) if start else None
            text = "\n".join(lines[start + 1 : number])
            language = lines[start].removeprefix("```").strip()
            yield Block(page, start + 1, language, text, before[1] if before else None)
            start = None


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console block in their order."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, printed = re.sub(r"\\\n\s*", "", part).partition("\n")
        yield Command(command.rstrip(), tuple(filter(None, printed.splitlines())))


def run_commands(todo: list[Command], folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Runs commands in one shell, and says of each what is not as its page says."""
    script = "\n".join(
        f"{{ {each.text}\n}} 2>&1\ncode=$?; echo; echo '{MARK}'$code" for each in todo
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=MINUTES * 60,
    )
    parts = re.findall(rf"(.*?)\n{MARK}(\d+)\n", done.stdout, re.DOTALL)
    faults = [f"the shell ended early: {done.stderr}"] if len(parts) < len(todo) else []
    for command, (said, code) in zip(todo, parts, strict=False):
        if int(code) != command.code:
            faults.append(f"{command.text}: ended with {code}, not {command.code}:\n{said}")
        faults += [
            f"{command.text}: did not print {line!r}, but:\n{said}"
            for line in command.printed
            if not re.search(re.escape(line).replace("…", ".*"), said)
        ]
    return faults


def run_python(text: str, folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Runs a program in a folder, and says what went wrong."""
    (folder / "program.py").write_text(f"{text}\n", encoding="utf-8")
    done = subprocess.run(
        ["python", "program.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=MINUTES * 60,
    )
    return [done.stderr] if done.returncode else []
