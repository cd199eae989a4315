"""The demo: real commands, run one after another in one process, so that torch loads once."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from ragvis import Index
from ragvis.cli.main import run
from ragvis.errors import IndexMismatch, RagvisError

COLLECTION = "indexes/demo-collection"
INDEX = "indexes/demo"
FLAG = f"{COLLECTION}/images/flag-japan.jpg"
QUESTIONS = (
    ("A question that a text answers", ["What is the highest point of Peru?"]),
    ("One that only a picture answers", ["Which picture shows a giraffe?"]),
    (
        "One that needs the attached photo and a text",
        ["What is the capital of the country whose flag this is?", "-a", FLAG],
    ),
    ("One that the collection cannot answer", ["What is the population of Norway?"]),
)
NEXT = f"""\
Next:
  source .venv/bin/activate
  ragvis ask "Which tool has serrated jaws?" -i {INDEX}
  ragvis search "a spotted animal" -i {INDEX} --modality image
  ragvis index ~/Documents ~/Pictures        your own files, into indexes/default
  ragvis --help
"""
ABSTAINED = 3


def command(*arguments: str) -> int:
    """Show a command as one would type it, and run it."""
    print(f"\n$ ragvis {shlex.join(arguments)}", flush=True)
    return run(arguments)


def is_of_another_pocket() -> bool:
    """Whether the demo index is there, sound, and of an encoder that answers nothing today."""
    try:
        opened = Index.open(INDEX)
    except RagvisError:  # none is there, or `ragvis index` says what is wrong with it
        return False
    with opened as index:
        try:
            _ = index.encoder
        except IndexMismatch as error:
            print(f"{error}: made anew")
            return True
    return False


def main() -> int:
    """Stop at the first command that fails."""
    os.environ.setdefault("RAGVIS_MODEL", "pocket")
    if is_of_another_pocket():
        shutil.rmtree(INDEX)
    done = command("index", COLLECTION, "-i", INDEX, "--encoder", "pocket")
    if done:
        return done
    for title, question in QUESTIONS:
        print(f"\n{title}:", end="")
        done = command("ask", *question, "-i", INDEX)
        if done not in (0, ABSTAINED):
            return done
    print(f"\n{NEXT}")
    return 0


if __name__ == "__main__":
    assert Path(COLLECTION).is_dir(), "run it as scripts/demo"
    sys.exit(main())
