"""Greetings, thanks and questions about the index are known, and nothing else is taken for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import run_command_line

import ragvis
from ragvis.assistant.small_talk import is_small_talk, reply_to


@pytest.mark.parametrize(
    "line",
    [
        *("hello", "Hi!", "Hey there", "Good morning, ragvis.", "Guten Tag", "Bonjour !", "你好！"),
        *("Thanks!", "thank you so much :-)", "Danke schön.", "merci beaucoup", "Спасибо!", "谢谢"),
        *("what files do you have?", "How many documents are there?", "list all files"),
        *("Which pictures are in the index?", "what can you do?", "show me my photos"),
        "how many files are indexed?",
    ],
)
def test_what_no_file_answers(line: str) -> None:
    assert is_small_talk(line)


@pytest.mark.parametrize(
    "line",
    [
        *("Hello, what is the rent?", "thanks to whom was the roof repaired?", "hello world"),
        *("What files must a tenant keep?", "Which pictures do you have of cats?", "files"),
        *("how many documents are needed for a passport?", "What do you know about Peru?"),
        *("list the tools", "which photos show a harbour?", "merci clause", ""),
        *("What is in the index of prices?", "show me a photo of scissors"),
    ],
)
def test_what_a_file_may_answer(line: str) -> None:
    assert not is_small_talk(line)


def test_a_greeting_is_answered_without_the_index() -> None:
    def never() -> Any:
        pytest.fail("the index is not asked")

    assert reply_to("hello", never).startswith("Hello!")
    assert reply_to("What is the rent?", never) == ""


def test_a_question_about_the_index_is_answered_by_its_counts(demo_index: Path) -> None:
    done = run_command_line("ask", "what files do you have?", "-i", demo_index, "-m", "pocket")
    with ragvis.Index.open(demo_index) as index:
        status = index.status()
    assert f"holds {status.files} files: {status.passages} passages" in done.stdout
    assert done.exit_code == 0 and "Sources" not in done.stdout


def test_a_conversation_goes_on_after_thanks(assistant: ragvis.Assistant) -> None:
    chat = assistant.chat()
    first = chat.ask("What is the capital of Japan?")
    thanked = chat.ask("Thanks!")
    assert not thanked.abstained and thanked.sources == () and thanked.citations == ()
    stream = chat.stream("And what is its population?")
    assert stream.prepared.query == "What is the capital of Japan? And what is its population?"
    assert [answer.text for answer in chat.answers] == [first.text, thanked.text]
