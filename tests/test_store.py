"""The catalog, the derived vectors, and the lock."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragvis.errors import (
    IndexDamaged,
    IndexLocked,
    IndexMismatch,
    IndexMissing,
    RagvisError,
    StorageError,
)
from ragvis.store import catalog as catalog_module
from ragvis.store.catalog import CATALOG, Catalog, FileRow, ItemRow
from ragvis.store.lock import writer_lock
from ragvis.store.vectors import VectorIndex

DIM = 8


def unit(n: int, seed: int = 0) -> Any:
    rows = np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog.create(tmp_path / "i", {"dim": str(DIM)})


def put(catalog: Catalog, path: str, *bodies: str, seed: int = 0) -> None:
    items = [ItemRow("text", i, f"{path}{i}", body=b, span=(0, 1)) for i, b in enumerate(bodies)]
    with catalog.commit():
        row = FileRow(path, path, 1, 2, 3, "s" * 64, title="Title")
        catalog.put(row, items, unit(len(items), seed))


def test_what_is_put_comes_back(catalog: Catalog) -> None:
    put(catalog, "/a/pump.md", "twelve volts", "two years")
    assert catalog.counts() == {"files": 1, "bad_files": 0, "passages": 2, "images": 0}
    ids, vectors = catalog.vectors("text")
    assert vectors == pytest.approx(unit(2), abs=1e-3)
    item = catalog.items([int(ids[1])])[int(ids[1])]
    assert (item.body, item.file and item.file.path) == ("two years", "/a/pump.md")
    assert [i for i, _ in catalog.word_search("how many volts?", "text", 5)] == [ids[0]]
    assert [i for i, _ in catalog.word_search("pump", "text", 5)] == list(ids)  # by its name
    assert catalog.word_search("what is the", "text", 5) == []


def test_putting_again_replaces_and_ids_are_new(catalog: Catalog) -> None:
    put(catalog, "/a.md", "old words")
    before = set(catalog.vectors("text")[0])
    put(catalog, "/a.md", "new words")
    assert catalog.counts()["passages"] == 1
    assert not before & set(catalog.vectors("text")[0])
    assert catalog.word_search("old", "text", 5) == []
    with catalog.commit():
        catalog.remove(["/a.md"])
    assert catalog.counts()["passages"] == 0
    assert catalog.word_search("words", "text", 5) == []


def test_a_failed_commit_leaves_nothing(catalog: Catalog) -> None:
    put(catalog, "/a.md", "kept")
    with pytest.raises(ZeroDivisionError), catalog.commit():
        catalog.remove(["/a.md"])
        raise ZeroDivisionError
    assert catalog.counts()["passages"] == 1
    assert catalog.generation == 1


def test_a_reader_sees_whole_commits_only(catalog: Catalog, tmp_path: Path) -> None:
    put(catalog, "/a.md", "one")
    reader = Catalog.open(tmp_path / "i")
    with reader.snapshot():
        assert reader.generation == 1
        put(catalog, "/b.md", "two")
        assert (reader.generation, reader.counts()["passages"]) == (1, 1)
    assert (reader.generation, reader.counts()["passages"]) == (2, 2)
    with pytest.raises(StorageError, match="readonly"), reader.commit():
        reader.remove(["/a.md"])


def test_coverage_weighs_rare_words_and_missing_ones(catalog: Catalog) -> None:
    put(catalog, "/a.md", "population of Kenya", "population of Peru", "climate of Peru")
    a, b, c = (int(i) for i in catalog.vectors("text")[0])
    whole = catalog.word_coverage("What is the population of Kenya?", [a, b, c])
    assert whole[a] == pytest.approx(1.0)
    assert 0 < whole[b] < 0.5 and whole[c] == 0
    missing = catalog.word_coverage("population of Norway", [a, b, c])
    assert max(missing.values()) < 0.4


def test_flipped_bits_are_told_or_harmless(catalog: Catalog, tmp_path: Path) -> None:
    put(catalog, "/a.md", "population of Kenya", "population of Peru")
    catalog.close()
    with sqlite3.connect(tmp_path / "i" / CATALOG) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    file = tmp_path / "i" / CATALOG
    good = file.read_bytes()
    for place in range(16, len(good), 211):
        bad = bytearray(good)
        bad[place] ^= 1 << (place % 8)
        file.write_bytes(bad)
        try:
            opened = Catalog.open(tmp_path / "i")
        except RagvisError:
            continue
        for read in (opened.files, opened.counts, lambda o=opened: o.vectors("text")):
            try:
                read()
            except RagvisError:
                continue
        opened.close()


def test_creation_leaves_no_half_made_catalog(tmp_path: Path) -> None:
    (tmp_path / "i").mkdir()
    (tmp_path / "i" / "catalog.part").write_bytes(b"left by a killed process")
    Catalog.create(tmp_path / "i", {"dim": "8"}).close()
    assert not (tmp_path / "i" / "catalog.part").exists()
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        Catalog.create(tmp_path / "file" / "i", {})


def test_words_of_a_query_are_never_syntax(catalog: Catalog) -> None:
    put(catalog, "/a.md", "plain")
    for query in (
        '"',
        "NEAR(",
        "a AND",
        "col:x",
        "*",
        "'; DROP TABLE item; --",
        "^x",
        "-x",
        "\x00",
    ):
        assert isinstance(catalog.word_search(query, "text", 5), list)
        assert isinstance(catalog.word_coverage(query, [1]), dict)


def test_missing_foreign_and_newer_catalogs(tmp_path: Path, catalog: Catalog) -> None:
    with pytest.raises(IndexMissing):
        Catalog.open(tmp_path / "none")
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / CATALOG).write_bytes(b"not a database, but long enough to look at" * 50)
    with pytest.raises(IndexDamaged):
        Catalog.open(tmp_path / "junk")
    with catalog.commit():
        catalog.set_meta(format="999")
    with pytest.raises(IndexMismatch, match="format 999"):
        Catalog.open(tmp_path / "i")


def test_a_catalog_on_media_that_cannot_be_written(
    tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(catalog, "/a.md", "kept")
    catalog.close()
    folder = tmp_path / "i"
    sqlite3.connect(folder / CATALOG).execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    for extra in folder.glob("*-*"):
        extra.unlink()

    def refuse(uri: str) -> sqlite3.Connection:  # root may write anywhere: play the refusal
        if "immutable" not in uri:
            raise sqlite3.OperationalError("unable to open database file")
        return opened(uri)

    opened = catalog_module._opened
    monkeypatch.setattr(catalog_module, "_opened", refuse)
    monkeypatch.setattr(catalog_module.os, "access", lambda *_: False)
    assert Catalog.open(folder).counts()["passages"] == 1


def test_vectors_find_what_numpy_finds(tmp_path: Path) -> None:
    ids, rows = np.arange(100, 150, dtype=np.int64), unit(50)
    index = VectorIndex.build(ids, rows)
    queries = unit(3, seed=9)
    scores, found = index.search(queries, 5)
    exact = queries @ rows.T
    assert found.tolist() == (100 + np.argsort(-exact, axis=1)[:, :5]).tolist()
    assert scores == pytest.approx(-np.sort(-exact, axis=1)[:, :5], abs=1e-5)
    assert index.vector(107) == pytest.approx(rows[7])
    assert VectorIndex.build(ids[:0], rows[:0]).search(queries, 5)[1].shape == (3, 0)
    checksum = index.save(tmp_path / "x.faiss")
    assert VectorIndex.load(tmp_path / "x.faiss", checksum).search(queries, 5)[1].tolist() == (
        found.tolist()
    )


def test_faiss_never_sees_a_changed_file(tmp_path: Path) -> None:
    file = tmp_path / "x.faiss"
    checksum = VectorIndex.build(np.arange(9, dtype=np.int64), unit(9)).save(file)
    good = file.read_bytes()
    for place in range(0, len(good), 17):
        bad = bytearray(good)
        bad[place] ^= 1
        file.write_bytes(bad)
        with pytest.raises(IndexDamaged, match="checksum"):
            VectorIndex.load(file, checksum)
    file.unlink()
    with pytest.raises(IndexDamaged, match="cannot be read"):
        VectorIndex.load(file, checksum)


def _hold(folder: str, held: Any, release: Any) -> None:
    with writer_lock(Path(folder)):
        held.set()
        release.wait(60)


def test_one_writer_at_a_time_and_a_dead_ones_lock_is_free(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(str(tmp_path), held, release))
    holder.start()
    assert held.wait(60)
    with pytest.raises(IndexLocked, match=f"process {holder.pid}"), writer_lock(tmp_path):
        pass
    holder.kill()
    holder.join()
    assert json.loads((tmp_path / "writer.json").read_text())["pid"] == holder.pid
    with writer_lock(tmp_path):
        pass
    assert not (tmp_path / "writer.json").exists()
