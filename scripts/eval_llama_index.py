"""Finding beside LlamaIndex's MultiModalVectorStoreIndex: same passages, pictures and encoder.

python scripts/eval_llama_index.py [INDEX]

Both see the same cut passages (with their titles before them) and the same pictures, embedded by
the same encoder. LlamaIndex brings back the nearest texts and the nearest pictures by cosine; its
hits are put in order of their scores. Questions that come with a photo are left out: its retriever
takes a text.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from evalset.collection import EVALSET, HALVES, Values, measured, opened, show
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.indices import MultiModalVectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.schema import ImageNode, TextNode

from ragvis import Hit, Index, Retriever
from ragvis.encoder import Encoder
from ragvis.evaluation import read_questions
from ragvis.index import picture_of
from ragvis.retriever.retriever import to_hit
from ragvis.retriever.scoring import Scored
from ragvis.types import MODALITIES


class Shared(MultiModalEmbedding):  # type: ignore[misc]
    """ragvis' encoder as LlamaIndex sees one."""

    encoder: Any

    def _get_text_embedding(self, text: str) -> list[float]:
        return list(map(float, self.encoder.encode_texts([text])[0]))

    def _get_query_embedding(self, query: str) -> list[float]:
        return list(map(float, self.encoder.encode_queries([query])[0]))

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_image_embedding(self, img_file_path: Any) -> list[float]:
        from ragvis.media.source import load_picture

        data = img_file_path.getvalue() if isinstance(img_file_path, io.BytesIO) else img_file_path
        return list(map(float, self.encoder.encode_pictures([load_picture(data)])[0]))

    async def _aget_image_embedding(self, img_file_path: Any) -> list[float]:
        return self._get_image_embedding(img_file_path)


def every_hit(index: Index) -> list[Hit]:
    """All items of an index."""
    with index.reading():
        ids = [int(i) for m in MODALITIES for piece, _ in index._catalog.vectors(m) for i in piece]
        items = index.items(ids)
    return [to_hit(item, Scored(i, 0.0, {}, None)) for i, item in items.items()]  # type: ignore[arg-type]


def build(index: Index, encoder: Encoder, pictures: Path) -> tuple[Any, dict[str, Hit]]:
    """LlamaIndex's index over the same items."""
    hits = {hit.id: hit for hit in every_hit(index)}
    nodes: list[Any] = []
    for hit in hits.values():
        if hit.modality == "text":
            nodes.append(TextNode(id_=hit.id, text=f"{hit.title}. {hit.text}"))
        else:
            file = pictures / f"{hit.id}.png"
            picture_of(hit).save(file)
            # It skips nodes with neither text nor metadata; its own reader gives the path.
            about = {"file_path": hit.path}
            nodes.append(ImageNode(id_=hit.id, image_path=str(file), metadata=about))
    shared = Shared(encoder=encoder)
    made = MultiModalVectorStoreIndex(nodes, embed_model=shared, image_embed_model=shared)
    return made, hits


def main() -> None:
    """Print a table for each half."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", nargs="?", help="an index of tests/evalset/collection")
    with (
        opened(parser.parse_args().index) as index,
        tempfile.TemporaryDirectory() as pictures,
    ):
        theirs, hits = build(index, index.encoder, Path(pictures))
        near = theirs.as_retriever(similarity_top_k=10, image_similarity_top_k=10, llm=MockLLM())
        for half in HALVES:
            values: Values = defaultdict(lambda: defaultdict(list))
            for question in read_questions(EVALSET / f"{half}.jsonl"):
                if question.images or not question.answerable:
                    continue
                found = sorted(near.retrieve(question.text), key=lambda n: -(n.score or 0))
                ranked = [hits[n.node.node_id] for n in found]
                images = [h for h in ranked if h.modality == "image"]
                ours = Retriever(index).search(question.text, k=10)
                pictured = Retriever(index).search(question.text, k=5, modality="image")
                for name, mixed, alone in (
                    ("LlamaIndex", ranked, images),
                    ("ragvis", ours, pictured),
                ):
                    for measure, value in measured(question, mixed, alone).items():
                        values[name][measure].append(value)
            show(half, values)


if __name__ == "__main__":
    main()
