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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.indices import MultiModalVectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.schema import ImageNode, TextNode

from ragvis import Hit, Index, Retriever
from ragvis.encoder import Encoder
from ragvis.evaluation import Measure, Question, read_questions
from ragvis.evaluation.measures import ndcg, ranks_of, recall, reciprocal_rank
from ragvis.index import picture_of
from ragvis.retriever.retriever import to_hit
from ragvis.retriever.scoring import Scored
from ragvis.types import MODALITIES

EVALSET = Path(__file__).resolve().parent.parent / "tests" / "evalset"


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


def measured(question: Question, hits: Sequence[Hit]) -> dict[str, float]:
    """The measures of one question."""
    ranks = ranks_of(hits[:10], question.relevant)
    found = {"mrr": reciprocal_rank(ranks), "ndcg@10": ndcg(ranks, 10)}
    found["recall@5"] = recall(ranks, 5)
    for modality in MODALITIES:
        own = [r for r, t in zip(ranks, question.relevant, strict=True) if t.modality == modality]
        if own:
            found[f"{modality}.recall@5"] = recall(own, 5)
    wanted = [t for t in question.relevant if t.modality == "image"]
    if wanted:
        alone = [h for h in hits if h.modality == "image"][:5]
        found["pictures alone@5"] = recall(ranks_of(alone, wanted), 5)
    return found


def main() -> None:
    """Print a table for each half."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", nargs="?", help="an index of tests/evalset/collection")
    folder = parser.parse_args().index
    with tempfile.TemporaryDirectory() as made:
        index = Index.open(folder) if folder else Index.create(Path(made) / "index", "pocket")
        if not folder:
            index.add([EVALSET / "collection"])
        theirs, hits = build(index, index.encoder, Path(made))
        near = theirs.as_retriever(similarity_top_k=10, image_similarity_top_k=10, llm=MockLLM())
        for half in ("tune", "test"):
            values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
            for question in read_questions(EVALSET / f"{half}.jsonl"):
                if question.images or not question.answerable:
                    continue
                found = sorted(near.retrieve(question.text), key=lambda n: -(n.score or 0))
                ours = Retriever(index).search(question.text, k=10)
                pictures = Retriever(index).search(question.text, k=5, modality="image")
                for name, ranked in (
                    ("LlamaIndex", [hits[n.node.node_id] for n in found]),
                    ("ragvis", ours + [h for h in pictures if h.id not in {o.id for o in ours}]),
                ):
                    for measure, value in measured(question, ranked).items():
                        values[name][measure].append(value)
            show(half, values)
        index.close()


def show(half: str, values: dict[str, dict[str, list[float]]]) -> None:
    """One table."""
    names = list(next(iter(values.values())))
    print(f"\n{half:12}" + "".join(f"{name:>24}" for name in names))
    for system, own in values.items():
        cells = [Measure.of(own[name]) for name in names]
        print(
            f"{system:12}" + "".join(f"{c.value:10.3f} ({c.low:.2f} {c.high:.2f})" for c in cells)
        )


if __name__ == "__main__":
    main()
