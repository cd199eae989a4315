"""A warm process that runs the real command line in forks of itself, one a request.

Starting ragvis costs seconds of imports, and there are thousands of cases. Here the imports and
the real pocket encoder are loaded once; each fork then runs ``ragvis.cli`` from its first line.
One JSON request a line on stdin, one JSON answer a line on stdout.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from ragvis import encoder as encoders
from ragvis.encoder.clip import ClipEncoder
from ragvis.index import batches, derive, ingest
from ragvis.store import connection, vectors


def prepare() -> None:
    """Load pocket once, and make small collections go through what large ones do."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
    pocket = ClipEncoder.load("pocket", lambda _: None)
    pocket.batch = 2
    encoders.load = lambda name, tell: pocket
    batches._TEXTS = 1
    ingest._FILES_A_COMMIT = 2
    derive.SMALL = 8
    vectors.require("faiss")
    connection._load_checksums()  # what is failed later are reads of the index, not of ourselves


def child(request: dict[str, Any]) -> int:
    """The forked process: one command, its output into files."""
    from ragvis.cli.main import run

    for number, name in ((1, "out"), (2, "err")):
        handle = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
        os.close(handle)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request["cwd"])
    if "inverted_from" in request:
        derive.INVERTED_FROM = request["inverted_from"]
    if request.get("stopped"):
        os.kill(os.getpid(), signal.SIGSTOP)
    if "read" in request:
        return read_until_stopped(**request["read"])
    return run(request["arguments"])


def read_until_stopped(index: str, stop: str) -> int:
    """Search again and again; every answer must come from one commit."""
    from ragvis.index import Index
    from ragvis.retriever import Retriever

    seen: set[str] = set()
    with Index.open(index) as opened:
        retriever = Retriever(opened)
        while not Path(stop).exists():
            hits = retriever.search("which state is this?", k=9, modality="text")
            states = [m[1] for h in hits if (m := re.search(r"State (\d+)", h.text or ""))]
            if len(states) != 3 or len(set(states)) != 1:
                print(f"mixed: {states}")
                return 9
            seen |= set(states)
    print(len(seen))
    return 0


def main() -> None:
    """Answer until stdin ends."""
    prepare()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), file=answers, flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                code = child(request)
                sys.stdout.flush()
            finally:
                os._exit(code)
        print(json.dumps({"pid": pid}), file=answers, flush=True)


if __name__ == "__main__":
    main()
