"""What the package is: light imports, one-way layers, an export list, a wheel that works."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import CACHE, ROOT

import ragvis
from ragvis import errors

PACKAGE = ROOT / "ragvis"
HEAVY = ("torch", "faiss", "PIL", "transformers", "open_clip", "numpy")
# Each part may import those before it, and never one after it.
LAYERS = (
    (
        "_arguments",
        "_files",
        "_lazy",
        "_quiet",
        "_text",
        "errors",
        "types",
        "config",
        "prompts",
        "conversation",
    ),
    ("media", "models", "store", "composer"),
    ("documents", "encoder"),
    ("generator",),
    ("index",),
    ("retriever",),
    ("integrations",),
    ("assistant",),
    ("evaluation", "logs"),
    ("evidence",),
    ("cli",),
    ("__main__",),
)
EXPORTS = """
Index IndexReport IndexStatus Retriever Assistant AnswerStream Chat VisionChat Sampling Hit Source
Citation Ledger Dropped Answer Support conversation RagvisError UsageError PromptTooLong
FetchRefused FilesGone IndexMissing IndexMismatch IndexDamaged IndexLocked StorageError ModelError
ModelUnavailable MissingExtra BadFile
""".split()


@pytest.mark.parametrize("code", ["import ragvis", "from ragvis.cli import main", "ragvis --help"])
def test_importing_loads_nothing_heavy(code: str) -> None:
    run = "import sys; sys.argv = ['ragvis', '--help']; from ragvis.cli.main import run; run(None)"
    check = f"import sys; print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    code = run if code.startswith("ragvis") else code
    command = [sys.executable, "-c", f"{code}; {check}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_the_export_list() -> None:
    assert ragvis.__all__ == EXPORTS
    assert all(getattr(ragvis, name) is not None for name in EXPORTS)
    assert set(EXPORTS) <= set(dir(ragvis))
    with pytest.raises(AttributeError):
        _ = ragvis.nothing


def every_error() -> list[type[errors.RagvisError]]:
    found = [e for e in vars(errors).values() if isinstance(e, type)]
    return [e for e in found if issubclass(e, Exception)]


def test_the_error_tree_is_drawn_as_it_is() -> None:
    drawn = errors.__doc__ or ""
    for error in every_error():
        assert issubclass(error, errors.RagvisError)
        assert f"{error.__name__} ({error.exit_code})" in drawn
        assert error.__name__ in ragvis.__all__
    assert drawn.count("(") >= len(every_error())


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        yield file, ast.parse(file.read_text("utf-8"))


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(name: str) -> int:
    return next(i for i, names in enumerate(LAYERS) if name in names)


def test_imports_go_one_way() -> None:
    for file, tree in modules():
        own = file.relative_to(PACKAGE).with_suffix("").parts[0]
        if own == "__init__":
            continue
        for name in imports(tree):
            parts = name.split(".")
            if parts[0] == "ragvis" and len(parts) > 1 and parts[1] != "__version__":
                below = layer(parts[1]) < layer(own) or layer(own) == 0 or parts[1] == own
                assert below, f"{file} imports {name}"


def test_one_module_knows_faiss_and_one_knows_pil() -> None:
    knows: dict[str, set[str]] = {"PIL": set(), "faiss": set()}
    for file, tree in modules():
        text = file.read_text("utf-8")
        for package, files in knows.items():
            if (
                package in {n.split(".")[0] for n in imports(tree)}
                or f'require("{package}")' in text
            ):
                files.add(file.relative_to(PACKAGE).as_posix())
    assert knows["PIL"] == {"media/images.py"}
    assert knows["faiss"] == {"store/vectors.py"}


def test_sizes_stay_readable() -> None:
    lengths = []
    for file, tree in modules():
        assert len(file.read_text("utf-8").splitlines()) <= 400, file
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
        lengths += [(n.end_lineno or 0) - n.lineno + 1 for n in functions]
    lengths.sort()
    assert lengths[len(lengths) // 2] <= 12
    assert lengths[len(lengths) * 9 // 10] <= 35


def test_without_faiss_one_line_names_both_extras(tmp_path: Path, demo_index: Path) -> None:
    (tmp_path / "faiss.py").write_text("raise ModuleNotFoundError('no faiss', name='faiss')")
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "RAGVIS_CACHE": str(CACHE)}
    command = [sys.executable, "-m", "ragvis", "search", "flag", "-i", str(demo_index)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 5
    assert len(done.stderr.splitlines()) == 1
    assert "ragvis[cpu]" in done.stderr and "ragvis[gpu]" in done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "-o",
        str(out),
        str(ROOT),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


def test_the_wheel_carries_pockets_weights(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("pocket.json", "connector.safetensors", "vision/model.safetensors", "lora/"):
        assert any(f"ragvis/models/weights/{name}" in n for n in names)
    assert not [n for n in names if n.startswith(("tests", "indexes", "scripts"))]
    assert wheel.stat().st_size < 45 * 2**20


def test_the_wheel_answers_from_elsewhere(wheel: Path, demo_index: Path, tmp_path: Path) -> None:
    target = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*install, "--target", str(target), str(wheel)], check=True)
    env = {**os.environ, "PYTHONPATH": str(target), "RAGVIS_CACHE": str(CACHE)}
    where = "import ragvis, sys; sys.stderr.write(ragvis.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where], capture_output=True, text=True, env=env, cwd=tmp_path
    )
    assert str(target) in found.stderr
    ask = ["ask", "What is the capital of Kenya?", "-m", "pocket", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "ragvis", *ask, "-i", str(demo_index)],
        capture_output=True,
        text=True,
        env=env,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "Nairobi" in json.loads(done.stdout)["answer"]
