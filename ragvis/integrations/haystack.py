"""A Haystack component: ``pip install 'ragvis[haystack]'``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ragvis._lazy import require
from ragvis.index import Index
from ragvis.integrations._hits import content, metadata, unique_id
from ragvis.retriever import Retriever
from ragvis.types import ModalityWord

_haystack = require("haystack")
_Document: Any = _haystack.Document


@_haystack.component
class RagvisRetriever:
    """Finds passages and pictures as Haystack documents, each with its score.

    A document's ``content`` is the passage, or what is written about a picture; its ``meta`` has
    the modality, file, page, span, box and sha256.

    Args:
        index: the index's folder; it is opened on first use.
        top_k: most documents.
        modality: "any", "text" or "image"; or another word for it, as ``Retriever.search``.
        filter: conditions on files, as in ``Retriever.search``.
        diversity: 0..1, as there.
    """

    def __init__(
        self,
        index: str,
        top_k: int = 8,
        modality: ModalityWord = "any",
        filter: str | None = None,
        diversity: float = 0.0,
    ) -> None:
        self.index = str(index)
        self.top_k = top_k
        self.modality: ModalityWord = modality
        self.filter = filter
        self.diversity = diversity
        self._retriever: Retriever | None = None

    def warm_up(self) -> None:
        """Open the index. Raises as ``Index.open``."""
        if self._retriever is None:
            self._retriever = Retriever(Index.open(Path(self.index)))

    @_haystack.component.output_types(documents=list[_Document])  # type: ignore[untyped-decorator]
    def run(
        self,
        query: str,
        top_k: int | None = None,
        image: str | None = None,
        filter: str | None = None,
    ) -> dict[str, Any]:
        """Search; what is given here goes before what the component was made with."""
        self.warm_up()
        assert self._retriever is not None
        hits = self._retriever.search(
            query or None,
            image=image,
            k=self.top_k if top_k is None else top_k,
            modality=self.modality,
            filter=self.filter if filter is None else filter,
            diversity=self.diversity,
        )
        documents = [
            _Document(id=unique_id(h), content=content(h), meta=metadata(h), score=h.score)
            for h in hits
        ]
        return {"documents": documents}
