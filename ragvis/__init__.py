"""ragvis: a local multimodal RAG assistant.

    index = ragvis.Index.open("indexes/demo")
    retriever = ragvis.Retriever(index)
    hits = retriever.search("which tool grips a nut?", k=5)
    answer = ragvis.Assistant(retriever, model="pocket").ask("What is the capital of Kenya?")

Importing this module is cheap; each name loads what it needs when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragvis import conversation
    from ragvis.assistant import AnswerStream, Assistant, Chat, VisionChat
    from ragvis.errors import (
        BadFile,
        FetchRefused,
        FilesGone,
        IndexDamaged,
        IndexLocked,
        IndexMismatch,
        IndexMissing,
        MissingExtra,
        ModelError,
        ModelUnavailable,
        PromptTooLong,
        RagvisError,
        StorageError,
        UsageError,
    )
    from ragvis.generator import Sampling
    from ragvis.index import Index, IndexReport, IndexStatus
    from ragvis.retriever import Retriever
    from ragvis.types import Answer, Citation, Dropped, Hit, Ledger, Source, Support

__version__ = "0.1.0"

_HOME = {
    **dict.fromkeys(("AnswerStream", "Assistant", "Chat", "VisionChat"), "ragvis.assistant"),
    **dict.fromkeys(
        (
            "BadFile",
            "FetchRefused",
            "FilesGone",
            "IndexDamaged",
            "IndexLocked",
            "IndexMismatch",
            "IndexMissing",
            "MissingExtra",
            "ModelError",
            "ModelUnavailable",
            "PromptTooLong",
            "RagvisError",
            "StorageError",
            "UsageError",
        ),
        "ragvis.errors",
    ),
    "Sampling": "ragvis.generator",
    **dict.fromkeys(("Index", "IndexReport", "IndexStatus"), "ragvis.index"),
    "Retriever": "ragvis.retriever",
    **dict.fromkeys(
        ("Answer", "Citation", "Dropped", "Hit", "Ledger", "Source", "Support"), "ragvis.types"
    ),
}

__all__ = [  # noqa: RUF022 - by part, as in the README
    "Index",
    "IndexReport",
    "IndexStatus",
    "Retriever",
    "Assistant",
    "AnswerStream",
    "Chat",
    "VisionChat",
    "Sampling",
    "Hit",
    "Source",
    "Citation",
    "Ledger",
    "Dropped",
    "Answer",
    "Support",
    "conversation",
    "RagvisError",
    "UsageError",
    "PromptTooLong",
    "FetchRefused",
    "FilesGone",
    "IndexMissing",
    "IndexMismatch",
    "IndexDamaged",
    "IndexLocked",
    "StorageError",
    "ModelError",
    "ModelUnavailable",
    "MissingExtra",
    "BadFile",
]


def __getattr__(name: str) -> Any:
    if name == "conversation":
        return importlib.import_module("ragvis.conversation")
    if name not in _HOME:
        raise AttributeError(f"module 'ragvis' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
