"""Running the command line, and having strace kill or fail it at a chosen system call."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STRACE = shutil.which("strace")
WRITES = "write,pwrite64,fsync,fdatasync,ftruncate,rename,renameat,renameat2,unlink,unlinkat"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. The code is negative for a signal."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> list[str]:
        """Lines on stderr, without the progress notices."""
        return [line for line in self.err.splitlines() if line.strip()]

    def json(self) -> dict[str, Any]:
        """What ``--json`` printed."""
        found: dict[str, Any] = json.loads(self.out)
        return found


class Machine:
    """Runs ``ragvis`` in forks of a warm process."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._warm = subprocess.Popen(
            [sys.executable, str(HERE / "warm.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._count = 0
        assert "ready" in self._answer()

    def close(self) -> None:
        """End the warm process."""
        assert self._warm.stdin is not None and self._warm.stdout is not None
        self._warm.stdin.close()
        self._warm.wait()
        self._warm.stdout.close()

    def run(self, *arguments: str | Path, **more: Any) -> Ended:
        """A command from beginning to end."""
        return self.end(*self.start(*arguments, **more))

    def start(self, *arguments: str | Path, **more: Any) -> tuple[int, str]:
        """Begin a command; its process and where its output goes."""
        self._count += 1
        name = str(self._scratch / f"run-{self._count}")
        request = {"arguments": [str(a) for a in arguments], "cwd": str(self._scratch)}
        answer = self._ask({**request, "out": f"{name}.out", "err": f"{name}.err", **more})
        return answer["pid"], name

    def end(self, pid: int, name: str) -> Ended:
        """Wait for a command that was begun."""
        code = self._ask({"wait": pid})["code"]
        texts = []
        for suffix in ("out", "err"):
            file = Path(f"{name}.{suffix}")
            texts.append(file.read_text("utf-8", "replace") if file.exists() else "")
            file.unlink(missing_ok=True)
        return Ended(code, *texts)

    def tampered(self, *arguments: str | Path, calls: str, how: str, **more: Any) -> Ended:
        """A command with ``how`` injected into its main thread's system calls ``calls``."""
        return self._traced(arguments, calls, ["-e", f"inject={calls}:{how}"], more)[0]

    def calls(self, *arguments: str | Path, calls: str = WRITES, **more: Any) -> Counter[str]:
        """How often a command's main thread makes each of the system calls."""
        ended, log = self._traced(arguments, calls, [], more)
        assert ended.code == 0, ended.err
        return Counter(re.findall(r"^(\w+)\(", log, re.MULTILINE))

    def _traced(
        self,
        arguments: tuple[str | Path, ...],
        calls: str,
        options: list[str],
        more: dict[str, Any],
    ) -> tuple[Ended, str]:
        assert STRACE is not None
        pid, name = self.start(*arguments, stopped=True, **more)
        _until_stopped(pid)
        log = Path(f"{name}.strace")
        command = [STRACE, "-p", str(pid), "-o", str(log), "-e", f"trace={calls}", *options]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert tracer.stderr is not None
        attached = tracer.stderr.readline()
        assert "attached" in attached, attached
        os.kill(pid, signal.SIGCONT)
        ended = self.end(pid, name)
        tracer.communicate()
        text = log.read_text("utf-8", "replace")
        log.unlink()
        return ended, text

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._warm.stdin is not None
        self._warm.stdin.write(json.dumps(request) + "\n")
        self._warm.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._warm.stdout is not None
        answer: dict[str, Any] = json.loads(self._warm.stdout.readline())
        return answer


def _until_stopped(pid: int) -> None:
    """The process stops itself first thing; a signal to go on before that would be lost."""
    while not re.search(r"^State:\s+T", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE):
        os.sched_yield()
