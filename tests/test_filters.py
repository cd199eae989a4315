"""What files a filter means, by their names and by what their documents say of themselves."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_words import Shelf

from ragvis.errors import UsageError
from ragvis.index.filters import parse_filter
from ragvis.retriever.retriever import to_hit
from ragvis.retriever.scoring import Scored
from ragvis.store.metadata import bounded, entries
from ragvis.types import Hit

NFD = unicodedata.normalize("NFD", "résumé.txt")
PATHS = (
    "/home/u/Photos [2019]/a.txt",
    "/home/u/Photos 2/b.jpeg",
    "/home/u/café/ÉTÉ.JPG",
    f"/home/u/nfd/{NFD}",
    "/home/u/nfc/résumé.txt",
    "/home/u/it's/what? 10:30.md",
    "/home/u/soft­hyphen/ﬂat.html",
    "/home/u/deep/down/x.docx",
    "/mnt/other/deep/x.pdf",
    r"C:\Users\U\Scans\page.TIFF",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    shelf = Shelf(tmp_path_factory.mktemp("files"))
    for path in PATHS:
        shown = path.removeprefix("/home/u/") if "deep" in path else path
        shelf.put(path, path=path, shown=shown)
    return shelf


def fitting(shelf: Shelf, text: str) -> list[str]:
    """The last parts of the paths that a filter means."""
    ids = shelf.catalog.matching("text", parse_filter(text)).tolist()
    paths = [item.files[0].path for item in shelf.catalog.items(ids).values()]
    return sorted(path.replace("\\", "/").rsplit("/", 1)[-1] for path in paths)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('path:"Photos [2019]"', ["a.txt"]),
        ('path:"photos [2019]/"', ["a.txt"]),
        ('path:"Photos [2019]/*"', ["a.txt", "b.jpeg"]),  # either way to read it
        ('path:"Photos [2019]/a.txt"', ["a.txt"]),
        ('path:"Photos [0-9]/*"', ["b.jpeg"]),
        ('path:"Photos [!3]/*"', ["b.jpeg"]),
        ('path:"Photos ?/b*"', ["b.jpeg"]),
        ('path:"photos*"', ["a.txt", "b.jpeg"]),
        ("path:CAFÉ", ["ÉTÉ.JPG"]),
        ("path:" + unicodedata.normalize("NFD", "Café"), ["ÉTÉ.JPG"]),
        ("name:été", ["ÉTÉ.JPG"]),
        ("name:résumé", sorted([NFD, "résumé.txt"])),
        (f"name:{NFD}", sorted([NFD, "résumé.txt"])),
        ("path:nfd/résumé.txt", [NFD]),
        ("name:résum?.txt", sorted([NFD, "résumé.txt"])),
        ("path:softhyphen name:flat", ["ﬂat.html"]),
        ("path:deep//down/../down/./x.docx", ["x.docx"]),
        (r"path:Scans\*", ["page.TIFF"]),
        (r"path:c:\users", ["page.TIFF"]),
        (r'path:"C:\Users\U\Scans\page.tiff"', ["page.TIFF"]),
        ("path:it's", ["what? 10:30.md"]),
        ("path:it’s", ["what? 10:30.md"]),
        ('path:"it\'s"', ["what? 10:30.md"]),
        ("path:'home/u/Photos 2'", ["b.jpeg"]),
        ("path:“Photos 2”", ["b.jpeg"]),
        ("name:'10:30'", ["what? 10:30.md"]),
        ('"name:10:30"', ["what? 10:30.md"]),
        ("name:what?", ["what? 10:30.md"]),
        ("folder:deep NAME:x -Type:docx", ["x.pdf"]),
        ("path:deep -path:mnt", ["x.docx"]),
        ("path:/mnt/other", ["x.pdf"]),
        ("type:image", ["b.jpeg", "page.TIFF", "ÉTÉ.JPG"]),
        ("type:Photos", ["b.jpeg", "page.TIFF", "ÉTÉ.JPG"]),
        ("type:jpg", ["b.jpeg", "ÉTÉ.JPG"]),
        ("type:.JPEG", ["b.jpeg", "ÉTÉ.JPG"]),
        ("type:tif", ["page.TIFF"]),
        ("type:word", ["x.docx"]),
        ("type:documents -name:résumé", ["a.txt", "what? 10:30.md", "x.docx", "x.pdf", "ﬂat.html"]),
        ("type:web type:md", ["what? 10:30.md", "ﬂat.html"]),
    ],
)  # fmt: skip
def test_files_by_name_and_kind(files: Shelf, text: str, expected: list[str]) -> None:
    assert fitting(files, text) == expected


@pytest.mark.parametrize("word", ["picture", "image", "photo", "markdown", "md", "word", "docx"])
@pytest.mark.parametrize("form", [str.lower, str.upper, "{}s".format])
def test_a_kind_has_several_names(files: Shelf, word: str, form: object) -> None:
    assert callable(form)
    assert fitting(files, f"type:{form(word)}") == fitting(files, f"type:{word}") != []


def test_paths_from_here_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(tmp_path / "index")
    for place in ("notes/a.txt", "other/notes/b.txt"):
        shelf.put("x", path=str(tmp_path / "work" / place))
    shelf.put("x", path="/elsewhere/notes/moved.txt", shown="./notes/moved.txt")
    (tmp_path / "work" / "other").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "work"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "work"))
    assert fitting(shelf, "path:notes") == ["a.txt", "b.txt", "moved.txt"]
    assert fitting(shelf, "path:./notes") == ["a.txt", "moved.txt"]
    assert fitting(shelf, "path:~/notes/") == ["a.txt"]
    assert fitting(shelf, "path:.") == fitting(shelf, "path:~") == ["a.txt", "b.txt"]
    monkeypatch.chdir(tmp_path / "work" / "other")
    assert fitting(shelf, "path:../notes/*") == ["a.txt"]
    assert fitting(shelf, "path:./notes/../notes") == ["b.txt", "moved.txt"]


DRAFT = {"status": "Draft", "tags": "heating, Résumé\u00ads", "lang": "de-AT"}
PAGE = {"DC.Creator": "Quillon, A.", "og:title": "On blue", "Fiscal Year": "2023"}


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    shelf = Shelf(tmp_path_factory.mktemp("papers"))
    for name, title, about in (
        ("boiler.md", "Boiler service", DRAFT),
        ("pump.md", "The pump [new]", {"status": "final", "keywords": "[water, 'hot stuff']"}),
        ("annual-report_2023.pdf", "", {"author": "Orla Quill; Bo Ek", "language": "en"}),
        ("c.html", "Colours", PAGE),
        ("plain.txt", "", {}),
    ):  # fmt: skip
        shelf.put(name, about, path=f"/p/{name}", title=title)
    return shelf


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("status:draft", ["boiler.md"]),
        ("meta.status:DRAFT", ["boiler.md"]),
        ("-status:draft type:md", ["pump.md"]),
        ("status:d*", ["boiler.md"]),
        ("tag:?*stuff", ["pump.md"]),
        ("meta.status:*", ["boiler.md", "pump.md"]),
        ("-meta.status:* -type:txt", ["annual-report_2023.pdf", "c.html"]),
        ("tag:heating", ["boiler.md"]),
        ("tags:resumes", ["boiler.md"]),
        ("tag:water", ["pump.md"]),
        ("tag:stuff", ["pump.md"]),
        ("tag:'hot stuff'", ["pump.md"]),
        ("tag:heat", []),
        ("tag:heat*", ["boiler.md"]),
        ("tag:heating tag:water", ["boiler.md", "pump.md"]),
        ("author:quill", ["annual-report_2023.pdf"]),
        ("author:'Bo Ek'", ["annual-report_2023.pdf"]),
        ("author:quill*", ["annual-report_2023.pdf", "c.html"]),
        ("meta.author:quillon", []),
        ("meta.dc.creator:quillon", ["c.html"]),
        ("'meta.fiscal year:2023'", ["c.html"]),
        ("meta.Fiscal-Year:2023", ["c.html"]),
        ("meta.og:title:blue", ["c.html"]),
        ("language:de", ["boiler.md"]),
        ("language:en lang:de", ["annual-report_2023.pdf", "boiler.md"]),
        ("title:boiler", ["boiler.md"]),
        ("title:'the pump [new]'", ["pump.md"]),
        ("title:blue", ["c.html"]),
        ("title:report", ["annual-report_2023.pdf"]),
        ("title:'annual report 2023'", ["annual-report_2023.pdf"]),
        ("title:pump.md", []),  # a title of its own
    ],
)
def test_files_by_what_they_say_of_themselves(
    papers: Shelf, text: str, expected: list[str]
) -> None:
    assert fitting(papers, text) == expected


def test_what_documents_say_goes_with_them(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "i")
    shelf.put("x", {"tags": "a"}, path="/x.md")
    with shelf.catalog.commit():
        shelf.catalog.remove(["/x.md"])
    assert shelf.catalog._all("SELECT * FROM property") == []
    assert shelf.found("a") == []


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("type:imgae", "Did you mean type:image?"),
        ("type:exe", "Types are such as"),
        ("pth:x", "Did you mean path:x?"),
        ("colour:red", "meta.colour:red"),
        ("status:", "a value"),
        ("meta.:x", "meta."),
        ("path:\u00ad", "a value"),
        ("boiler", "a value"),
        ("path:'x", "quot"),
    ],
)
def test_what_is_no_filter_names_what_may_be_meant(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_filter(text)
    assert hint in raised.value.hint or hint in str(raised.value)


@given(st.text(max_size=20), st.sampled_from(["path", "name", "title", "tag", "meta.x", "-type"]))
def test_no_value_is_sql(value: str, name: str) -> None:
    try:
        where = parse_filter(f'{name}:"{value}"')
    except UsageError:
        return
    assert where.sql.count("?") == len(where.values)
    assert all(
        str(v) not in where.sql for v in where.values if not str(v).isspace() and len(str(v)) > 9
    )


def test_metadata_is_bounded_and_storable() -> None:
    found = bounded({f"k{n}": "v" * 9999 for n in range(999)} | {"\ud800": "x"})
    assert len(found) <= 64 and max(map(len, found.values())) <= 1000
    assert bounded({"a\0\ud800": "\udfffb\0", " ": "x", "y": " "}) == {"a ?": "?b"}


def test_entries_of_a_list() -> None:
    found = entries([("Tags", "[Red, 'dark  blue']"), ("tags", "red"), ("x", ", ,"), ("#", "y")])
    assert found == [("tags", "red, 'dark blue"), ("tags", "red"), ("tags", "dark blue")]


def test_a_hit_has_its_documents_metadata(papers: Shelf) -> None:
    (item,) = papers.catalog.items([1]).values()
    hit = to_hit(item, Scored(1, 0.5, {}, np.zeros(2, np.float32)))
    assert hit.metadata["status"] == "Draft"
    assert Hit(**hit.to_dict()).metadata == hit.to_dict()["metadata"] == item.metadata
    assert {hit: 1}
