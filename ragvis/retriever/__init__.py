"""From a question or a picture to the passages and pictures that matter."""

from ragvis.retriever.fusion import merge, reciprocal_rank
from ragvis.retriever.retriever import Query, Ranked, Retriever

__all__ = ["Query", "Ranked", "Retriever", "merge", "reciprocal_rank"]
