"""The catalog, the derived vectors, and the lock."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest

from ragvis.errors import (
    IndexDamaged,
    IndexLocked,
    IndexMismatch,
    IndexMissing,
    StorageError,
)
from ragvis.store import connection
from ragvis.store.catalog import CATALOG, Catalog
from ragvis.store.lock import writer_lock
from ragvis.store.rows import DocumentRow, FileRow, ItemRow, content_key

DIM = 8


def unit(n: int, seed: int = 0) -> Any:
    rows = np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog.create(tmp_path / "i", {"dim": str(DIM)})


def put(catalog: Catalog, path: str, *bodies: str, seed: int = 0) -> None:
    items = [ItemRow("text", i, f"{path}{i}", body=b, span=(0, 1)) for i, b in enumerate(bodies)]
    sha256 = hashlib.sha256("".join(bodies).encode()).hexdigest()
    with catalog.commit():
        document = DocumentRow(content_key(sha256, "text"), "Title")
        number = catalog.add_document(document, items, unit(len(items), seed))
        catalog.link(FileRow(path, path, 1, 2, 3, sha256, "label"), number)


def vectors_of(catalog: Catalog) -> tuple[Any, Any]:
    pieces = list(catalog.vectors("text"))
    return np.concatenate([i for i, _ in pieces]), np.concatenate([v for _, v in pieces])


def test_what_is_put_comes_back(catalog: Catalog) -> None:
    put(catalog, "/a/pump.md", "twelve volts", "two years")
    assert catalog.counts() == {"files": 1, "bad_files": 0, "passages": 2, "images": 0}
    ids, vectors = vectors_of(catalog)
    assert vectors == pytest.approx(unit(2), abs=1e-3)
    item = catalog.items([int(ids[1])])[int(ids[1])]
    assert (item.body, item.files[0].path) == ("two years", "/a/pump.md")
    assert [i for i, _ in catalog.word_search("how many volts?", "text", 5)] == [ids[0]]
    assert [i for i, _ in catalog.word_search("pump", "text", 5)] == list(ids)  # by its name
    assert catalog.word_search("what is the", "text", 5) == []


def test_putting_again_replaces_and_ids_are_new(catalog: Catalog) -> None:
    put(catalog, "/a.md", "old words")
    before = set(vectors_of(catalog)[0])
    put(catalog, "/a.md", "new words")
    assert catalog.counts()["passages"] == 1
    assert not before & set(vectors_of(catalog)[0])
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
    a, b, c = (int(i) for i in vectors_of(catalog)[0])
    whole = catalog.word_coverage("What is the population of Kenya?", [a, b, c])
    assert whole[a].share == pytest.approx(1.0)
    assert 0 < whole[b].share < 0.5 and whole[c].share == 0
    assert whole[a].surprise > whole[b].surprise == 0  # "population" is nothing rare here
    missing = catalog.word_coverage("population of Norway", [a, b, c])
    assert max(shared.share for shared in missing.values()) < 0.4


def test_every_flipped_bit_of_a_catalog_is_told(catalog: Catalog, tmp_path: Path) -> None:
    put(catalog, "/a.md", "population of Kenya", "population of Peru")
    catalog.close()
    file = tmp_path / "i" / CATALOG
    good = file.read_bytes()
    for place in range(0, len(good), 211):
        bad = bytearray(good)
        bad[place] ^= 1 << (place % 8)
        file.write_bytes(bad)
        with pytest.raises(IndexDamaged), closing(Catalog.open(tmp_path / "i")) as opened:
            opened.check()
    file.write_bytes(good)
    with closing(Catalog.open(tmp_path / "i")) as opened:
        opened.check()


@pytest.mark.parametrize("cut", [1, 100, 4095, 4096, 5000])
def test_a_catalog_that_ends_too_early_is_told(catalog: Catalog, tmp_path: Path, cut: int) -> None:
    """SQLite takes what is missing of its last page for zeros, and says nothing."""
    put(catalog, "/a.md", "population of Kenya", "population of Peru")
    catalog.close()
    file = tmp_path / "i" / CATALOG
    file.write_bytes(file.read_bytes()[:-cut])
    with pytest.raises(IndexDamaged, match="ends too early"):
        Catalog.open(tmp_path / "i")


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
    for extra in folder.glob("*-*"):
        extra.unlink()

    def refuse(uri: str) -> apsw.Connection:  # root may write anywhere: play the refusal
        if "immutable" not in uri:
            raise apsw.CantOpenError("unable to open database file")
        return readable(uri)

    readable = connection._readable
    monkeypatch.setattr(connection, "_readable", refuse)
    monkeypatch.setattr(connection.os, "access", lambda *_: False)
    assert Catalog.open(folder).counts()["passages"] == 1


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


def test_equal_files_are_one_document_under_all_their_names(catalog: Catalog) -> None:
    put(catalog, "/a/pump.md", "twelve volts")
    document = catalog.document_id(content_key(hashlib.sha256(b"twelve volts").hexdigest(), "text"))
    with catalog.commit():
        row = FileRow("/b/spare.md", "spare.md", 1, 2, 3, "s", "spare")
        catalog.link(row, document)
    (item,) = catalog.items([1]).values()
    assert [f.path for f in item.files] == ["/a/pump.md", "/b/spare.md"]
    assert catalog.word_search("spare", "text", 5) and catalog.word_search("pump", "text", 5)
    with catalog.commit():
        catalog.remove(["/a/pump.md"])
    assert catalog.counts()["passages"] == 1
    assert not catalog.word_search("pump", "text", 5)
    with catalog.commit():
        catalog.remove(["/b/spare.md"])
    assert catalog.counts()["passages"] == 0
    assert catalog.dead("text").tolist() == [1]


def test_a_title_of_its_own_stays_and_one_by_name_follows_the_name(catalog: Catalog) -> None:
    with catalog.commit():
        number = catalog.add_document(
            DocumentRow("c:picture", ""), [ItemRow("image", 0, "k")], unit(1)
        )
        catalog.link(FileRow("/old.png", "old.png", 1, 2, 3, "c", "old"), number)
    assert catalog.items([1])[1].title == "old"
    with catalog.commit():
        catalog.link(FileRow("/new.png", "new.png", 1, 2, 3, "c", "new"), number)
        catalog.remove(["/old.png"])
    assert catalog.items([1])[1].title == "new"
    assert [i for i, _ in catalog.word_search("new", "image", 5)] == [1]
