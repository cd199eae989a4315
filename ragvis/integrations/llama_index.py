"""A LlamaIndex retriever: ``pip install 'ragvis[llama-index]'``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ragvis._lazy import require
from ragvis.documents import kind_of
from ragvis.index import Index
from ragvis.integrations._hits import content, metadata, unique_id
from ragvis.retriever import Retriever
from ragvis.types import Hit, ModalityWord

_Base: Any = require("llama_index.core.retrievers").BaseRetriever
_schema = require("llama_index.core.schema")
_SHOWN = ("path", "page", "title")  # of the metadata, to a language model


class RagvisRetriever(_Base):  # type: ignore[misc]
    """Passages as text nodes and pictures as image nodes, each with its score.

    Args:
        retriever: a ``ragvis.Retriever``.
        k: most nodes.
        modality: "any", "text" or "image"; or another word for it, as ``Retriever.search``.
        filter: conditions on files, as in ``Retriever.search``.
        diversity: 0..1, as there.
        options: for LlamaIndex's own ``BaseRetriever``.
    """

    def __init__(
        self,
        retriever: Retriever,
        k: int = 8,
        modality: ModalityWord = "any",
        filter: str | None = None,
        diversity: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._ragvis = retriever
        self._how: dict[str, Any] = {
            "k": k,
            "modality": modality,
            "filter": filter,
            "diversity": diversity,
        }

    @classmethod
    def from_index(cls, path: str | Path, **options: Any) -> RagvisRetriever:
        """Over the index in a folder. Raises as ``Index.open``."""
        return cls(Retriever(Index.open(path)), **options)

    def _retrieve(self, query_bundle: Any) -> list[Any]:
        image = query_bundle.image_path
        hits = self._ragvis.search(query_bundle.query_str or None, image=image, **self._how)
        return [_schema.NodeWithScore(node=_node(hit), score=hit.score) for hit in hits]


def _node(hit: Hit) -> Any:
    about = metadata(hit)
    hidden = [key for key in about if key not in _SHOWN]
    common = {
        "id_": unique_id(hit),
        "text": content(hit),
        "metadata": about,
        "excluded_llm_metadata_keys": hidden,
        "excluded_embed_metadata_keys": hidden,
    }
    if hit.modality == "text":
        start, end = hit.span or (None, None)
        return _schema.TextNode(**common, start_char_idx=start, end_char_idx=end)
    # A picture inside a document has no file of its own.
    own = hit.file if kind_of(Path(hit.file)) == "picture" else None
    return _schema.ImageNode(**common, image_path=own)
