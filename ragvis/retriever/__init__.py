"""From a question or a picture to the passages and pictures that matter."""

from ragvis.retriever.fusion import merge
from ragvis.retriever.manner import Manner, Request
from ragvis.retriever.retriever import Ranked, Retriever, check_k
from ragvis.retriever.scoring import Query

__all__ = ["Manner", "Query", "Ranked", "Request", "Retriever", "check_k", "merge"]
