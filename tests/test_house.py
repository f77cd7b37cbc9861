"""The floors of docs/architecture.md, held by parsing every file of the package; and what is quick must stay quick."""

import ast
import os
import re
import resource
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest
from hatchling.builders.wheel import WheelBuilder

import diptych

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "diptych"
FILES = sorted(PACKAGE.rglob("*.py"))

FLOORS = {
    **dict.fromkeys(("errors", "settings", "files", "lists", "progress", "fetch", "page"), 0),
    **dict.fromkeys(("model", "tokenizer", "images", "preprocess", "losses", "prompts", "data"), 1),
    "checkpoints": 2,
    "encode": 3,
    **dict.fromkeys(("zeroshot", "calibration"), 4),
    **dict.fromkeys(("api", "openai_api"), 5),
    **dict.fromkeys(("train", "evaluate", "library", "export", "demo"), 6),
    "serve": 7,
    "cli": 8,
}
# Where torch may be imported with the module itself; elsewhere only inside the function that needs it.
WITH_TORCH = {
    *("model/attention.py", "model/clip.py", "model/resnet.py", "model/text.py", "model/vision.py"),
    *("model/patch_dropout.py", "model/recompute.py"),
    *("encode/devices.py", "encode/prefix_tree.py", "encode/torch_encoder.py", "openai_api.py", "losses.py"),
    *("data/augment.py", "data/loader.py", "data/workers.py"),
}
# Hosts that the package has addresses of: where weights are published, and where code and standards live.
HOSTS = {"openaipublic.azureedge.net", "github.com"}

IDS = [str(path.relative_to(PACKAGE)) for path in FILES]
every_file = pytest.mark.parametrize("path", FILES, ids=IDS)


class Import(NamedTuple):
    """`module` is dotted, and a module's if `from package import module` names one."""

    module: str
    line: int
    is_at_top: bool


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path) for path in FILES}


def imports(path: Path) -> Iterator[Import]:
    """All imports of a file but those that only a type checker sees."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unseen = {id(node) for block in ast.walk(tree) if is_for_checkers(block) for node in ast.walk(block)}
    inner = {id(node) for function in functions(tree) for node in ast.walk(function)}
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: imports are written in full"
            base = node.module or ""
            names = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base for alias in node.names]
        else:
            continue
        yield from (Import(name, node.lineno, id(node) not in inner) for name in names)


def is_for_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def room(module: str) -> str:
    return ([*module.split("."), ""])[1]


@every_file
def test_imports_point_down_and_peers_do_not_import_each_other(path: Path) -> None:
    here = room(module_name(path))
    if here in ("", "__main__"):  # the package's face, which stands above all floors
        return
    assert here in FLOORS, f"{here} has no floor: add it here and to docs/architecture.md"
    climbs = [
        f"line {line}: {module}"
        for module, line, _ in imports(path)
        if module.startswith("diptych.")
        and room(module) not in (here, "errors")
        and FLOORS[room(module)] >= FLOORS[here]
    ]
    assert not climbs, f"{path.name} is on floor {FLOORS[here]} and imports {', '.join(climbs)}"


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {module_name(path): {found.module for found in imports(path)} & MODULES for path in FILES}
    order = list(TopologicalSorter(graph).static_order())  # CycleError names the circle
    assert set(order) == MODULES


@every_file
def test_torch_is_imported_where_it_computes_and_nowhere_else(path: Path) -> None:
    name = path.relative_to(PACKAGE).as_posix()
    if name in WITH_TORCH or name.startswith("train/"):
        return
    eager = [line for module, line, is_at_top in imports(path) if is_at_top and module.split(".")[0] == "torch"]
    assert not eager, f"{name} imports torch with itself, in line {eager}"


def test_files_that_may_import_torch_exist() -> None:
    missing = {name for name in WITH_TORCH if not (PACKAGE / name).is_file()}
    assert not missing, "take out of WITH_TORCH what is gone"


def heavy_modules_after(script: str) -> str:
    script = f"import sys, contextlib\n{script}\nprint(sorted({{'torch', 'numpy', 'PIL'}} & sys.modules.keys()))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return shown.stdout.splitlines()[-1]


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("classify", "--help")], ids=" ".join)
def test_help_needs_neither_torch_nor_numpy(arguments: tuple[str, ...]) -> None:
    script = f"sys.argv = {['diptych', *arguments]}\nfrom diptych.cli import main\n"
    assert heavy_modules_after(script + "with contextlib.suppress(SystemExit): main()") == "[]"


def test_importing_the_package_needs_neither_torch_nor_numpy() -> None:
    assert heavy_modules_after("import diptych") == "[]"


def test_importing_the_command_line_needs_no_torch() -> None:
    every = ", ".join(module for module in sorted(MODULES) if room(module) == "cli")
    assert "torch" not in heavy_modules_after(f"import {every}")


def seconds(*arguments: str) -> float:
    """Of the processor: it is one thread that waits for nothing, and what others run beside it does not count."""
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime


QUICK = (("-c", "import diptych"), ("-m", "diptych", "--help"), ("-m", "diptych", "--version"))
THEIRS = ("-c", "import typer, typer.rich_utils, rich.markdown, rich.table")  # without these there is no help to print


@pytest.mark.parametrize("command", QUICK, ids=" ".join)
def test_starting_costs_a_quarter_of_a_second_at_most(command: tuple[str, ...]) -> None:
    # The best of several runs by turns: in the rest the caches were cold.
    turns = [(seconds("-c", "pass"), seconds(*THEIRS), seconds(*command)) for _ in range(7)]
    bare, theirs, ours = map(min, zip(*turns, strict=True))
    # A processor that is shared or slow takes longer for the same: then it is held to what others' imports take there.
    assert ours - bare <= max(0.25, 2.5 * (theirs - bare))


@every_file
def test_what_is_public_says_what_it_does(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "the module has no docstring"
    silent = [
        f"{node.name} (line {node.lineno})"
        for holder in holders(tree)
        for node in holder.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not any(getattr(decorator, "id", "") == "overload" for decorator in node.decorator_list)
        and not ast.get_docstring(node)
    ]
    assert not silent, f"without docstring: {', '.join(silent)}"


def holders(tree: ast.Module) -> list[ast.Module | ast.ClassDef]:
    """The module and its public classes."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return [tree, *(node for node in classes if not node.name.startswith("_"))]


@every_file
def test_the_package_names_no_place_of_somebodys_machine(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            continue
        for url in re.findall(r"https?://([\w.-]+\.\w+|localhost|[\d.]+)", node.value):
            assert url in HOSTS or url.endswith("example.com"), f"line {node.lineno} leads to {url}"
        # /v1/, /web/ and /jobs/ are addresses of the server.
        assert not re.match(r"/(?!sys/|dev/|v1/|web/|jobs/)[a-z]+/|[A-Z]:\\", node.value), (
            f"line {node.lineno} has a path: {node.value!r}"
        )


def test_no_file_of_the_tree_names_where_it_was_written() -> None:
    folders = [ROOT / name for name in ("src", "tests", "docs", "bench", "scripts")]
    texts = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".md", ".toml", ".txt")]
    for path in [*texts, *ROOT.glob("*.md"), *ROOT.glob("*.toml"), ROOT / "Makefile"]:
        text = path.read_text(encoding="utf-8")
        for place in (f"{ROOT.parent}{os.sep}", f"{Path.home()}{os.sep}"):
            assert not re.search(rf"(?<![\w.]){re.escape(place)}", text), f"{path.relative_to(ROOT)} names {place}"


def test_a_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("diptych/")}
        metadata = archive.read(f"diptych-{diptych.__version__}.dist-info/METADATA").decode()
    there = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert packed == {f"diptych/{path.relative_to(PACKAGE).as_posix()}" for path in there}
    for name in ("py.typed", "vocabulary/LICENSE", "prompts/NOTICE", "prompts/templates.json"):
        assert f"diptych/{name}" in packed
    assert "Requires-Python: >=3.11" in metadata
