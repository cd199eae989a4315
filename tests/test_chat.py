"""Conversations over an index: what they lean on, their numbers, their budget, and the terminal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from checkpoints import FAMILIES
from conftest import DEMO, run_command_line
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from test_composer import make_hit
from test_remote import SAID, STOP, chunk, serving

import ragvis
from ragvis.assistant.history import leans_on_what_was_said, new_subject
from ragvis.assistant.rewriting import _is_of
from ragvis.assistant.vision_chat import _ungrounded
from ragvis.cli.lines import _session
from ragvis.cli.output import preview
from ragvis.composer import Past, PromptSpec, Room, Turn, compose
from ragvis.errors import UsageError
from ragvis.generator import Sampling
from ragvis.media.images import half_blocks
from ragvis.prompts import NOT_SEEN, POCKET_CHAT_SYSTEM, is_refusal
from ragvis.types import Source

SHORT = Sampling(max_new_tokens=8)
FLAG = DEMO / "images" / "flag-italy.jpg"


@pytest.mark.parametrize(
    ("question", "leans"),
    [
        ("And in which enclosure does it live?", True),
        ("How old?", True),
        ("what about kites", True),
        ("Who borrowed the other one?", True),
        ("In which drawer is the hammer kept?", False),
        ("How much does it cost to lose a key?", False),
        ("Is it allowed to feed them?", True),
        ("What is the capital of France, and its population?", True),  # a harmless mistake
        ("Which itinerary covers Petra in winter?", False),
        ("how many may I carry over?", True),
        ("How many languages does she speak?", True),
        ("How many keys are there in the safe?", True),  # "there": a harmless mistake
        ("How many days may I carry over?", False),
        ("What about the piano?", True),
        ("And the boat, what colour is it?", False),
        ("And the boat?", True),
        ("As for the lease, who signs it?", False),
    ],
)
def test_a_question_leans_on_what_was_said(question: str, leans: bool) -> None:
    assert leans_on_what_was_said(question) == leans


@pytest.mark.parametrize(
    ("question", "leans"),
    [("What is this animal?", False), ("What is this?", False), ("And this one?", True)],
)
def test_a_question_with_a_picture_points_at_that(question: str, leans: bool) -> None:
    assert leans_on_what_was_said(question, brings_picture=True) == leans
    assert leans_on_what_was_said(question)


@pytest.mark.parametrize(
    ("question", "subject"),
    [
        ("What about the piano?", "the piano"),
        ("And kites?", "kites"),
        ("and in winter", "in winter"),
        ("And how long?", ""),
        ("And which one the pliers?", ""),
        ("And its population?", ""),
        ("How old?", ""),
    ],
)
def test_a_follow_up_may_bring_a_subject_of_its_own(question: str, subject: str) -> None:
    assert new_subject(question) == subject


TALK = {
    "viaduct.txt": "The repair of the Halden viaduct cost 1.4 million pounds.",
    "piano.txt": "The piano in the hall was tuned in March by Mr Harrow.",
    "boat.txt": "The rowing boat is blue and lies at the north jetty.",
    "leave.md": "# Leave\n\n## How much\nFull-time staff have 27 days of annual leave a year, "
    "part-time staff as many as their share. Days are counted from January.\n\n"
    "## Carrying over\nFive days may be carried over into the next year. They have to be taken "
    "by the end of March, or they are lost.\n",
}


@pytest.fixture(scope="module")
def talked_of(pocket_folder: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("talk")
    for name, text in TALK.items():
        (folder / name).write_text(text)
    with ragvis.Index.create(folder / "index", "pocket") as index:
        index.add([folder / name for name in TALK])
        yield index


def test_a_new_subject_is_not_told_of_the_old_one(talked_of: Any, pocket_generator: Any) -> None:
    chat = ragvis.Assistant(ragvis.Retriever(talked_of), pocket_generator).chat()
    assert "1.4 million" in chat.ask("How much did the repair of the viaduct cost?").text
    piano = chat.ask("What about the piano?")
    assert "1.4" not in piano.text
    assert {source.hit.name for source in piano.sources} == {"piano.txt"}
    boat = chat.ask("And the boat, what colour is it?")
    assert "blue" in boat.text


def test_what_is_counted_is_taken_from_the_question_before(
    talked_of: Any, pocket_generator: Any
) -> None:
    chat = ragvis.Assistant(ragvis.Retriever(talked_of), pocket_generator).chat()
    assert "27" in chat.ask("How many days of annual leave do I have?").text
    stream = chat.stream("how many may I carry over?")
    assert stream.prepared.asked == "how many days of annual leave may I carry over?"
    answer = stream.read()
    assert "Five days" in (answer.sources[0].hit.text or "") and "27" not in answer.text
    photo = chat.stream("What is this animal?", [DEMO / "images" / "animal-panda.jpg"])
    assert "leave" not in photo.prepared.asked and "27" not in photo.read().text


def spec(limit: int, pixels: int = 2) -> PromptSpec:
    return PromptSpec(
        "qwen_1_5", limit, pixels, lambda text: len(text.split()), lambda sizes: 5 * len(sizes)
    )


def a_turn(n: int, picture: bool) -> Turn:
    hit = make_hit(n, "image" if picture else "text", f"words of source {n}")
    source = Source(n, hit, "pixels" if picture else "text")
    kind = "image" if picture else "text"
    body = f"{'<image>' * picture}\n[{n}] {kind}: source {n}\n\nQuestion: number {n}?".strip()
    return Turn(body, f"answer {n} [{n}]", (source,), ((9, 9),) * picture)


@given(
    turns=st.lists(st.booleans(), max_size=5),
    hits=st.lists(st.integers(1, 9), max_size=4, unique=True),
    limit=st.integers(60, 200),
)
def test_the_ledger_adds_up_and_whole_turns_leave_oldest_first(
    turns: list[bool], hits: list[int], limit: int
) -> None:
    past = tuple(a_turn(n, picture) for n, picture in enumerate(turns, 1))
    numbers = {s.hit.id: s.n for turn in past for s in turn.sources}
    found = [make_hit(n, "text", f"words of source {n}") for n in hits]
    composed = compose(
        "why so?", found, [], {}, spec(limit), Room(answer=8), past=Past(past, numbers)
    )
    ledger = composed.ledger
    parts = (ledger.system, ledger.images, ledger.passages, ledger.history, ledger.question)
    assert sum(parts) == ledger.total <= limit - 8
    assert composed.kept == past[len(past) - len(composed.kept) :]
    assert (ledger.history > 0) == bool(composed.kept)
    gone = [d.id for d in ledger.dropped if d.id.startswith("turn")]
    assert len(gone) == len(past) - len(composed.kept)
    assert sum(len(turn.sizes) for turn in composed.kept) <= 2
    ids = [s.hit.id for s in composed.sources]
    assert len(ids) == len(set(ids))
    assert all(numbers.get(s.hit.id, s.n) == s.n for s in composed.sources)
    assert len({s.n for s in composed.sources}) == len(ids)
    placed = [f"[{s.n}] " in composed.prompt for s in composed.sources]
    assert all(placed)


def test_follow_ups_are_understood_and_sources_keep_their_numbers(
    demo_index: Path, pocket_generator: Any
) -> None:
    with ragvis.Index.open(demo_index) as index:
        chat = ragvis.Assistant(ragvis.Retriever(index), "pocket").chat()
        first = chat.ask("What is the capital of Japan?")
        assert "Tokyo" in first.text
        stream = chat.stream("And what is its population?")
        assert stream.prepared.query == "What is the capital of Japan? And what is its population?"
        second = "".join(stream)
        assert stream.answer.question == "And what is its population?"
        assert [a.text for a in chat.answers] == [first.text, second]
        numbers: dict[str, int] = {}
        for answer in chat.answers:
            for source in answer.sources:
                assert numbers.setdefault(source.hit.id, source.n) == source.n
        assert [s.n for s in chat.sources] == sorted(set(numbers.values()))
        refused = chat.ask("zxqv blorf wimble quandary nonsense")
        assert refused.abstained and not refused.sources
        assert chat.ask("What is the capital of Italy?").text


def test_a_photo_stays_the_subject(demo_index: Path, pocket_generator: Any) -> None:
    with ragvis.Index.open(demo_index) as index:
        chat = ragvis.Assistant(ragvis.Retriever(index), "pocket").chat()
        flag = DEMO / "images" / "flag-italy.jpg"
        first = chat.ask("What is the capital of the country whose flag this is?", [flag])
        assert "Rome" in first.text
        stream = chat.stream("And what is its population?")
        "".join(stream)
        assert stream.answer.sources[0].hit.title == first.sources[0].hit.title
        assert "country-italy.md" in {s.hit.name for s in stream.answer.sources}
        chat.ask("Which tool grips a nut?", [flag])
        assert len(chat.sources) > 4
        assert len(chat._history.pictures) <= 2  # a long conversation is no album


@pytest.mark.parametrize("family", ["llava_1_5", "onevision"])
def test_earlier_turns_are_in_the_prompt_and_in_the_cache(
    demo_index: Path, tmp_path: Path, family: str
) -> None:
    """The weights are random, so the words are noise: what is proved is the way through."""
    folder = str(FAMILIES[family](tmp_path))
    with ragvis.Index.open(demo_index) as index:
        chat = ragvis.Assistant(ragvis.Retriever(index), folder).chat(k=2, sampling=SHORT)
        first = chat.ask("What is the capital of Japan?")
        second = chat.ask("And of Italy?")
    assert second.prompt.index("Question: What is the capital") < second.prompt.index("of Italy?")
    assert first.text in second.prompt
    assert second.ledger.history > 0
    assert second.ledger.total == second.usage["prompt_tokens"]
    assert second.usage["reused_tokens"] > first.usage["prompt_tokens"] - 4


def test_chat_on_the_command_line(demo_index: Path, tmp_path: Path) -> None:
    saved = tmp_path / "talk.md"
    lines = [
        "What is the capital of Japan?",
        "/sources",
        "/show 1",
        "/show 99",
        "/nonsense",
        f"/save {saved}",
        f"/save {saved}",
        "/image none.png",
        "/transcript",
        "/new",
        "/sources",
        "/quit",
    ]
    result = run_command_line("chat", "-i", demo_index, stdin="\n".join(lines))
    assert result.exit_code == 0, result.stderr
    assert "Tokyo" in result.stdout and "user: What is" in result.stdout
    for trouble in ("no source 99", "no command /nonsense", "exists", "none.png", "no sources yet"):
        assert trouble in result.stderr
    text = saved.read_text()
    assert "**assistant**" in text and "## Sources" in text and re.search(r"\[1\] ", text)
    assert run_command_line("chat", "-i", demo_index, "--cot").exit_code == UsageError.exit_code
    assert run_command_line("chat", "-i", tmp_path / "none", stdin="").exit_code == 4


def test_thinking_step_by_step(tmp_path: Path) -> None:
    model = FAMILIES["llava_1_5"](tmp_path)
    Image.new("RGB", (60, 60), "red").save(tmp_path / "red.png")
    options = ["--cot", "-m", model, "-o", "max_new_tokens", "4"]
    result = run_command_line(
        "chat", "--image", tmp_path / "red.png", *options, stdin="What?\n/transcript\n"
    )
    assert "Let's think step by step." in result.stdout, result.stderr


def test_keys_and_history_of_a_terminal() -> None:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        session = _session(["/help"], is_recorded=True)
        keys.send_text("one\x1b\rtwo\r")
        assert session.prompt("> ") == "one\ntwo"
        keys.send_text("\x1b[A\x1b[A\r")
        assert session.prompt("> ") == "one\ntwo"


def test_a_picture_in_half_blocks() -> None:
    picture = Image.new("RGB", (40, 40), (255, 0, 0))
    picture.paste((0, 0, 255), (0, 20, 40, 40))
    lines = half_blocks(picture, 8, 4).split("\n")
    assert len(lines) == 4 and all(line.count("▀") == 8 for line in lines)
    assert "38;2;255;0;0m\x1b[48;2;255;0;0m" in lines[0]
    assert "48;2;0;0;255m" in lines[3]


@pytest.mark.parametrize(("variable", "is_shown"), [(None, True), ("", True), ("1", False)])
def test_no_color_is_honoured(
    variable: str | None,
    is_shown: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if variable is not None:
        monkeypatch.setenv("NO_COLOR", variable)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    preview(Image.new("RGB", (40, 40)))
    assert ("\x1b[" in capsys.readouterr().out) is is_shown


@pytest.mark.parametrize(
    "message",
    ["What is the desert fish doing?", "Write an advertisement for it.", "How old is the snowman?"],
)
def test_pocket_says_what_it_does_not_see(pocket_generator: Any, message: str) -> None:
    """Asked as the tutorial's models are, it makes something up."""
    said = ragvis.VisionChat(pocket_generator).start(FLAG, message)
    assert said == NOT_SEEN
    made_up = ragvis.VisionChat(pocket_generator, system=POCKET_CHAT_SYSTEM).start(FLAG, message)
    assert made_up.strip() and not is_refusal(made_up)


def test_pocket_names_what_it_sees_without_numbers(pocket_generator: Any) -> None:
    chat = ragvis.VisionChat(pocket_generator)
    assert chat.start(FLAG, "What is shown in the image?") == "The image shows the flag of Italy."
    assert chat.prompt.count("[1] image: flag-italy.jpg") == 1
    pieces = list(chat.reply_stream("What does the picture show?"))
    assert len(pieces) > 1 and chat.prompt.count("Question:") == 1
    assert [turn.role for turn in chat.transcript] == ["user", "assistant"] * 2


def test_only_what_ended_within_a_conversation_is_part_of_it(pocket_generator: Any) -> None:
    chat = ragvis.VisionChat(pocket_generator)
    chat.start(FLAG, "What is shown in the image?")
    before = chat.transcript
    for picture, prompt, error in ((FLAG, " ", "is empty"), ("none.png", "What?", "no such")):
        with pytest.raises(UsageError, match=error):
            chat.start(picture, prompt)
        assert chat.transcript == before and chat.hit.name == FLAG.name
    with pytest.raises(UsageError, match="has not begun"):
        ragvis.VisionChat(pocket_generator).reply_stream("What?")
    left, other = chat.reply_stream("What does the picture show?"), chat.reply_stream("And what?")
    next(left), next(other)
    list(other)
    assert len(chat.transcript) == 4
    assert "".join(left) and len(chat.transcript) == 4  # answered, but to what was said before
    left = chat.reply_stream("What does the picture show?")
    chat.start(DEMO / "images" / "farm-cat.jpg", "What is shown in the image?")
    begun = chat.transcript
    assert "".join(left) == "The image shows the flag of Italy." and chat.transcript == begun


def test_a_chat_remembers_what_followed_its_last_answer(
    demo_index: Path, pocket_generator: Any
) -> None:
    with ragvis.Index.open(demo_index) as index:
        talk = ragvis.Assistant(ragvis.Retriever(index), pocket_generator).chat()
        left = talk.stream("What is the capital of Japan?")
        first, second = iter(left), iter(left)
        next(first), next(second)  # two readers of one answer
        other = talk.ask("What is the highest point of Peru?")
        list(first), list(second)
        assert "Tokyo" in left.answer.text
        assert [s.hit.id for s in talk.sources] == [s.hit.id for s in other.sources]
        assert [a.question for a in talk.answers] == [other.question, left.question]


@pytest.mark.parametrize(
    ("written", "is_one"),
    [
        ("How old is the panda Ping?", True),
        ("how old is it", False),  # says nothing new
        ("The panda Ping is on loan from another zoo until the spring.", False),
        ("", False),
    ],
)
def test_a_rewritten_question_says_what_was_said(written: str, is_one: bool) -> None:
    before = "Where does the panda Ping live? In enclosure 4 [1]."
    assert _is_of(written, before, "How old is it?") == is_one


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (["Not found", " in the sources.", "\n"], NOT_SEEN),
        (["not found in the sources"], NOT_SEEN),
        (["A cat [1]", "."], "A cat."),
        (["It is red. ", "Not found in the sources."], "It is red. Not found in the sources."),
        (["No", " cat."], "No cat."),
        ([], ""),
    ],
)
def test_a_refusal_is_told_in_words_for_a_picture(pieces: list[str], said: str) -> None:
    assert "".join(_ungrounded(iter(pieces))) == said


def test_a_follow_up_is_rewritten_for_the_search(demo_index: Path) -> None:
    first, second = "What is the capital of Japan?", "And what is its population?"
    alone = "Question: What is the population of Japan?"
    with (
        serving(
            SAID, [chunk(alone), STOP], SAID, [chunk("Something else altogether."), STOP], SAID
        ) as server,
        ragvis.Index.open(demo_index) as index,
    ):
        chat = ragvis.Assistant(ragvis.Retriever(index), server.name).chat()
        chat.ask(first)
        stream = chat.stream(second)
        answer = stream.read()
        assert stream.prepared.query == "What is the population of Japan?"
        assert answer.question == second and answer.timing_s["rewrite"] > 0
        *before, last = server.asked[1]["messages"]
        assert [m["role"] for m in before] == ["system", "user", "assistant"]
        assert first in last["content"] and last["content"].endswith(second)
        stray = chat.stream(second)
        assert stray.prepared.query == f"{first} {second}"
        assert stray.prepared.timing["rewrite"] > 0
