"""Conversation templates of the LLaVA family: messages in, the exact prompt string out.

The templates and separator styles are those of haotian-liu/LLaVA ``llava/conversation.py``
(commit c121f043) and, for ``qwen_1_5``, of LLaVA-VL/LLaVA-NeXT (commit df179663), both
Apache-2.0; ``pocket`` is SmolLM2's ChatML. Hub chat templates differ from training in places, so
prompts are built here and compared byte for byte with the official strings in the tests. BOS is
the tokenizer's business and never part of the string.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ragvis.errors import UsageError
from ragvis.prompts import GROUNDED_SYSTEM

IMAGE_TOKEN = "<image>"
Style = Literal["single", "two", "mpt", "chatml", "llama_2", "plain"]

_CURIOUS = (
    "A chat between a curious {who} and an artificial intelligence assistant. The assistant "
    "gives helpful, detailed, and polite answers to the {who}'s questions."
)
_CURIOUS_USER = _CURIOUS.format(who="user")
_CURIOUS_HUMAN = _CURIOUS.format(who="human")
_V0_OPENING_ANSWER = (
    "Renewable energy sources are those that can be replenished naturally in a "
    "relatively short amount of time, such as solar, wind, hydro, geothermal, and "
    "biomass. Non-renewable energy sources, on the other hand, are finite and will "
    "eventually be depleted, such as coal, oil, and natural gas. Here are some key "
    "differences between renewable and non-renewable energy sources:\n"
    "1. Availability: Renewable energy sources are virtually inexhaustible, while "
    "non-renewable energy sources are finite and will eventually run out.\n"
    "2. Environmental impact: Renewable energy sources have a much lower "
    "environmental impact than non-renewable sources, which can lead to air and "
    "water pollution, greenhouse gas emissions, and other negative effects.\n"
    "3. Cost: Renewable energy sources can be more expensive to initially set up, "
    "but they typically have lower operational costs than non-renewable sources.\n"
    "4. Reliability: Renewable energy sources are often more reliable and can be "
    "used in more remote locations than non-renewable sources.\n"
    "5. Flexibility: Renewable energy sources are often more flexible and can be "
    "adapted to different situations and needs, while non-renewable sources are "
    "more rigid and inflexible.\n"
    "6. Sustainability: Renewable energy sources are more sustainable over the long"
    " term, while non-renewable sources are not, and their depletion can lead to "
    "economic and social instability.\n"
)


@dataclass(frozen=True, slots=True)
class Template:
    """How one family writes a conversation down."""

    style: Style
    system: str  # the system text it was trained with
    user: str = "USER"  # role marker of the user's turns
    assistant: str = "ASSISTANT"  # role marker of the assistant's turns
    sep: str = " "  # after the system text and after a user's turn
    sep2: str = "</s>"  # after an assistant's turn, where it differs
    opening: tuple[tuple[str, str], ...] = ()  # example turns before the first message
    fixed_system: bool = False  # trained with this system text only: never replaced in RAG
    stop: tuple[str, ...] = ()  # strings that end an answer beside the tokenizer's EOS

    @property
    def is_whole(self) -> bool:
        """Whether its prompts spell their first token out, as SmolLM2's and Qwen's do; Llama's
        tokenizer adds it."""
        return self.style == "chatml"

    @property
    def markers(self) -> tuple[str, ...]:
        """Strings that open or close a turn; text from outside must not contain them."""
        if self.style == "llama_2":
            return ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<s>", "</s>")
        if self.style in ("mpt", "chatml"):
            return ("<|im_start|>", "<|im_end|>")
        if self.style == "plain":
            return ()
        ends = tuple(s for s in (self.sep, self.sep2) if s.strip())
        return (f"{self.user}:", f"{self.assistant}:", *ends)


TEMPLATES: dict[str, Template] = {
    "vicuna_v1": Template("two", _CURIOUS_USER, fixed_system=True),
    "llava_v1": Template("two", _CURIOUS_HUMAN, fixed_system=True),
    "v0": Template(
        "single",
        _CURIOUS_HUMAN,
        "Human",
        "Assistant",
        sep="###",
        sep2="",
        opening=(
            (
                "What are the key differences between renewable and non-renewable energy sources?",
                _V0_OPENING_ANSWER,
            ),
        ),
        fixed_system=True,
        stop=("###",),
    ),
    "llava_v0": Template(
        "single",
        _CURIOUS_HUMAN,
        "Human",
        "Assistant",
        sep="###",
        sep2="",
        fixed_system=True,
        stop=("###",),
    ),
    "llava_llama_2": Template(
        "llama_2",
        "You are a helpful language and vision assistant. You are able to understand the visual "
        "content that the user provides, and assist the user with a variety of tasks using "
        "natural language.",
        sep="<s>",
    ),
    "mistral_instruct": Template("llama_2", "", sep=""),
    "chatml_direct": Template(
        "mpt",
        "Answer the questions.",
        "<|im_start|>user\n",
        "<|im_start|>assistant\n",
        sep="<|im_end|>",
        stop=("<|im_end|>",),
    ),
    "mpt": Template(
        "mpt",
        "A conversation between a user and an LLM-based AI assistant. The assistant gives "
        "helpful and honest answers.",
        "<|im_start|>user\n",
        "<|im_start|>assistant\n",
        sep="<|im_end|>",
        stop=("<|im_end|>",),
    ),
    "qwen_1_5": Template(
        "chatml",
        "You are a helpful assistant.",
        "<|im_start|>user\n",
        "<|im_start|>assistant\n",
        sep="<|im_end|>\n",
        stop=("<|im_end|>",),
    ),
    "pocket": Template(
        "chatml",
        GROUNDED_SYSTEM,
        "<|im_start|>user\n",
        "<|im_start|>assistant\n",
        sep="<|im_end|>\n",
        stop=("<|im_end|>",),
    ),
    # What goes to a server as messages; it has a template of its own.
    "served": Template(
        "chatml", "", "<|im_start|>user\n", "<|im_start|>assistant\n", sep="<|im_end|>\n"
    ),
    "plain": Template("plain", "", "", "", sep="\n", sep2="\n"),
}
ALIASES = {"v1": "vicuna_v1", "qwen_2": "qwen_1_5"}


def find_template(name: str) -> Template:
    """The template of that name or alias.

    Raises:
        UsageError: there is none.
    """
    found = TEMPLATES.get(ALIASES.get(name, name))
    if found is None:
        known = ", ".join((*TEMPLATES, *ALIASES))
        raise UsageError(f"unknown conversation template {name!r}", f"Known: {known}.")
    return found


def render(template: str, messages: Sequence[Mapping[str, Any]], system: str | None = None) -> str:
    """The exact prompt string of a conversation.

    Args:
        template: a key of ``TEMPLATES`` or ``ALIASES``.
        messages: ``{"role": "user"|"assistant", "content": str | None}``; None (or "") leaves
            the turn open, for the model to go on.
        system: replaces the template's own system text.

    Raises:
        UsageError: an unknown template or role, or content that is not a text.
    """
    t = find_template(template)
    turns = [(_role(m), _content(m)) for m in messages]
    opening = [turn for q, a in t.opening for turn in ((True, q), (False, a))]
    text = t.system if system is None else system
    return _WRITERS[t.style](t, text, [*opening, *turns])


def parse(template: str, prompt: str) -> list[dict[str, str]]:
    """The messages of a prompt that ``render`` wrote, those of the system with them.

    This inverts ``render`` as no text in a prompt may hold a marker of its template.

    Raises:
        UsageError: a template whose prompts cannot be told apart again.
    """
    t = find_template(template)
    if t.style != "chatml":
        raise UsageError(f"prompts of {template!r} are not taken apart")
    turns = (turn.partition("\n") for turn in prompt.split("<|im_start|>")[1:])
    said = [{"role": role, "content": text.removesuffix(t.sep)} for role, _, text in turns]
    return [message for message in said if message["content"]]


def image_first(text: str) -> str:
    """A first message about one picture, as the official code writes it: the picture, then the
    text without any image token of its own."""
    return f"{IMAGE_TOKEN}\n{text.replace(IMAGE_TOKEN, '').strip()}"


def _role(message: Mapping[str, Any]) -> bool:
    role = message.get("role")
    if role not in ("user", "assistant"):
        raise UsageError(f"unknown role {role!r}", "Use 'user' or 'assistant'.")
    return bool(role == "user")


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        hint = f"A picture stands in it as {IMAGE_TOKEN}."
        raise UsageError(f"a message's content is a text, not {type(content).__name__}", hint)
    return content or ""


Turns = Sequence[tuple[bool, str]]  # (said by the user?, text)


def _write_colon(t: Template, system: str, turns: Turns) -> str:
    out = system + t.sep
    for by_user, text in turns:
        end = t.sep if by_user or not t.sep2 else t.sep2
        role = t.user if by_user else t.assistant
        out += f"{role}: {text}{end}" if text else f"{role}:"
    return out


def _write_chatml(t: Template, system: str, turns: Turns) -> str:
    out = f"<|im_start|>system\n{system}{t.sep}"
    for by_user, text in turns:
        out += (t.user if by_user else t.assistant) + (f"{text}{t.sep}" if text else "")
    return out


def _write_llama_2(t: Template, system: str, turns: Turns) -> str:
    out = ""
    for i, (by_user, text) in enumerate(turns):
        if i == 0 and system:
            text = f"<<SYS>>\n{system}\n<</SYS>>\n\n{text}"
        if text:
            out += f"{t.sep}[INST] {text} [/INST]" if by_user else f" {text} {t.sep2}"
    return out.removeprefix(t.sep)


def _write_plain(t: Template, system: str, turns: Turns) -> str:
    return system + "".join(f"{text}{t.sep}" for _, text in turns if text)


_WRITERS = {
    "single": _write_colon,
    "two": _write_colon,
    "mpt": _write_chatml,
    "chatml": _write_chatml,
    "llama_2": _write_llama_2,
    "plain": _write_plain,
}
