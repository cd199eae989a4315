"""Models behind a server: the same prompts and answers, and every way in which a server fails."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import DEMO, run_command_line
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import ragvis
from ragvis import conversation, generator
from ragvis.composer import neutral
from ragvis.errors import ModelError, ModelUnavailable, UsageError
from ragvis.generator import Sampling
from ragvis.generator.remote import RemoteGenerator

FLAG = DEMO / "images" / "flag-japan.jpg"
CAPITAL = "What is the capital of the country whose flag this is?"
PROMPT = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"


class Server(ThreadingHTTPServer):
    """Speaks just enough of the protocol, and fails as it is told to.

    ``answers`` are taken one after another, the last for ever: a status, or the lines of a stream.
    """

    def __init__(self, answers: list[int | list[str]], models: list[dict[str, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.models = models
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    @property
    def name(self) -> str:
        return f"openai:http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        self.server.headers.append({k.lower(): v for k, v in self.headers.items()})
        self._send(200, {"object": "list", "data": self.server.models})

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        self.server.asked.append(json.loads(self.rfile.read(size)))
        self.server.headers.append({k.lower(): v for k, v in self.headers.items()})
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, int):
            self._send(answer, {"error": {"message": f"no\nfor {answer}"}})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for line in answer:
            self.wfile.write(f"data: {line}\n\n".encode())

    def _send(self, status: int, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("retry-after-ms", "1")
        if status == 302:
            self.send_header("Location", "http://192.0.2.1/v1")
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def serving(*answers: int | list[str], models: list[dict[str, Any]] | None = None) -> Iterator[Any]:
    """A server of one model ``m``, unless others are given."""
    server = Server(list(answers), [{"id": "m"}] if models is None else models)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def chunk(text: str | None, **more: Any) -> str:
    choices = [] if text is None else [{"index": 0, "delta": {"content": text}}]
    return json.dumps({"id": "c", "object": "chunk", "model": "m-1", "choices": choices, **more})


STOP = json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
SAID = [
    chunk("To"),
    chunk("kyo [1]."),
    STOP,
    chunk(None, usage={"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}),
    "[DONE]",
]


def load(server: Server, model: str = "") -> RemoteGenerator:
    loaded = generator.load(server.name + model, pytest.fail)  # type: ignore[arg-type]
    assert isinstance(loaded, RemoteGenerator)
    return loaded


def test_an_answer_comes_in_pieces_with_the_server_s_own_counts() -> None:
    with serving(SAID) as server:
        model = load(server)
        sampling = Sampling(temperature=0.5, top_p=0.9, top_k=7, seed=3, max_new_tokens=9)
        assert list(model.stream(PROMPT, [], sampling)) == ["To", "kyo [1]."]
    assert (model.usage.prompt_tokens, model.usage.completion_tokens) == (7, 3)
    assert model.info.revision == "m-1" and model.info.name.endswith("/v1#m")
    [asked] = server.asked
    assert asked["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]
    wanted = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 7,
        "seed": 3,
        "max_tokens": 9,
        "model": "m",
    }
    assert wanted.items() <= asked.items()
    assert "repetition_penalty" not in asked


def test_pictures_stand_where_their_tokens_stood() -> None:
    prompt = PROMPT.replace("Hi", "<image>\n[1] image: a.jpg\n<image>\n[2] image: b.jpg\n\nWhich?")
    pictures = [Image.new("RGB", size, "red") for size in ((3000, 1500), (40, 20))]
    with serving(SAID) as server:
        list(load(server).stream(prompt, pictures, Sampling()))
    content = server.asked[0]["messages"][1]["content"]
    assert [p.get("text") for p in content] == [
        None,
        "\n[1] image: a.jpg\n",
        None,
        "\n[2] image: b.jpg\n\nWhich?",
    ]
    urls = [p["image_url"]["url"] for p in content if p["type"] == "image_url"]
    heads, data = zip(*(url.split(",", 1) for url in urls), strict=True)
    assert set(heads) == {"data:image/jpeg;base64"}
    sizes = [Image.open(io.BytesIO(base64.b64decode(one))).size for one in data]
    assert sizes == [(1024, 512), (40, 20)]


words = st.text(max_size=30).map(
    lambda text: neutral(text, conversation.find_template("served").markers, keep_lines=True)
)
turns = st.lists(st.tuples(words.filter(bool), words.filter(bool)), min_size=1, max_size=3)


@given(system=words, turns=turns)
def test_messages_come_out_of_a_prompt_as_they_went_in(
    system: str, turns: list[tuple[str, str]]
) -> None:
    said = [
        {"role": role, "content": text}
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    open_turn = {"role": "assistant", "content": None}
    prompt = conversation.render("served", [*said, open_turn], system)
    first = [{"role": "system", "content": system}] if system else []
    assert conversation.parse("served", prompt) == [*first, *said]
    with pytest.raises(UsageError, match="not taken apart"):
        conversation.parse("vicuna_v1", prompt)


def test_it_asks_again_and_then_gives_up() -> None:
    with serving(503, 429, 500, SAID) as server:
        assert "".join(load(server).stream(PROMPT, [], Sampling())) == "Tokyo [1]."
        assert len(server.asked) == 4
    with serving(503) as server, pytest.raises(ModelError, match=r"answered 503.* no for 503"):
        list(load(server).stream(PROMPT, [], Sampling()))
    assert len(server.asked) == 5


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (401, ModelUnavailable, "RAGVIS_API_KEY"),
        (404, ModelUnavailable, "end in /v1"),
        (400, ModelError, "take pictures"),
        (302, ModelError, "answered 302"),  # nobody is sent on to where nobody looked
        ([chunk("half"), "{no json"], ModelError, "broke off"),
        ([chunk("half"), '{"error": {"message": "on fire"}}'], ModelError, "on fire"),
        ([chunk(""), "[DONE]"], ModelError, "wrote nothing"),
        ([chunk("To")], ModelError, "broke off in the middle"),
        ([json.dumps({"choices": [3]})], ModelError, "most end in /v1"),
        ([json.dumps({"choices": [{"delta": {"content": 5}}]})], ModelError, "sent int for text"),
        ([json.dumps({"choices": None}), "[DONE]"], ModelError, "wrote nothing"),
        ([chunk("word " * 99)] * 99, ModelError, "does not stop"),
    ],
)
def test_every_failure_is_one_of_ours(
    answer: int | list[str], error: type[ModelError], said: str
) -> None:
    with serving(answer) as server, pytest.raises(error) as caught:
        list(load(server).stream(PROMPT, [], Sampling()))
    assert said in f"{caught.value} {caught.value.hint}" and "\n" not in str(caught.value)


def test_servers_and_models_that_are_not_there() -> None:
    with serving(SAID, models=[{"id": "a", "max_model_len": 9000}, {"id": "b"}]) as server:
        assert load(server, "#a").spec.context_limit == 9000
        assert load(server, "#b").spec.context_limit == 4096
        with pytest.raises(UsageError, match="which model") as caught:
            load(server)
        assert "a, b" in caught.value.hint
        told: list[str] = []
        generator.load(f"{server.name}#c", told.append)  # an alias, perhaps
        assert "does not list c" in told[0] and "a, b" in told[0]
        gone = server.name
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        generator.load(gone, print)
    with serving(SAID, models=[]) as server:  # it does not tell; the person knows
        assert list(load(server, "#mine").stream(PROMPT, [], Sampling()))
        with pytest.raises(UsageError, match="num_beams"):
            list(load(server, "#mine").stream(PROMPT, [], Sampling(num_beams=2)))


@pytest.mark.parametrize(
    "name",
    ["openai:", "openai:ftp://x/v1", "openai:http://[/v1", "openai:http://x:99999/v1"],
)
def test_what_is_no_address(name: str) -> None:
    with pytest.raises(UsageError, match=r"no (http|address)"):
        generator.load(name, print)


def test_keys_come_from_the_environment_and_go_to_their_own_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("API_KEY", "ORG_ID", "PROJECT_ID", "BASE_URL"):
        monkeypatch.setenv(f"OPENAI_{name}", "secret-of-openai")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with serving(SAID) as server:
        list(load(server).stream(PROMPT, [], Sampling()))
        monkeypatch.setenv("RAGVIS_API_KEY", "mine")
        list(load(server).stream(PROMPT, [], Sampling()))
    assert "secret-of-openai" not in json.dumps(server.headers)
    keys = [headers["authorization"] for headers in server.headers]
    assert keys == ["Bearer none", "Bearer none", "Bearer mine", "Bearer mine"]
    for hidden in ("http://me:key@localhost/v1", "http://:key@h/v1", "ftp://key@h", "http://h?key"):
        with pytest.raises(UsageError, match="keys do not belong") as caught:
            generator.load(f"openai:{hidden}", print)
        assert "key@" not in f"{caught.value}{caught.value.hint}"
    monkeypatch.setenv("RAGVIS_API_KEY", "sk-\u00e9-secret")
    with serving(SAID) as server, pytest.raises(UsageError) as refused:
        load(server)
    assert "secret" not in f"{refused.value}{refused.value.hint}"


def test_a_strange_folder_cannot_send_files_elsewhere(demo_index: Path) -> None:
    settings = Path("ragvis.toml")
    settings.write_text('model = "openai:http://192.0.2.1/v1#m"')
    result = run_command_line("ask", "Japan?", "-i", demo_index)
    assert result.exit_code == UsageError.exit_code and "another machine" in result.stderr
    with serving(SAID) as server:
        settings.write_text(f'model = "{server.name}"')
        assert run_command_line("ask", "Japan?", "-i", demo_index).exit_code == 0


def test_a_picture_too_few_is_said() -> None:
    with serving(SAID) as server, pytest.raises(ModelError, match="0 pictures, and places for 1"):
        list(load(server).stream(PROMPT.replace("Hi", "<image>"), [], Sampling()))


def test_offline_asks_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGVIS_OFFLINE", "1")
    with serving(SAID) as server:
        assert list(load(server).stream(PROMPT, [], Sampling()))
    with pytest.raises(ModelUnavailable, match="offline"):
        generator.load("openai:http://192.0.2.1/v1#m", print)


def test_what_only_a_model_of_this_machine_can_do(demo_index: Path) -> None:
    with serving(SAID) as server:
        ask = ["ask", "Japan?", "-i", demo_index, "-m", server.name]
        for option in (["--lora", "x"], ["--template", "v0"], ["--verify"]):
            result = run_command_line(*ask, *option)
            assert result.exit_code == UsageError.exit_code, result.stderr
        left_out = run_command_line(
            *ask, "--quantize", "8bit"
        )  # set for all models, as like as not
        assert left_out.exit_code == 0 and "quantize is left out" in left_out.stderr


def test_an_invented_citation_of_a_server_is_taken_out(demo_index: Path) -> None:
    with serving([chunk("Tokyo [1]"), chunk(" [99]."), STOP, "[DONE]"]) as server:
        options = ["-i", demo_index, "-m", server.name, "--json"]
        result = run_command_line("ask", "What is the capital of Japan?", *options)
    answer = json.loads(result.stdout)
    assert answer["answer"] == "Tokyo [1]." and answer["ledger"]["estimated"]
    assert answer["ledger"]["total"] > 0 and answer["sources"][0]["cited"]


@pytest.fixture(scope="module")
def pocket_served(pocket_folder: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Pocket behind transformers' own server, in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("hub")
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(home), "HF_HOME": str(home)}
    log = (home / "log").open("w")
    program = "from transformers.cli.transformers import main; main()"
    arguments = ["serve", str(pocket_folder.model), "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], env=env, stdout=log, stderr=log
    )
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/health"), process, home / "log")
        yield f"openai:http://127.0.0.1:{port}/v1#{pocket_folder.model}"
    finally:
        process.terminate()
        process.wait()
        log.close()


def wait_for(ready: Callable[[], bool], process: subprocess.Popen[Any], log: Path) -> None:
    give_up = time.monotonic() + 180
    while not ready():
        assert process.poll() is None and time.monotonic() < give_up, log.read_text()[-2000:]
        time.sleep(0.2)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


@pytest.mark.parametrize(
    ("question", "images"),
    [
        ("What is the capital of Japan?", []),
        (CAPITAL, [FLAG]),
        ("What is the highest point of Peru?", []),
        ("How many moons has Jupiter?", []),
    ],
)
def test_pocket_says_the_same_behind_a_server(
    demo_index: Path, pocket_served: str, question: str, images: list[Path]
) -> None:
    """Its own template there makes the same prompt of the messages: the tokens are as many."""
    with ragvis.Index.open(demo_index) as index:
        retriever = ragvis.Retriever(index)
        here = ragvis.Assistant(retriever, "pocket").ask(question, images)
        there = ragvis.Assistant(retriever, pocket_served).ask(question, images)
    assert there.text == here.text and there.abstained == here.abstained
    assert there.citations == here.citations
    assert there.usage["prompt_tokens"] == here.usage["prompt_tokens"]


def test_a_chat_about_a_picture_with_a_server(pocket_served: str) -> None:
    chat = ragvis.VisionChat(pocket_served)
    assert chat.start(FLAG, "What is this?") and chat.reply("Why?")
    assert [turn.role for turn in chat.transcript] == ["user", "assistant"] * 2
