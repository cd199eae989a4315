"""Indexes of formats 1 and 2, as ragvis wrote them then, are brought to today's format in place."""

from __future__ import annotations

import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import WordEncoder

from ragvis import encoder as encoders
from ragvis.errors import IndexDamaged, IndexLocked
from ragvis.index import Index, upgrade
from ragvis.index.filters import parse_filter
from ragvis.prompts import UNRELATED_QUERIES
from ragvis.retriever import Retriever
from ragvis.store import connection
from ragvis.store.catalog import CATALOG, Catalog
from ragvis.store.lock import writer_lock
from ragvis.store.schema import FORMAT, FROM_2

MADE = Path(__file__).parent / "data" / "index-format-1.zip"


@pytest.fixture
def old(tmp_path: Path, encoder: WordEncoder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six files in /srv/notes: a Markdown file twice, a picture twice, a text, a torn picture."""
    monkeypatch.setattr(encoders, "load", lambda name, tell: encoder)
    with zipfile.ZipFile(MADE) as archive:
        archive.extractall(tmp_path / "index")
    return tmp_path / "index"


def test_everything_is_still_there_and_nothing_embedded_again(
    old: Path, encoder: WordEncoder
) -> None:
    told: list[str] = []
    index = Index.open(old, told.append)
    assert len(told) == 1
    status = index.status()
    assert (status.files, status.bad_files, status.passages, status.images) == (5, 1, 3, 1)
    hit = Retriever(index).search("twelve volts guaranteed", k=1, modality="text")[0]
    assert hit.paths == ("/srv/notes/pump.md", "/srv/notes/sub/copy of pump.md")
    assert (hit.title, hit.section) == ("The pump", "The pump")
    assert Retriever(index).search("lamp", k=1, modality="text")[0].title == "lamp"
    assert [p for p in old.iterdir() if p.name.startswith("catalog.sqlite")] == []
    assert index.remove(["/srv/notes/sub"]) == 3
    assert (index.status().passages, index.status().images) == (2, 1)
    assert index.verify() == []
    assert (encoder.pictures_encoded, encoder.texts_encoded) == (
        0,
        2 + len(UNRELATED_QUERIES),
    )  # queries alone


def test_new_files_go_into_an_upgraded_index(old: Path, tmp_path: Path) -> None:
    (tmp_path / "new.txt").write_text("A heron stands in the reeds.")
    index = Index.open(old)
    assert index.add([tmp_path / "new.txt"]).added == 1
    assert Retriever(index).search("heron", k=1, modality="text")[0].name == "new.txt"


def test_an_upgrade_that_is_cut_short_leaves_the_old_index(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(upgrade, "_copy", stop)
        with pytest.raises(KeyboardInterrupt):
            Index.open(old)
    assert (old / upgrade.FORMAT_1).is_file()
    assert Index.open(old).status().files == 5


def test_a_writer_is_waited_out(old: Path) -> None:
    with writer_lock(old), pytest.raises(IndexLocked):
        Index.open(old)
    Index.open(old).close()
    Catalog.open(old).close()


@pytest.fixture
def second(tmp_path: Path, encoder: WordEncoder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Format 2: five files in /srv/notes, among them a page with a picture in it."""
    monkeypatch.setattr(encoders, "load", lambda name, tell: encoder)
    with zipfile.ZipFile(MADE.with_name("index-format-2.zip")) as archive:
        archive.extractall(tmp_path / "index")
    return tmp_path / "index"


def test_format_2_is_changed_where_it_lies(second: Path, encoder: WordEncoder) -> None:
    told: list[str] = []
    index = Index.open(second, told.append)
    assert len(told) == 1 and Catalog.open(second).format == str(FORMAT)
    status = index.status()
    assert (status.files, status.passages, status.images) == (5, 3, 2)
    hit = Retriever(index).search("pond", k=1, modality="image")[0]
    assert (hit.name, hit.scores["words"]) == ("page.html", 1.0)
    assert index.verify() == []
    Index.open(second, told.append)
    assert len(told) == 1


def test_all_but_pictures_is_read_again_after_an_older_format(second: Path) -> None:
    """As it would be where the files still are: their rows say that they have changed."""
    index = Index.open(second)
    files = index._catalog.files()
    changed = {Path(f).suffix for f, row in files.items() if row.size == -1}
    assert changed == {Path(f).suffix for f in files} - {".jpg", ".png"}
    assert index._catalog.document_id(f"{files['/srv/notes/page.html'].sha256}:html") is None


def test_a_change_of_format_2_is_whole_or_not_at_all(
    second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(upgrade, "REBUILD", "SELECT no_such_thing;")
        with pytest.raises(IndexDamaged):
            Index.open(second)
    assert Catalog.open(second).format == "2"
    assert Index.open(second).status().images == 2


# What formats 2 to 4 made of their items' words
WORDS_4 = """
CREATE VIRTUAL TABLE item_words USING fts5(
    body, title, section, name, near, content='item', content_rowid='id',
    tokenize="porter unicode61 remove_diacritics 2"
);
CREATE TRIGGER item_added AFTER INSERT ON item BEGIN SELECT 1; END;
CREATE TRIGGER item_renamed AFTER UPDATE OF title, name ON item BEGIN SELECT 1; END;
CREATE TRIGGER item_dropped AFTER DELETE ON item BEGIN SELECT 1; END;
INSERT INTO item_words(item_words) VALUES ('rebuild');
"""
DROP_2 = "DROP TRIGGER item_added; DROP TRIGGER item_renamed; DROP TRIGGER item_dropped;"


@pytest.fixture
def fourth(second: Path) -> Path:
    """Format 4 as it was, with a decomposed file name and a soft hyphen in a passage."""
    with closing(connection.open_to_write(second / CATALOG)) as db, connection.transaction(db):
        db.execute(DROP_2 + "DROP TABLE item_words;" + FROM_2)
        db.execute(
            "UPDATE item SET body = 'a com\u00adpres\u00adsor' WHERE ordinal = 0 AND page IS NULL"
        )
        db.execute(
            "UPDATE file SET path = '/srv/notes/re\u0301sume\u0301.png' WHERE path LIKE '%.png'"
        )
        db.execute(WORDS_4 + "UPDATE meta SET value = '4' WHERE key = 'format'")
    return second


def test_words_and_names_of_format_4_are_found_in_any_spelling(fourth: Path) -> None:
    index = Index.open(fourth)
    catalog = index._catalog
    assert catalog.format == str(FORMAT)
    assert [hit[0] for hit in catalog.word_search("compressor", "text", 9)]
    assert not catalog.word_search("pres", "text", 9)
    assert len(catalog.matching("image", parse_filter("name:résumé"))) == 1
    assert len(catalog.matching("image", parse_filter("path:/SRV/notes type:png"))) == 1
    changed = [row.size for path, row in catalog.files().items() if not path.isascii()]
    assert changed == [-1]  # its name is made words anew
    assert index.verify() == []
    assert index.remove(["/srv/notes"]) == 5
    assert catalog.word_search("compressor", "text", 9) == []
