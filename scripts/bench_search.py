"""Search in a large index: latency, recall, size, and what 20 % of churn does to them.

    python scripts/bench_search.py [--count 1000000] [--dim 768] [--peers Flat,IVF,HNSW]

The vectors are made, and made like CLIP's: a common direction (CLIP's narrow cone), topics of very
unequal size around it, a 16-dimensional spread within each topic, and a little noise in all
dimensions, whose strength falls off as 1/sqrt(rank). Queries are new points of the same kind.
`--topics` sets how hard it is: many small topics leave an inverted file little to go by.
Everything is measured with one thread; the index goes through the same code as `ragvis index`, and
where FAISS has a GPU, it is asked to search from the 64th query on.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import psutil

from ragvis.index.derive import Merge, Segments, near, sweep
from ragvis.store.catalog import Catalog
from ragvis.store.rows import DocumentRow, FileRow, ItemRow
from ragvis.store.vectors import library

K = 10
QUERIES = 500
PIECE = 20_000


class Maker:
    """Draws CLIP-like unit vectors."""

    def __init__(self, dim: int, topics: int) -> None:
        world = np.random.default_rng(7)
        self.scale = np.arange(1, dim + 1) ** -0.5
        self.scale /= np.linalg.norm(self.scale)
        self.mean = world.normal(size=dim)
        self.mean /= np.linalg.norm(self.mean)
        self.centres = world.normal(size=(topics, dim)) * self.scale
        self.spreads = world.normal(size=(64, 16, dim)) * self.scale / 4  # sqrt(16)
        weights = np.arange(1, topics + 1) ** -0.7
        self.weights = weights / weights.sum()

    def draw(self, n: int, seed: int) -> Any:
        """(n, dim) float32, unit rows."""
        random = np.random.default_rng(seed)
        topics = random.choice(len(self.centres), n, p=self.weights)
        rows = 0.8 * self.mean + self.centres[topics]
        within = random.normal(size=(n, 16))
        for spread in range(64):
            own = topics % 64 == spread
            rows[own] += 0.5 * within[own] @ self.spreads[spread]
        rows += 0.25 * random.normal(size=rows.shape) * self.scale
        unit: Any = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return unit

    def pieces(self, n: int, seed: int) -> Iterator[Any]:
        """``draw`` in pieces."""
        for start in range(0, n, PIECE):
            yield self.draw(min(PIECE, n - start), seed + start)


def fill(catalog: Catalog, maker: Maker, n: int, seed: int) -> None:
    """Pictures without files: a document for each piece."""
    for number, rows in enumerate(maker.pieces(n, seed)):
        items = [ItemRow("image", i, f"{seed}-{number}-{i}") for i in range(len(rows))]
        with catalog.commit():
            path = f"/{seed}/{number}.jpg"
            document = catalog.add_document(DocumentRow(path, ""), items, rows)
            catalog.link(FileRow(path, path, 0, 0, 0, path), document)


def churn(catalog: Catalog, share: float) -> None:
    """Delete a random share of the items."""
    with catalog.commit():
        catalog._db.execute(
            "DELETE FROM item WHERE (id * 2654435761 % 4294967296) < ?", (int(share * 2**32),)
        )


def derive(catalog: Catalog) -> float:
    """Bring the segments up to the catalog; seconds."""
    started = time.perf_counter()
    merge = Merge(catalog, "image", lambda line: print(f"  {line}", file=sys.stderr))
    rows = merge.write(lambda: near(catalog.sample("image", 256)))
    with catalog.commit():
        merge.commit(rows)
    sweep(catalog.folder, rows)
    return time.perf_counter() - started


def truth(catalog: Catalog, queries: Any) -> Any:
    """The ids (q, 10) of the ten best, by brute force over what is stored."""
    best = faiss.ResultHeap(len(queries), K, keep_max=True)
    for ids, rows in catalog.vectors("image"):
        scores = queries @ rows.astype(np.float32).T
        near = np.argpartition(-scores, min(K, scores.shape[1]) - 1, axis=1)[:, :K]
        best.add_result(np.take_along_axis(scores, near, 1), ids[near])
    best.finalize()
    return best.I


def report(name: str, search: Callable[[Any], Any], queries: Any, true: Any, rest: str) -> None:
    """One line: latency of single queries and recall of the true ten."""
    print(f"  measuring {name}", file=sys.stderr, flush=True)
    times, hits = [], []
    for query, ids in zip(queries, true, strict=True):
        started = time.perf_counter()
        found = search(query[None])
        times.append(1e3 * (time.perf_counter() - started))
        hits.append(np.isin(ids, found).mean())
    print(f"  measured {name}", file=sys.stderr, flush=True)
    p50, p99 = np.percentile(times, (50, 99))
    print(f"{name:28}{p50:9.2f}{p99:9.2f}{np.mean(hits):9.3f}  {rest}", flush=True)


def ours(catalog: Catalog, queries: Any, true: Any, name: str, built: float) -> None:
    """Open the index as a reader does, and search it."""
    started = time.perf_counter()
    rows = catalog.segments("image")
    before = psutil.Process().memory_info().rss
    index = Segments(catalog, "image").open(rows, for_readers=True)
    opened = time.perf_counter() - started
    files = [catalog.folder / (r.name + s) for r in rows for s in (".rows", ".faiss")]
    disk = sum(f.stat().st_size for f in files if f.exists()) / 2**20
    whole = disk + catalog.file.stat().st_size / 2**20
    memory = (psutil.Process().memory_info().rss - before) / 2**20
    rest = f"opened in {opened:.2f} s, {memory:.0f} MiB then, {disk:.0f} MiB ({whole:.0f} with"
    rest += f" the catalog), built in {built:.0f} s, {len(rows)} segments"
    # Each list is checked when it is first touched, so a new reader's first queries take longer.
    report(f"{name}, at first", lambda q: index.search(q, K)[1], queries, true, rest)
    report(f"{name}, then", lambda q: index.search(q, K)[1], queries, true, "")


def flat(dim: int) -> Any:
    """Exact search."""
    return faiss.IndexFlatIP(dim)


def inverted(dim: int) -> Any:
    """4096 lists of 8-bit codes."""
    return faiss.index_factory(dim, "IVF4096,SQ8", faiss.METRIC_INNER_PRODUCT)


def graph(dim: int) -> Any:
    """HNSW with 32 links."""
    return faiss.IndexHNSWFlat(dim, 32, faiss.METRIC_INNER_PRODUCT)


# name -> how it is made, the setting to vary, its values, and how many queries there is time for
PEERS: dict[str, tuple[Callable[[int], Any], str, tuple[int, ...], int]] = {
    "Flat": (flat, "", (0,), 60),
    "IVF": (inverted, "nprobe", (8, 16, 32), QUERIES),
    "HNSW": (graph, "efSearch", (64, 256), QUERIES),
}


def peer(name: str, catalog: Catalog, queries: Any, true: Any) -> None:
    """One of FAISS' own indexes over the same vectors."""
    make, setting, values, count = PEERS[name]
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    started, index, ids = time.perf_counter(), make(catalog.dim), []
    if not index.is_trained:
        index.cp.niter = 8
        some = [rows[::5] for _, rows in catalog.vectors("image")]
        index.train(np.concatenate(some)[: 40 * 4096].astype(np.float32))
    for numbers, rows in catalog.vectors("image"):
        ids.append(numbers)
        index.add(rows.astype(np.float32))
    spent, names = time.perf_counter() - started, np.concatenate(ids)
    faiss.omp_set_num_threads(1)
    for value in values:
        if setting:
            faiss.ParameterSpace().set_index_parameter(index, setting, value)
        shown = f"FAISS {name} {setting} {value}" if setting else f"FAISS {name}"

        def search(query: Any) -> Any:
            return names[index.search(query, K)[1]]

        report(shown, search, queries[:count], true[:count], f"built in {spent:.0f} s")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--topics", type=int, default=2000)
    parser.add_argument("--peers", default="Flat,IVF,HNSW", help="none: leave them out")
    asked = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, FAISS {library()}")
    print(f"{asked.count} vectors of {asked.dim} dimensions, {asked.topics} topics, k = {K}\n")
    print(f"{'':28}{'p50 ms':>9}{'p99 ms':>9}{'recall':>9}")
    maker = Maker(asked.dim, asked.topics)
    queries = maker.draw(QUERIES, 10**9)
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        catalog = Catalog.create(folder / "index", {"dim": str(asked.dim)})
        fill(catalog, maker, asked.count, 1)
        built = derive(catalog)
        true = truth(catalog, queries)
        faiss.omp_set_num_threads(1)
        ours(catalog, queries, true, "ragvis", built)
        faiss.omp_set_num_threads(os.cpu_count() or 1)
        churn(catalog, 0.2)
        fill(catalog, maker, asked.count // 5, 3 * 10**9)
        built = derive(catalog)
        true = truth(catalog, queries)
        faiss.omp_set_num_threads(1)
        ours(catalog, queries, true, "20 % churned", built)
        for name in asked.peers.split(",") if asked.peers != "none" else ():
            peer(name, catalog, queries, true)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
