"""A LangChain retriever: ``pip install 'ragvis[langchain]'``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ragvis._lazy import require
from ragvis.index import Index
from ragvis.integrations._hits import content, metadata, unique_id
from ragvis.retriever import Retriever
from ragvis.types import ModalityWord

_documents = require("langchain_core.documents")
_Base: Any = require("langchain_core.retrievers").BaseRetriever


class RagvisRetriever(_Base):  # type: ignore[misc]
    """Passages and pictures as LangChain documents.

    ``page_content`` is the passage, or what is written about a picture; ``metadata`` has the score,
    modality, file, page, span, box and sha256. Arguments can be given to ``invoke`` too.

    Args:
        retriever: a ``ragvis.Retriever``.
        k: most documents.
        modality: "any", "text" or "image"; or another word for it, as ``Retriever.search``.
        filter: conditions on files, as in ``Retriever.search``.
        diversity: 0..1, as there.
    """

    model_config: ClassVar = {"extra": "forbid"}  # a misspelt option would do nothing
    retriever: Retriever
    k: int = 8
    modality: ModalityWord = "any"
    filter: str | None = None
    diversity: float = 0.0

    @classmethod
    def from_index(cls, path: str | Path, **options: Any) -> RagvisRetriever:
        """Over the index in a folder. Raises as ``Index.open``."""
        return cls(retriever=Retriever(Index.open(path)), **options)

    def _get_relevant_documents(self, query: str, *, run_manager: Any, **given: Any) -> list[Any]:
        del run_manager  # nothing inside is worth tracing
        asked: dict[str, Any] = {
            name: getattr(self, name) for name in ("k", "modality", "filter", "diversity")
        }
        hits = self.retriever.search(query, **{**asked, **given})
        return [
            _documents.Document(page_content=content(h), metadata=metadata(h), id=unique_id(h))
            for h in hits
        ]
