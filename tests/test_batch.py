"""Many questions in one go: the answers of one by one, in order, and a batch that goes on."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoints import FAMILIES
from conftest import DEMO, run_command_line
from PIL import Image
from test_remote import SAID, serving

import ragvis
from ragvis import generator
from ragvis.errors import StorageError, UsageError
from ragvis.generator import Sampling
from ragvis.logs import Log

VOLTS = "How many volts?"
FLAG = DEMO / "images" / "flag-italy.jpg"
QUESTIONS = [
    ("What is the capital of Japan?", []),
    ("What is the capital of the country whose flag this is?", [FLAG]),
    ("zxqv blorf wimble quandary nonsense", []),
    ("Which tool grips a nut?", []),
    ("How many moons has Jupiter?", []),
]


def placed(answer: Any) -> list[Any]:
    """An answer's sources. Encoded together, a score's last digits may differ."""
    return [(s.n, s.hit.id, s.placed, s.cited, round(s.hit.score, 3)) for s in answer.sources]


def test_together_as_one_by_one(
    demo_index: Path, pocket_generator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ragvis.Index.open(demo_index) as index:
        assistant = ragvis.Assistant(ragvis.Retriever(index), "pocket")
        alone = [assistant.ask(question, images) for question, images in QUESTIONS]
        for size in (1, 2, 8):
            monkeypatch.setattr(assistant.generator, "batch", size)
            together = [stream.answer for stream in assistant.ask_many(iter(QUESTIONS))]
            assert [a.question for a in together] == [q for q, _ in QUESTIONS]
            assert [a.text for a in together] == [a.text for a in alone]
            assert [placed(a) for a in together] == [placed(a) for a in alone]
            for answer in together:
                assert answer.ledger.total == answer.usage.get("prompt_tokens", 0)
    assert together[2].usage["completion_tokens"] == 0 and together[2].abstained


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_a_batch_do_not_see_each_other(tmp_path: Path, family: str) -> None:
    from PIL import Image

    # Whole weights: a decode step rounds activations for 8-bit ones, and noise is full of near ties
    model: Any = generator.load(str(FAMILIES[family](tmp_path)), print, quantize="none")
    pictures = [Image.new("RGB", size, "red") for size in ((60, 60), (90, 40))]
    asked: list[Any] = [
        ("USER: Answer the question. ASSISTANT:", []),
        (
            "USER: <image>\nAnswer the numbered question using only the sources. ASSISTANT:",
            pictures[:1],
        ),
        ("USER: <image>\nWhy? ASSISTANT:", pictures[1:]),
    ]
    short = Sampling(max_new_tokens=6)
    alone = ["".join(model.stream(*one, short)) for one in asked]
    together = model.write_many(asked, short)
    assert [one.text for one in together] == alone
    assert [one.usage.prompt_tokens for one in together] == [
        int(model.inputs(*one)["input_ids"].shape[1]) for one in asked
    ]


def test_a_loaded_model_is_shared(demo_index: Path, pocket_generator: Any) -> None:
    with ragvis.Index.open(demo_index) as index:
        assistant = ragvis.Assistant(ragvis.Retriever(index), pocket_generator)
        assert "Tokyo" in assistant.ask(QUESTIONS[0][0]).text
        (only,) = assistant.ask_many([QUESTIONS[0][0]])
        assert "Tokyo" in only.answer.text
        listed, alone = (assistant.ask("What is it?", given) for given in ([FLAG], str(FLAG)))
        assert alone.prompt == listed.prompt and FLAG.name in alone.prompt
        with pytest.raises(UsageError, match="no picture: NoneType"):
            assistant.ask("What is it?", [None])  # type: ignore[list-item]
        assert assistant.ask("What is it?", None).prompt == assistant.ask("What is it?").prompt
        with pytest.raises(UsageError, match="no pixels"):
            assistant.ask("What is it?", Image.new("RGB", (0, 4)))
        with pytest.raises(UsageError, match="'both'"):
            assistant.ask("What is it?", pictures="both")  # type: ignore[arg-type]
    assert ragvis.VisionChat(Path("a/folder")).choice.model == str(Path("a/folder"))
    chat = ragvis.VisionChat(pocket_generator)
    assert chat.generator is assistant.generator is pocket_generator
    assert chat.choice.model == "pocket"
    with pytest.raises(UsageError, match="loaded model"):
        ragvis.VisionChat(pocket_generator, template="v0")


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def said(data: bytes) -> list[str]:
    return [json.loads(line)["answer"] for line in data.splitlines()]


def test_a_batch_goes_on_where_it_was(demo_index: Path, tmp_path: Path) -> None:
    (tmp_path / "flag.jpg").write_bytes(FLAG.read_bytes())
    rows = [
        {"id": "a", "question": QUESTIONS[0][0]},
        {"question": QUESTIONS[1][0], "images": ["flag.jpg"], "answerable": True},
        {"id": "c", "question": QUESTIONS[2][0]},
    ]
    file, out = write(tmp_path / "q.jsonl", rows), tmp_path / "a.jsonl"
    batch = ["ask", "-i", demo_index, "-m", "pocket", "--batch", file]
    printed = run_command_line(*batch)
    assert printed.exit_code == 0, printed.stderr
    answers = [json.loads(line) for line in printed.stdout.splitlines()]
    assert [a["id"] for a in answers] == ["a", "2", "c"]
    assert "Tokyo" in answers[0]["answer"] and "Rome" in answers[1]["answer"]
    assert [a["abstained"] for a in answers] == [False, False, True]
    assert len(Log().newest(9)) == len({entry.talk for entry in Log().newest(9)}) == 3
    assert run_command_line(*batch, "-n", "--output", out).stdout == ""
    whole = out.read_bytes()
    first, second, _ = whole.splitlines(keepends=True)
    out.write_bytes(first + second[:50] + b"\xc3")  # killed in the middle of a character
    again = run_command_line(*batch, "-n", "--output", out)
    assert "1 of 3 are answered already" in again.stderr
    text = [
        [json.loads(line)["answer"] for line in data.splitlines()]
        for data in (whole, out.read_bytes())
    ]
    assert text[0] == text[1] and out.read_bytes().startswith(first)
    assert "3 of 3" in run_command_line(*batch, "-n", "--output", out).stderr
    assert len(Log().newest(9)) == 3
    write(file, [{"id": "a", "question": "Another?"}])
    other = run_command_line(*batch, "--output", out)
    assert other.exit_code == UsageError.exit_code and "another question" in other.stderr
    assert out.read_bytes().startswith(first)


@pytest.mark.parametrize("size", [1, 4])
def test_one_bad_question_does_not_cost_those_before_it(
    demo_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    from ragvis.generator.llava import LlavaGenerator

    monkeypatch.setattr(LlavaGenerator, "batch", property(lambda _: size, lambda *_: None), False)
    rows = [
        {"id": "a", "question": "Which tool\u2028grips a nut?"},
        {"id": "b", "question": "What?", "images": ["none.jpg"]},
        {"id": "c", "question": QUESTIONS[0][0]},
    ]
    file, out = write(tmp_path / "q.jsonl", rows), tmp_path / "a.jsonl"
    file.write_text(file.read_text().replace("\\u2028", "\u2028"), "utf-8")
    batch = ["ask", "-i", demo_index, "-m", "pocket", "--batch", file, "--output", out]
    result = run_command_line(*batch, "--stop-on-error")
    assert result.exit_code == UsageError.exit_code and "stopped at question b" in result.stderr
    assert [json.loads(line)["id"] for line in out.read_bytes().splitlines()] == ["a"]
    result = run_command_line(*batch)
    assert result.exit_code == 1
    rows = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert "error" in rows[1] and "Tokyo" in rows[2]["answer"]


@pytest.mark.parametrize(
    "text", ['{"my": "settings"}', "\u00ff\u00d8JFIF", '{"id": "a", "question"']
)
def test_somebody_s_file_is_not_taken_for_answers(
    demo_index: Path, tmp_path: Path, text: str
) -> None:
    file = write(tmp_path / "q.jsonl", [{"id": "a", "question": "What?"}])
    out = tmp_path / "mine"
    out.write_text(text, "utf-8")
    ask = ["ask", "-i", demo_index, "-m", "pocket", "--batch", file, "--output"]
    result = run_command_line(*ask, out)
    assert result.exit_code == UsageError.exit_code and "no file of answers" in result.stderr
    assert out.read_text("utf-8") == text
    before = file.read_bytes()
    assert run_command_line(*ask, file).exit_code == UsageError.exit_code
    assert file.read_bytes() == before


def test_half_a_character_is_no_reason_to_fail(demo_index: Path) -> None:
    ask = ["ask", "capital of Japan \udcff", "-i", demo_index, "-m", "pocket"]
    result = run_command_line(*ask, "--html", "x.html")
    assert "Tokyo" in result.stdout, result.stderr
    assert Path("x.html").stat().st_size


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["{"], "line 1"),
        (['{"question": "a"}', '{"id": "x"}'], "line 2: 'question' is missing"),
        (['{"question": " "}'], "no text"),
        (['{"question": "a", "images": "b.jpg"}'], "not a list"),
        (['{"question": "a", "filter": ["type:pdf"]}'], "filter is no text"),
        (['{"question": "a", "image": ["b.jpg"]}'], "'image'; did you mean 'images'?"),
        (['{"question": "a", "Filter": "type:pdf"}'], "'Filter'; did you mean 'filter'?"),
        (['{"id": "1", "question": "a"}', '{"id": 1, "question": "b"}'], "stands twice"),
        (["[]"], "line 1"),
    ],
)
def test_what_is_no_batch(demo_index: Path, tmp_path: Path, lines: list[str], said: str) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text("\n".join(lines))
    result = run_command_line("ask", "-i", demo_index, "--batch", file)
    assert result.exit_code == UsageError.exit_code and said in result.stderr


def test_a_batch_and_a_question_are_two_things(demo_index: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "q.jsonl", [{"question": "a"}])
    ask = ["ask", "-i", demo_index]
    for more in (
        ["What?", "--batch", file],
        ["--batch", file, "-c"],
        ["--batch", tmp_path / "no"],
        [],
    ):
        assert run_command_line(*ask, *more).exit_code == UsageError.exit_code


@pytest.fixture
def small(make_index: Callable[..., ragvis.Index], folder: Path) -> Path:
    """A small index; its encoder takes no time."""
    index = make_index()
    index.add([folder])
    return Path(index.path)


BAD = [
    ({"question": VOLTS, "images": ["none.jpg"]}, "UsageError", "no such picture"),
    ({"question": VOLTS, "images": ["http://127.0.0.1/a.jpg"]}, "FetchRefused", "127.0.0.1"),
    ({"question": VOLTS, "filter": "nam:x"}, "UsageError", "no condition 'nam:x'"),
    ({"question": "volts " * 9000}, "PromptTooLong", "has room for"),
]


@pytest.mark.parametrize(("bad", "kind", "why"), BAD)
def test_a_question_that_fails_gets_a_line_and_the_rest_goes_on(
    bad: dict[str, Any], kind: str, why: str, small: Path, tmp_path: Path
) -> None:
    rows = [{"question": VOLTS}, {"id": "bad", **bad}, {"question": VOLTS, "filter": "name:pump"}]
    file, out = write(tmp_path / "q.jsonl", rows), tmp_path / "a.jsonl"
    with serving(SAID) as server:
        batch = ["ask", "-i", small, "-m", server.name, "--batch", file]
        printed = run_command_line(*batch)
        assert printed.exit_code == 1, printed.stderr
        assert "1 of 3 questions failed, and their lines say why (bad: " in printed.stderr
        written = run_command_line(*batch, "--output", out)
        assert (written.exit_code, written.stdout) == (1, "")
    assert kept(out.read_text()) == kept(printed.stdout)
    first, failed, last = map(json.loads, printed.stdout.splitlines())
    assert list(failed) == ["id", "schema_version", "question", "error"]
    assert failed["id"] == "bad" and failed["question"] == bad["question"]
    assert list(failed["error"]) == ["type", "message", "hint"]
    assert failed["error"]["type"] == kind and why in failed["error"]["message"]
    assert failed["error"]["hint"]
    assert (first["id"], last["id"]) == ("1", "3") and "answer" in first and "answer" in last
    assert [s["path"].endswith("pump.md") for s in last["sources"]] == [True]
    assert len(Log().newest(9)) == 4


def kept(text: str) -> list[Any]:
    """Lines without what differs from run to run."""
    return [{**json.loads(line), "timing_s": 0} for line in text.splitlines()]


def test_what_failed_is_asked_again_in_its_place(small: Path, tmp_path: Path) -> None:
    photo = {"question": VOLTS, "images": ["late.png"]}
    rows = [photo, {"question": "lamp"}, photo, {"question": "candles"}]
    file, out = write(tmp_path / "q.jsonl", rows), tmp_path / "a.jsonl"
    real = tmp_path / "real"
    real.touch(mode=0o640)
    out.symlink_to(real)  # the user's own file keeps its place and mode
    with serving(SAID) as server:
        batch = ["ask", "-n", "-i", small, "-m", server.name, "--batch", file, "--output", out]
        assert run_command_line(*batch).exit_code == 1
        lines = out.read_bytes().splitlines(keepends=True)
        assert ["error" in json.loads(line) for line in lines] == [True, False, True, False]
        out.write_bytes(b"".join(lines[:3]) + lines[3][:40])  # killed after that
        again = run_command_line(*batch)
        assert again.exit_code == 1
        assert "1 of 4 are answered already; 2 failed and are asked again" in again.stderr
        assert out.read_bytes().splitlines(keepends=True)[:3] == lines[:3]
        Image.new("RGB", (9, 9)).save(tmp_path / "late.png")
        done = run_command_line(*batch)
        assert done.exit_code == 0 and "2 of 4" in done.stderr
        asked = len(server.asked)
        assert run_command_line(*batch).exit_code == 0 and len(server.asked) == asked
    answers = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert [a["id"] for a in answers] == ["1", "2", "3", "4"]
    assert all("answer" in a for a in answers) and answers[1] == json.loads(lines[1])
    assert out.is_symlink() and stat.S_IMODE(real.stat().st_mode) == 0o640
    assert {f.name for f in tmp_path.iterdir()} == {
        *("a.jsonl", "real", "q.jsonl", "late.png", "index", "mine")
    }


def test_what_concerns_all_questions_stops_them(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "q.jsonl", [{"question": VOLTS}, {"question": "lamp"}])
    out = tmp_path / "a.jsonl"
    batch = ["ask", "-i", small, "--batch", file, "--output", out, "-m"]
    unknown = run_command_line(*batch, "none")
    assert unknown.exit_code == UsageError.exit_code and "no model 'none'" in unknown.stderr
    with serving(SAID, 401) as server:
        unavailable = run_command_line(*batch, server.name)
    assert unavailable.exit_code == 5 and "stopped at question 2" in unavailable.stderr
    assert len(out.read_bytes().splitlines()) == 1
    with serving(SAID) as server:
        gone = ["ask", "-i", tmp_path / "none", "--batch", file, "-m", server.name]
        assert run_command_line(*gone).exit_code == 4
        full = run_command_line(*batch[:-2], "/dev/full", "-m", server.name)
        assert full.exit_code == StorageError.exit_code and "No space left" in full.stderr
        assert not server.asked[1:]


def test_a_model_that_fails_once_costs_one_question(small: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "q.jsonl", [{"question": q} for q in ("lamp", VOLTS, "candles")])
    with serving(SAID, 400, SAID) as server:
        result = run_command_line("ask", "-i", small, "--batch", file, "-m", server.name)
    assert result.exit_code == 1
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row.get("error", {}).get("type") for row in rows] == [None, "ModelError", None]


def test_many_questions_in_python(small: Path) -> None:
    asked: list[Any] = ["lamp", ("volts", ["none.jpg"]), "", "volts"]
    with serving(SAID) as server, ragvis.Index.open(small) as index:
        assistant = ragvis.Assistant(ragvis.Retriever(index), server.name)
        found = list(assistant.ask_many(asked, return_exceptions=True))
        assert [type(one).__name__ for one in found] == [
            *("AnswerStream", "UsageError", "UsageError", "AnswerStream")
        ]
        streams = assistant.ask_many(asked)
        assert next(streams).answer.text
        with pytest.raises(UsageError, match="no such picture"):
            next(streams)
