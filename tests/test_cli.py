"""The command line: exit codes, JSON, settings, errors in one line, safe output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import checkpoints
import pytest
from conftest import CACHE, WordEncoder
from conftest import run_command_line as run
from PIL import Image
from test_remote import SAID, serving

from ragvis import encoder as encoders
from ragvis.cli.output import shown, snippet
from ragvis.index import Index
from ragvis.models import hub
from ragvis.store.lock import writer_lock


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch, encoder: WordEncoder) -> WordEncoder:
    monkeypatch.setattr(encoders, "load", lambda name, tell: encoder)
    return encoder


@pytest.fixture
def small(tmp_path: Path, words: WordEncoder) -> Path:
    """A small index made by the command, in ``tmp_path / "index"``."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "pump.md").write_text("# Pump\n\nThe pump runs at twelve volts.\n")
    Image.new("RGB", (60, 60), "red").save(files / "red.png")
    assert run("index", files, "-i", tmp_path / "index", "--encoder", "words").exit_code == 0
    return tmp_path / "index"


def one_line(text: str) -> str:
    lines = [x for x in text.splitlines() if x]
    assert len(lines) == 1 and lines[0].startswith("ragvis: "), text
    assert "Traceback" not in text
    return lines[0]


def test_index_says_what_it_did(small: Path, tmp_path: Path) -> None:
    (tmp_path / "files" / "torn.pdf").write_bytes(b"%PDF-1.4 torn")
    result = run("index", tmp_path / "files", "-i", small)
    assert result.exit_code == 0
    assert "0 new, 0 changed, 2 unchanged, 0 removed" in result.stdout
    assert "1 could not be read:" in result.stdout and "torn.pdf: broken PDF" in result.stdout
    report = json.loads(run("index", tmp_path / "files", "-i", small, "--json").stdout)
    assert (report["schema_version"], report["unchanged"]) == (1, 2)
    assert report["bad"][0]["path"].endswith("torn.pdf")
    status = json.loads(run("status", "-i", small, "--json", "--verify").stdout)
    assert (status["passages"], status["images"], status["bad_files"]) == (1, 1, 1)
    assert "torn.pdf: broken PDF" in run("status", "-i", small).stdout


def test_dry_run_makes_and_changes_nothing(tmp_path: Path, small: Path) -> None:
    result = run("index", tmp_path / "files", "-i", tmp_path / "new", "--dry-run")
    assert (result.exit_code, result.stdout.startswith("2 new")) == (0, True)
    assert not (tmp_path / "new").exists()
    (tmp_path / "files" / "red.png").unlink()
    assert "1 removed" in run("index", tmp_path / "files", "-i", small, "--dry-run").stdout
    assert json.loads(run("status", "-i", small, "--json").stdout)["images"] == 1


def test_search_json_is_the_contracts(small: Path) -> None:
    found = json.loads(run("search", "twelve volts", "-i", small, "--json").stdout)
    assert list(found) == ["schema_version", "query", "hits", "relevant"]
    keys = "id modality path title page span bbox sha256 score scores text".split()
    for hit in found["hits"]:
        assert set(keys) <= set(hit)
        assert 0 <= hit["score"] <= 1
    assert found["hits"][0]["path"].endswith("files/pump.md")
    assert run("search", "-", "-i", small, stdin="twelve volts\n").stdout.count("pump.md") == 1
    by_picture = run("search", "-a", small.parent / "files" / "red.png", "-i", small, "-k", "1")
    assert "red.png" in by_picture.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["search", "x", "-i", "none"], 4, f"{os.sep}none. Make one"),
        (["status", "-i", "none"], 4, "ragvis index PATH -i none"),
        (["index", "none", "-i", "new"], 2, "no such file or folder"),
        (["ask", "", "-i", "{index}"], 2, "question is empty"),
        (["ask", "x", "-i", "{index}", "-a", "none.png"], 2, "no such picture"),
        (["ask", "x", "-i", "{index}", "-o", "heat", "1"], 2, "unknown option 'heat'"),
        (["ask", "x", "-i", "{index}", "-m", "none"], 2, "no model 'none'"),
        (["--offline", "ask", "x", "-i", "{index}", "-m", "a/b"], 5, "offline"),
        (["search", "-i", "{index}"], 2, "nothing to search for"),
        (["chat", "--image", "none.png"], 2, "no such picture"),
        (["search", "x", "-a", "http://[::1", "-i", "{index}"], 2, "is not a URL"),
        (["search", "x", "-a", "/dev/null", "-i", "{index}"], 2, "no such picture"),
        (["index", ".", "-i", "/dev/null/x"], 1, "no index can be made"),
    ],
)
def test_errors_are_one_line_with_a_code(
    small: Path, arguments: list[str], code: int, said: str
) -> None:
    result = run(*(a.format(index=small) for a in arguments))
    assert result.exit_code == code, result.output
    assert said in one_line(result.stderr)
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said", "help_of"),
    [
        (["nonsense"], "no such command 'nonsense'.", "ragvis"),
        (["search", "x", "-k", "0"], "invalid value for '-k'", "ragvis search"),
        (["search", "x", "--jsn"], "no such option", "ragvis search"),
        (["models", "get"], "missing argument 'NAME'.", "ragvis models get"),
        (["search", "x", "--\x1b[31m"], "no such option", "ragvis search"),
    ],
)
def test_usage_errors_are_one_line_too(arguments: list[str], said: str, help_of: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    line = one_line(result.stderr)
    assert line.startswith(f"ragvis: {said}") and line.endswith(f"See {help_of} --help.")
    assert "\x1b" not in line


def test_words_need_no_quotes(small: Path) -> None:
    quoted = run("search", "twelve volts", "-k", "1", "-i", small)
    for arguments in (
        ["search", "twelve", "volts", "-k", "1", "-i", small],
        ["search", "twelve", "-k", "1", "volts", "-i", small],
        ["search", "-k", "1", "-i", small, "--", "twelve", "volts"],
    ):
        assert run(*arguments).stdout == quoted.stdout
    found = json.loads(run("search", "what", "is", "it", "-i", small, "--json").stdout)
    assert found["query"] == "what is it"
    with serving(SAID) as server:
        for words in (["How", "many", "volts?"], ["How many volts?"]):
            done = run("ask", *words, "-m", server.name, "-i", small, "--json")
            assert json.loads(done.stdout)["question"] == "How many volts?"
        done = run("ask", "-", "-m", server.name, "-i", small, "--json", stdin="volts?\n")
        assert json.loads(done.stdout)["question"] == "volts?"
    assert "missing argument 'QUESTION'" in one_line(run("ask", "-i", small).stderr)
    batch = run("ask", "what", "now", "--batch", "x.jsonl", "-i", small)
    assert (batch.exit_code, "--batch takes all" in batch.stderr) == (2, True)


def test_a_shell_s_file_names_are_no_words(small: Path, tmp_path: Path) -> None:
    """``-a *.png What is it?`` means the first one alone."""
    photos = [str(tmp_path / name) for name in ("a.png", "b.png")]
    for photo in photos:
        Image.new("RGB", (9, 9)).save(photo)
    for command in ("ask", "search"):
        result = run(command, "-a", *photos, "what is it", "-i", small)
        assert result.exit_code == 2 and f"{photos[1]} stands in" in one_line(result.stderr)
    assert run("search", "what is in b.png or none.png", "-i", small).exit_code == 0
    assert run("search", "what is in none.png", "or pump.md", "-i", small).exit_code == 0


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("text", "passage", "document", "Documents", "TEXT"), "text"),
        (("image", "picture", "photo", "Photos", "pictures"), "image"),
    ],
)
def test_a_modality_has_many_names(names: tuple[str, ...], kind: str, small: Path) -> None:
    for name in names:
        done = run("search", "volts", "-i", small, "--modality", name, "--json")
        found = json.loads(done.stdout)
        assert {hit["modality"] for hit in found["hits"]} == {kind} == set(found["relevant"])
    both = json.loads(run("search", "volts", "-i", small, "--json").stdout)
    assert {hit["modality"] for hit in both["hits"]} == {"text", "image"}
    refused = run("search", "volts", "-i", small, "--modality", "sound")
    assert refused.exit_code == 2 and "One of: any, text, passage" in one_line(refused.stderr)


UNWRITABLE = [
    ("none/x.html", "no such folder: none"),
    ("a-file/x.html", "no such folder: a-file"),
    (".", "is a directory"),
    ("n" * 300, "File name too long"),
    ("/sys/x.html", ""),  # where root may not write either
]


@pytest.mark.parametrize(("file", "said"), UNWRITABLE)
def test_a_file_is_checked_before_the_work_for_it(file: str, said: str, small: Path) -> None:
    Path("a-file").touch()
    questions = small.parent / "q.jsonl"
    questions.write_text('{"id": 1, "question": "volts", "answerable": false}')
    with serving(SAID) as server:
        ask = ["-i", small, "-m", server.name]
        for command in (
            ["ask", "volts", *ask, "--html", file],
            ["ask", "--batch", questions, *ask, "--output", file],
            ["eval", questions, "--answers", *ask, "--html", file],
            ["logs", "show", "--html", file],
        ):
            result = run(*command)
            assert (result.exit_code, result.stdout) == (2, ""), result.output
            assert said in one_line(result.stderr) and file in result.stderr
        assert not server.asked and not server.headers


def test_a_file_that_can_be_written_is_left_as_it_is_until_then(small: Path) -> None:
    Path("there.html").write_text("mine")
    for name in ("there.html", "new.html", os.devnull):
        assert run("ask", "", "-i", small, "--html", name).exit_code == 2
    assert Path("there.html").read_text() == "mine" and not Path("new.html").exists()
    with serving(SAID) as server:
        ask = ["ask", "twelve volts", "-i", small, "-m", server.name, "--html"]
        for name in ("there.html", "new.html", os.devnull):
            assert run(*ask, name).exit_code == 0
    assert "<html" in Path("there.html").read_text() and Path("new.html").exists()


def test_a_group_without_a_command_shows_its_help() -> None:
    result = run("logs")
    assert "Usage: ragvis logs" in result.output and "Commands:" in result.output


@pytest.mark.parametrize(
    ("theirs", "spins"),
    [({}, "3000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_threads_leave_cores_to_others(
    theirs: dict[str, str], spins: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the user has said how they wait."""
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # so that whatever is set meanwhile goes again
        monkeypatch.delenv(name)
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    assert run("--version").exit_code == 0
    assert os.environ.get("GOMP_SPINCOUNT") == spins


def test_an_empty_path_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    result = run("index", "", "-i", tmp_path / "new")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "empty" in result.stderr and not (tmp_path / "new").exists()


def test_a_locked_index_names_its_holder(small: Path, tmp_path: Path) -> None:
    (tmp_path / "files" / "more.txt").write_text("more")
    with writer_lock(small):
        result = run("index", tmp_path / "files", "-i", small)
    assert result.exit_code == 7
    assert f"process {os.getpid()}" in one_line(result.stderr)


def test_a_damaged_index(small: Path) -> None:
    data = bytearray((small / "catalog.db").read_bytes())
    data[:100] = b"\x00" * 100
    (small / "catalog.db").write_bytes(data)
    result = run("search", "x", "-i", small)
    assert result.exit_code == 6
    assert "catalog.db" in one_line(result.stderr)


def test_another_encoders_index(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "load", lambda name, tell: WordEncoder("0" * 64))
    assert run("search", "x", "-i", small).exit_code == 4


def test_our_own_mistakes_are_one_line_too(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("oops\nand more")

    monkeypatch.setattr(Index, "status", broken)
    result = run("status", "-i", small)
    assert result.exit_code == 1
    assert "internal error: ZeroDivisionError" in one_line(result.stderr)
    monkeypatch.setenv("RAGVIS_DEBUG", "")  # so that what the next line sets goes again
    assert "Traceback" in run("--debug", "status", "-i", small).stderr


def test_settings_flag_beats_variable_beats_file(
    small: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Path("ragvis.toml").write_text(f'index = "{small}"\nk = 1\n')
    assert len(run("search", "volts").stdout.splitlines()) == 2
    assert "red.png" in run("search", "volts", "-k", "5").stdout
    monkeypatch.setenv("RAGVIS_INDEX", "elsewhere")
    assert run("search", "volts").exit_code == 4
    assert run("search", "volts", "-i", small).exit_code == 0
    Path("ragvis.toml").unlink()
    (small.parent / "ragvis.toml").write_text("k = 1\n")
    assert len(run("search", "volts", "-i", small).stdout.splitlines()) == 2  # beside the index
    Path("ragvis.toml").write_text('index = ["a list"]')
    assert "index is a list" in one_line(run("search", "volts", "-i", small).stderr)
    Path("ragvis.toml").write_text("index = [broken")
    result = run("search", "volts", "-i", small)
    assert (result.exit_code, "not readable TOML" in result.stderr) == (2, True)


def test_names_and_texts_cannot_steer_the_terminal(tmp_path: Path, words: WordEncoder) -> None:
    files = tmp_path / "files"
    files.mkdir()
    evil = "\x1b]0;owned\x07\x1b[2J\x9b1m\u202egnp.exe"
    (files / f"{evil}.txt").write_text(f"volts {evil} volts")
    run("index", files, "-i", tmp_path / "index", "--encoder", "words")
    for arguments in (["search", "volts"], ["status"], ["search", "volts", "--json"]):
        said = run(*arguments, "-i", tmp_path / "index").output
        assert not set("\x1b\x07\u202e\x9b") & set(said)
    assert "\\u001b" in run("search", "volts", "-i", tmp_path / "index").stdout
    assert shown("a\x9b\u200bb\n") == "a\\u009b\\u200bb "
    assert snippet("word " * 100).endswith("…")


def test_ask_on_a_llava_shaped_checkpoint_in_8bit(small: Path, tmp_path: Path) -> None:
    """The weights are random, so the words are noise: what is proved is the way through."""
    model = checkpoints.llava_1_5(tmp_path / "llava")
    arguments = ["ask", "What volts? pump", "-i", small, "-m", model, "--quantize", "8bit"]
    photo = ["-a", small.parent / "files" / "red.png", "-o", "max_new_tokens", "8"]
    result = run(*arguments, *photo, "--json", "--show-prompt")
    assert result.exit_code in (0, 3), result.stderr
    answer = json.loads(result.stdout)
    assert answer["model"] == {
        "name": str(model),
        "revision": hub.revision_of(model),
        "quantization": "8bit",
        "device": "cpu",
        "engine": "int8",
    }
    assert answer["usage"]["prompt_tokens"] == answer["ledger"]["total"]
    assert answer["sources"][0]["placed"] == "pixels"
    keys = "schema_version question answer abstained citations sources ledger model index usage"
    assert set(keys.split()) <= set(answer)
    assert "USER: <image>\n[1] image: red.png" in result.stderr
    plain = run(
        *arguments, "-o", "max_new_tokens", "4", "-o", "engine", "bitsandbytes", "--no-stream"
    )
    assert plain.exit_code in (0, 3)
    for one in (result, plain):
        assert "MatMul" not in one.stderr  # bitsandbytes logs every step unless told not to


def test_chat_about_a_picture(tmp_path: Path) -> None:
    model = checkpoints.onevision(tmp_path / "llava")
    red = tmp_path / "red.png"
    Image.new("RGB", (60, 60), "red").save(red)
    lines = "/help\nWhat is it?\nAnd now?\n/transcript\n/image none.png\n/quit\n"
    options = ["-m", str(model), "-o", "max_new_tokens", "5"]
    result = run("chat", "--image", red, *options, stdin=lines)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("user: ") == result.stdout.count("assistant: ") == 2
    assert "no such picture: none.png" in result.stderr


def test_a_damaged_derived_file_fails_verification(small: Path, tmp_path: Path) -> None:
    next(small.glob("text*.rows")).unlink()
    result = run("status", "--verify", "-i", small)
    assert (result.exit_code, "damaged" in result.stdout) == (6, True)
    assert run("index", tmp_path / "files", "-i", small).exit_code == 0
    assert run("status", "--verify", "-i", small).exit_code == 0


def test_models_and_doctor() -> None:
    listed = run("models", "list").stdout
    assert "llava-1.5-7b" in listed and "pocket" in listed
    said = run("doctor").stdout
    assert "faiss" in said and "no index in" in said
    refused = run("--offline", "models", "get", "llava-1.5-7b")
    assert refused.exit_code == 5
    assert "Run once, online: ragvis models get llava-1.5-7b" in one_line(refused.stderr)


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    env = {**os.environ, "RAGVIS_CACHE": str(CACHE), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "ragvis", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )


SLOW = """
import signal
import sys
import threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job has it ignored
sys.path.insert(0, sys.argv[1])
from conftest import WordEncoder
from ragvis import encoder as encoders
from ragvis.cli import main
encoders.load = lambda name, tell: WordEncoder()
import ragvis.index.ingest as ingest
real, seen = ingest.sha256_of_file, []
def slow(path):
    seen.append(path)
    if len(seen) == 2:
        print("reading", flush=True)
        threading.Event().wait()
    return real(path)
ingest.sha256_of_file = slow
main(["index", sys.argv[2], "-i", sys.argv[3], "--encoder", "words"])
"""


def test_ctrl_c_ends_with_130_and_one_line(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for i in range(4):
        (files / f"{i}.txt").write_text(f"note {i}")
    arguments = [str(Path(__file__).parent), str(files), str(tmp_path / "index")]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "reading\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in one_line(said)


def test_a_closed_pipe_is_no_error(demo_index: Path) -> None:
    process = start("search", "flag", "-k", "30", "-i", demo_index)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=120) == 1
    assert said == ""


def test_offline_opens_no_socket(demo_index: Path) -> None:
    """Python's own audit hook sees every connection of the process."""
    watch = (
        "import sys\n"
        "def hook(event, args):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'urllib.Request'):\n"
        "        print('SOCKET', event, args, file=sys.stderr)\n"
        "sys.addaudithook(hook)\n"
        "from ragvis.cli import main\n"
        f"main(['--offline', 'ask', 'What is the capital of Kenya?', '-i', {str(demo_index)!r},"
        " '-m', 'pocket'])\n"
    )
    env = {**os.environ, "RAGVIS_CACHE": str(CACHE)}
    command = [sys.executable, "-c", watch]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert "Nairobi" in done.stdout
    assert "SOCKET" not in done.stderr


def test_the_stream_is_read_before_its_answer(
    small: Path, tmp_path: Path, make_index: Callable[..., Index]
) -> None:
    import ragvis

    model = checkpoints.llava_1_5(tmp_path / "llava")
    assistant = ragvis.Assistant(ragvis.Retriever(Index.open(small)), str(model))
    stream = assistant.stream("twelve volts", sampling=ragvis.Sampling(max_new_tokens=5))
    with pytest.raises(ragvis.UsageError):
        _ = stream.answer
    pieces = "".join(stream)
    assert stream.answer.text == pieces.strip()
    nothing = assistant.ask("zzz qqq")
    assert nothing.abstained and nothing.usage["completion_tokens"] == 0
    assert (nothing.ledger.total, nothing.sources, nothing.prompt) == (0, (), "")
