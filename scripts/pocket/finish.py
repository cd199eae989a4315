"""After training: an ordinary checkpoint, its measures, and its model card."""

from __future__ import annotations

import json
import random
import re
import shutil
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import AutoModelForCausalLM

from ragvis import generator
from ragvis._files import sha256_of_file
from ragvis._quiet import quiet
from ragvis.composer import find_citations
from ragvis.conversation import render
from ragvis.errors import UsageError
from ragvis.evaluation.statistics import wilson
from ragvis.generator.loading import find, load_model
from ragvis.generator.sampling import Sampling
from ragvis.media.source import load_picture
from ragvis.models import pocket
from ragvis.prompts import is_refusal
from scripts.pocket import pictures
from scripts.pocket.conversations import Conversation
from scripts.pocket.photographs import HEAD
from scripts.pocket.stages import CONNECTOR, LORA, read_connector

METRICS = "metrics.json"
MADE = "These weights are what it makes."  # the recipe, in one go
TRANSCRIPTS = "transcripts.md"
_SHOWN = 10  # transcripts


def export(folder: Path, trained: Path, out: Path) -> None:
    """A LLaVA checkpoint with the trained connector and the LoRA merged, as `ragvis -m` loads it.

    Args:
        folder: the checkpoint that was trained on.
        trained: what the last stage wrote.
        out: a folder that is not there yet.
    """
    checkpoint = find(str(folder), print)
    with quiet():
        model = load_model(checkpoint, "none", "transformers").float()
    read_connector(model.model.multi_modal_projector, trained / CONNECTOR)
    if (trained / LORA).is_dir():
        inner = model.model.language_model
        language = AutoModelForCausalLM.from_config(model.config.get_text_config()).float()
        language.model.load_state_dict(inner.state_dict())
        with quiet():
            merged = PeftModel.from_pretrained(language, str(trained / LORA)).merge_and_unload()
        inner.load_state_dict(merged.model.state_dict())
    model.save_pretrained(out)
    checkpoint.processor.tokenizer.save_pretrained(out)
    checkpoint.processor.image_processor.save_pretrained(out)


def evaluate(folder: Path, held_out: list[Conversation], out: Path) -> dict[str, Any]:
    """Ask a checkpoint for the last answer of every conversation; greedy.

    Writes ``metrics.json`` (share right, and cited exactly, of each kind, with 95 % intervals; what
    has no ``gold`` counts for citations alone) and ``transcripts.md`` (ten, drawn with a fixed
    seed).

    Raises:
        UsageError: nothing is held out.
    """
    if not held_out:
        raise UsageError("no conversation to ask for", "The file holds none.")
    model = generator.load(str(folder), print, quantize="none")
    sampling = Sampling(max_new_tokens=72)
    right: dict[str, list[bool]] = defaultdict(list)
    cited: dict[str, list[bool]] = defaultdict(list)
    said = []
    for one in held_out:
        prompt = render(
            model.spec.template,
            [*one.messages[:-1], {"role": "assistant", "content": None}],
            one.system,
        )
        shown = [load_picture(file) for file in one.images]
        answer = "".join(model.stream(prompt, shown, sampling)).strip()
        wanted = one.messages[-1]["content"]
        if one.gold:
            right[one.kind].append(is_right(answer, one.gold))
        cited[one.kind].append(_numbers(answer) == _numbers(wanted))
        said.append((one, answer))
    metrics = {
        "date": time.strftime("%Y-%m-%d"),
        "right": {kind: _share(values) for kind, values in sorted(right.items())},
        "cited exactly": {kind: _share(values) for kind, values in sorted(cited.items())},
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / METRICS).write_text(json.dumps(metrics, indent=1), "utf-8")
    (out / TRANSCRIPTS).write_text(_transcripts(said), "utf-8")
    return metrics


def is_right(answer: str, gold: str) -> bool:
    """Whether an answer says what it should, or refuses where it should."""
    if is_refusal(gold) or is_refusal(answer):
        return is_refusal(gold) == is_refusal(answer)
    if gold.lower() in ("yes", "no"):
        return answer.lower().startswith(gold.lower())
    said, wanted = (" ".join(re.findall(r"\w+", text.lower())) for text in (answer, gold))
    return f" {wanted} " in f" {said} "


def _numbers(answer: str) -> set[int]:
    return {citation.n for citation in find_citations(answer)}


def _share(values: list[bool]) -> dict[str, float]:
    low, high = wilson(sum(values), len(values))
    share = sum(values) / len(values)
    return {
        "share": round(share, 3),
        "low": round(low, 3),
        "high": round(high, 3),
        "n": len(values),
    }


def _transcripts(said: list[tuple[Conversation, str]]) -> str:
    drawn = random.Random(3).sample(said, min(_SHOWN, len(said)))
    parts: list[str] = []
    for one, answer in drawn:
        asked, wanted = one.messages[-2]["content"], one.messages[-1]["content"]
        parts += [f"## {one.id} ({one.kind})", "", _quoted(asked), ""]
        parts += [f"Wanted: {wanted}", "", f"Said: {answer}", ""]
    return "\n".join(parts)


def _quoted(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def package(
    vision: Path,
    photographs: Path,
    trained: Path,
    metrics: dict[str, Any],
    listed: Path,
    out: Path,
    how: str = MADE,
) -> dict[str, Any]:
    """What ships of a pocket model: tower, connector, LoRA, and a ``pocket.json`` that is true of
    them. The base models stay those that the ``pocket.json`` of today names.

    Args:
        vision: what the tower's training wrote.
        photographs: what the training of its part for photographs wrote.
        trained: what stage 2 wrote.
        metrics: what ``evaluate`` wrote.
        listed: ``pictures.jsonl`` of all that it was trained on.
        out: a folder that is not there yet.
        how: how these weights came of the recipe, for the card.

    Raises:
        UsageError: it is there.
    """
    if out.exists():
        raise UsageError(f"{out} is there already", "Choose another --out.")
    shutil.copytree(vision / "vision", out / "vision")
    shutil.copy(vision / "preprocessor_config.json", out)
    (out / "photographs").mkdir()
    shutil.copy(photographs / HEAD, out / "photographs")
    shutil.copytree(trained / LORA, out / LORA)
    shutil.copy(trained / CONNECTOR, out)
    facts = pocket.recipe()
    files = {
        "image_encoder": "vision/model.safetensors",
        "photo_head": f"photographs/{HEAD}",
        "lora": "lora/adapter_model.safetensors",
        "connector": CONNECTOR,
    }
    for name, file in files.items():
        facts[name]["sha256"] = sha256_of_file(out / file)
    facts["trained"] = how
    facts |= {"version": facts["version"] + 1, "metrics": metrics, "training_data": _data(listed)}
    (out / "pocket.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False), "utf-8")
    return facts


def _data(listed: Path) -> dict[str, Any]:
    rows = pictures.read(listed)
    many = Counter(row.source for row in rows)
    about = {row.source: row for row in rows}
    images = {s: {"images": n, "licences": [about[s].licence]} for s, n in many.items()}
    credits = [f"{s}: {about[s].author} ({about[s].licence})" for s in sorted(many)]
    texts = {
        "invented facts": "made by scripts/pocket/textual.py",
        "docstrings of Python's standard library, help texts of its commands": "PSF-2.0",
        "documentation of other packages (scripts/pocket/options.py)": "MIT, BSD, Apache-2.0",
    }
    captions = "the names of the icons"
    return {"images": images, "captions": captions, "attribution": credits, "text": texts}
