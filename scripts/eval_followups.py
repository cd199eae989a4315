#!/usr/bin/env python
"""What becomes of follow-up questions, with and without the question that they lean on.

    ragvis index tests/evalset/collection -i /tmp/evalset --encoder pocket
    python scripts/eval_followups.py /tmp/evalset [--model pocket]

Each line of tests/evalset/followups.jsonl is a first question and one that follows it. Three ways
are tried: the follow-up as it stands; as `ragvis chat` asks it; and as the model itself rewrites it
(for the search only; where it wrote nothing of the kind, as it stands). Printed: follow-ups whose
source is among the first five hits, and those answered.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ragvis import Assistant, Index, Retriever
from ragvis.assistant.history import History
from ragvis.assistant.rewriting import rewritten
from ragvis.evaluation.measures import is_match

FILE = Path(__file__).resolve().parent.parent / "tests" / "evalset" / "followups.jsonl"


def is_found(retriever: Retriever, query: str, row: dict[str, Any]) -> bool:
    """Whether a relevant file is among the first five hits."""
    hits = retriever.search(query, k=5) if query.strip() else []
    return any(hit.path.endswith(path) for hit in hits for path in row["relevant"])


def measured(assistant: Assistant, row: dict[str, Any]) -> dict[str, tuple[bool, bool | None]]:
    """Found and answered, of each way."""
    retriever, question = assistant.retriever, row["question"]
    chat = assistant.chat()
    opening = chat.stream(row["first"])
    opening.read()
    begun = History()
    begun.add(opening.said)
    stream = chat.stream(question)
    joined = "".join(stream)
    alone = assistant.ask(question).text
    anew = rewritten(assistant.generator, begun, question) or question
    return {
        "as it stands": (is_found(retriever, question, row), is_match(alone, row["answer"])),
        "in chat": (
            is_found(retriever, stream.prepared.query, row),
            is_match(joined, row["answer"]),
        ),
        "rewritten by the model": (is_found(retriever, anew, row), None),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("index", type=Path)
    parser.add_argument("--model", default="pocket")
    wanted = parser.parse_args()
    rows = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]
    with Index.open(wanted.index) as index:
        assistant = Assistant(Retriever(index), wanted.model)
        found = [measured(assistant, row) for row in rows]
    print(f"{len(rows)} follow-ups{'':14}found  answered")
    for way in found[0]:
        hits = sum(one[way][0] for one in found)
        answers = [one[way][1] for one in found]
        print(f"{way:26}{hits:6}{'' if None in answers else sum(map(bool, answers)):>10}")


if __name__ == "__main__":
    main()
