"""README.md and docs/: every block runs as printed, every link, file, name and option in them exists.

How the blocks of a page are read, in their order, in one namespace and one folder with pictures in it:
  ```python   is executed: `expression  # -> value` must have that repr, `statement  # raises Error: text` raise that.
  ```console  runs each `$ diptych ...` line through the command: exit status 0, or what `$ echo $?` shows after it.
              What is printed below a line is its output; `...` on a line of its own stands for lines left out.
              `$ diptych serve ...` runs until the page ends, and lines with curl ask it (served_page.py).
  ```text     is not code.
A comment on the line before a block changes that: `<!-- not run: reason -->` (counted in NOT_RUN), `<!-- numbers:
reason -->` (of the output only the words must agree), `<!-- file: name -->` (the block is written to that file).
"""

import ast
import io
import math
import re
import shlex
import shutil
import sys
import tomllib
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import typer
from PIL import Image

import formats
import seeded
from diptych import DualEncoder, ZeroShotClassifier, progress
from diptych.checkpoints import hub
from diptych.cli import main
from diptych.cli.app import app
from diptych.demo.photographs import find_photographs
from diptych.files import cache_dir
from diptych.train import log
from seeded import Family, Tower
from served_page import ServedPage, agree

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "diptych"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGE_NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
OWNERS = {"encoder": DualEncoder, "classifier": ZeroShotClassifier}  # what these names mean on every page

HOLIDAY = {  # what the demo's photographs are called on the pages
    **{"astronaut.png": "astronaut.png", "chelsea.png": "cat.png", "coffee.png": "coffee.png"},
    **{"rocket.jpg": "rocket.jpg", "china.jpg": "temple.jpg", "flower.jpg": "flower.jpg"},
}

# Blocks that nothing here can run, by page and reason. A new one is to be counted here.
NOT_RUN = {
    "README.md": {"installs packages": 2, "runs the tests themselves": 1},
    "CONTRIBUTING.md": {"runs the tests themselves": 1},
    "docs/checkpoints.md": {"needs weights of full size": 1},
    "docs/migrating.md": {"the other library's half": 2},
    "docs/pretraining.md": {"installs packages": 1, "starts several processes": 1},
    "docs/postcard.md": {"needs the training sets": 1},
    "docs/quickstart.md": {"installs packages": 1},
    "docs/serving.md": {
        "installs packages": 1,
        "needs its own name": 1,
        "needs a container engine": 1,
        "needs root": 2,
    },
}


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block: its language, the comment right before it, and the line on which its text starts."""

    language: str
    note: str
    line: int
    text: str

    @property
    def is_run(self) -> bool:
        return not self.note.startswith("not run:")


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    inside: tuple[str, str, int] | None = None
    for number, line in enumerate(lines):
        if inside and line == "```":
            language, note, start = inside
            found.append(Block(language=language, note=note, line=start + 1, text="\n".join(lines[start:number])))
            inside = None
        elif not inside and line.lstrip().startswith("```"):
            assert re.fullmatch(r"```\w+", line), f"{page.name}:{number + 1}: a fence names its language: {line!r}"
            comment = re.fullmatch(r"<!-- (.*) -->", lines[number - 1])
            inside = (line.removeprefix("```"), comment[1] if comment else "", number + 1)
    assert inside is None, f"{page.name} ends within a block"
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def code_spans(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(page))


# ---- what the pages take for granted: published models by their names, and pictures


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of one layer under published names, in the layout of our cache (openai) and of the Hub's (hub).

    They have ViT-B/32's patches and widths, so that what the pages say of shapes holds.
    """
    root = tmp_path_factory.mktemp("published")
    layers = (Tower(768, 1, 12, 3072), Tower(64, 1, 1, 256))
    quick = Family(embed_dim=512, image_size=224, vision=layers[0], text=layers[1])
    gelu = Family(embed_dim=512, image_size=224, vision=layers[0], text=layers[1], activation="gelu")
    (root / "openai").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(seeded.FAMILIES, "quick", quick)
        patch.setitem(seeded.FAMILIES, "gelu", gelu)
        seeded.openai_torchscript_archive(root / "openai" / "ViT-B-32.pt", seeded.seeded_model("quick"))
        formats.write_huggingface("quick", _snapshot(root / "hub", "openai/clip-vit-base-patch32"))
        formats.write_open_clip("gelu", _snapshot(root / "hub", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"))
    # Written after each file that is verified, so that its checksum is not computed again.
    hub._remember(root / "openai" / "ViT-B-32.pt", hub.OPENAI_FILES["ViT-B/32"][1])
    return root


def _snapshot(cache: Path, repo: str) -> Path:
    """An empty folder where the Hub's cache keeps the only commit of a repository."""
    root, commit = cache / f"models--{repo.replace('/', '--')}", "c0ffee" + "0" * 34
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    (root / "snapshots" / commit).mkdir(parents=True)
    return root / "snapshots" / commit


@pytest.fixture
def folder(tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: photo.jpg, CLIP.png, photos/ with six more, broken.jpg; and the models in the caches.

    These are drawn; holiday/ has six real photographs.
    """
    monkeypatch.setenv("DIPTYCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    # No lines of progress in between, which only a slow machine prints.
    monkeypatch.setattr(progress, "_LOG_EVERY_SECONDS", math.inf)
    monkeypatch.setattr(log, "_LINE_EVERY_SECONDS", math.inf)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(published / "hub"))
    for file in (published / "openai").iterdir():
        (cache_dir("openai") / file.name).hardlink_to(file)
    work = tmp_path / "work"
    (work / "photos").mkdir(parents=True)
    for seed, name in enumerate(("beach", "cat", "dog", "market", "mountain", "street")):
        Image.fromarray(seeded.seeded_image(240, 320, seed)).save(work / "photos" / f"{name}.jpg")
    Image.fromarray(seeded.seeded_image(480, 640, seed=6)).save(work / "photo.jpg")
    Image.open(work / "photo.jpg").save(work / "CLIP.png")
    (work / "broken.jpg").write_bytes((work / "photo.jpg").read_bytes()[:5000])
    (work / "holiday").mkdir()
    for photo in find_photographs():
        if photo.name in HOLIDAY:
            shutil.copyfile(photo, work / "holiday" / HOLIDAY[photo.name])
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def served() -> Iterator[ServedPage]:
    """The server that a page starts."""
    page = ServedPage()
    yield page
    page.close()


# ---- running a page


def with_curl(name: str) -> bool:
    return any(re.search(r"^\$ .*\bcurl ", block.text, re.MULTILINE) for block in blocks(ROOT / name))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.curl] if with_curl(name) else []) for name in PAGE_NAMES]
)
def test_every_block_runs_as_printed(
    name: str, folder: Path, served: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace: dict[str, object] = {"__name__": "page"}
    for block in blocks(ROOT / name):
        where = f"{name}:{block.line}"
        if block.note.startswith("file: "):
            (folder / block.note.removeprefix("file: ")).write_text(block.text + "\n", encoding="utf-8")
        elif block.is_run and block.language == "python":
            run_python(replace(block, text=served.located(block.text)), where, namespace)
        elif block.is_run and block.language == "console":
            run_console(block, where, served, monkeypatch)
        elif block.is_run:
            assert block.language in ("text", "toml", "json"), f"{where}: {block.language} is not run"
            assert not re.search(r"^(\$|import|from) ", block.text, re.MULTILINE), f"{where}: this is code"


def run_python(block: Block, where: str, namespace: dict[str, object]) -> None:
    lines = block.text.splitlines()
    for statement in ast.parse(block.text).body:
        last = lines[(statement.end_lineno or 1) - 1]
        at = f"{where}, line {statement.lineno}: {last.strip()}"
        value, raised = _execute(statement, where, namespace)
        if raises := re.search(r"# raises (.*)", last):
            said = f"{type(raised).__name__}: {raised}"
            assert said.startswith(raises[1].removesuffix("...")), f"{at}\nraised {said}"
        elif raised is not None:
            raise AssertionError(f"{at}\nraised {type(raised).__name__}: {raised}") from raised
        elif shown := re.search(r"# -> (.*)", last):
            assert repr(value) == shown[1], f"{at}\ngave {value!r}"


def _execute(statement: ast.stmt, where: str, namespace: dict[str, object]) -> tuple[object, Exception | None]:
    with redirect_stdout(io.StringIO()):
        try:
            if isinstance(statement, ast.Expr):
                return eval(compile(ast.Expression(statement.value), where, "eval"), namespace), None
            exec(compile(ast.Module([statement], []), where, "exec"), namespace)
            return None, None
        except Exception as error:  # noqa: BLE001 (whatever a page's code raises is compared with what the page says)
            return None, error


def run_console(block: Block, where: str, served: ServedPage, monkeypatch: pytest.MonkeyPatch) -> None:
    status = 0
    for line, expected, is_status_shown in _commands(block.text):
        words = shlex.split(line)
        if words[0] == "export":
            monkeypatch.setenv(*words[1].split("=", maxsplit=1))
        elif line == "echo $?":
            assert expected == [str(status)], f"{where}: {line}: {status}"
        elif re.search(r"\bcurl ", line):
            status, output = served.ask(line)
            assert is_status_shown or status == 0, f"{where}: {line}\nexit status {status}\n{output}"
            assert agree("\n".join(expected), output), f"{where}: {line}\nprinted\n{output}"
        elif words[:2] == ["diptych", "serve"]:
            said = served.start(words[2:])
            assert expected in ([], [said]), f"{where}: {line}\n{said}"
        else:
            assert words[0] == "diptych", f"{where}: only diptych can be run: {line}"
            status, output = run_diptych(words[1:], monkeypatch)
            assert is_status_shown or status == 0, f"{where}: {line}\nexit status {status}\n{output}"
            wanted, got = "\n".join(expected), output
            if block.note.startswith("numbers: "):
                wanted, got = _words(wanted), _words(got)
            pattern = re.escape(wanted).replace(r"\.\.\.", ".*")
            assert not expected or re.fullmatch(pattern, got, re.DOTALL), f"{where}: {line}\nprinted\n{output}"


def _commands(text: str) -> Iterator[tuple[str, list[str], bool]]:
    """(command, lines printed below it, whether its exit status is shown next)."""
    first, *parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    assert not first, f"output before the first command: {first}"
    for part, following in zip(parts, [*parts[1:], ""], strict=True):
        command, *output = part.rstrip("\n").splitlines()
        while command.endswith("\\"):
            command = command[:-1] + output.pop(0).strip()
        yield command, [line.rstrip() for line in output], following.startswith("echo $?")


def run_diptych(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """The exit status of `diptych` and all that it printed, without this machine's paths."""
    monkeypatch.setattr(sys, "argv", ["diptych", *arguments])
    printed = io.StringIO()
    with warnings.catch_warnings(), redirect_stdout(printed), redirect_stderr(printed):
        warnings.simplefilter("default")  # the command prints them, as it does outside of tests
        with pytest.raises(SystemExit) as stopped:
            main()
    output = printed.getvalue().replace(str(cache_dir()), "~/.cache/diptych").replace(str(Path.cwd()), "~")
    return int(stopped.value.code or 0), "\n".join(line.rstrip() for line in output.rstrip().splitlines())


def _words(output: str) -> str:
    """What is neither a number nor a bar, in an order that does not depend on the numbers."""
    return " ".join(sorted(word for word in re.findall(r"[^\s█-▏]+", output) if not re.search(r"\d", word)))


def test_blocks_that_are_not_run_are_counted() -> None:
    found = {
        name: dict(Counter(block.note.removeprefix("not run: ") for block in blocks(ROOT / name) if not block.is_run))
        for name in PAGE_NAMES
    }
    assert {name: reasons for name, reasons in found.items() if reasons} == NOT_RUN


# ---- what the pages name


def links(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


@pytest.mark.parametrize("name", [*PAGE_NAMES, "CHANGELOG.md"])
def test_relative_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for link in links(page):
        if link.startswith(("http://", "https://")):
            continue
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{name} links to {link}"
        titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE) if heading else []
        anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
        assert not heading or heading in anchors, f"{name} links to {link}; headings there: {anchors}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        targets = (page.parent / link.partition("#")[0] for link in links(page) if not link.startswith("http"))
        waiting += [target.resolve() for target in targets if target.suffix == ".md"]
    assert reached >= {*PAGES, ROOT / "CHANGELOG.md"}


@pytest.mark.parametrize("name", PAGE_NAMES)
def test_verbs_and_options_exist(name: str) -> None:
    verbs = {verb: options_of(command) for verb, command in typer.main.get_group(app).commands.items()}
    every = {"--help", "--version"}.union(*verbs.values())
    page = ROOT / name
    in_blocks = [line for block in blocks(page) for line in re.findall(r"^\$ (diptych .*)", block.text, re.MULTILINE)]
    for code in (*code_spans(page), *in_blocks):
        verb = re.match(r"diptych ([a-z]+)\b", code)
        options = set(re.findall(r"(?<!\S)(--[a-z-]+)", code))
        if verb:
            assert verb[1] in verbs, f"{name}: {code}"
            assert options <= verbs[verb[1]] | {"--help"}, f"{name}: {code}"
        elif code.startswith("--"):
            assert options <= every, f"{name}: {code}"


def options_of(command: Any) -> set[str]:  # noqa: ANN401 (click's own or the copy that typer carries)
    """Those of a verb, and of the verbs below it."""
    own = {option for parameter in command.params for option in parameter.opts}
    return own.union(*map(options_of, getattr(command, "commands", {}).values()))


@pytest.mark.parametrize("name", PAGE_NAMES)
def test_names_and_files_exist(name: str) -> None:
    for code in code_spans(ROOT / name):
        if dotted := re.match(r"diptych((?:\.\w+)+)", code):
            _resolve("diptych" + dotted[1])
        elif re.fullmatch(r"(src|tests|scripts|bench|docs|\.ci)/[\w./-]*", code):
            assert (ROOT / code).exists(), f"{name}: {code}"
        elif re.fullmatch(r"(\w+/)*\w+\.py", code):
            assert (PACKAGE / code).exists(), f"{name}: {code}"
        for owner, attribute in re.findall(r"\b(encoder|classifier)\.(?!py\b)([a-z]\w*)", code):
            assert hasattr(OWNERS[owner], attribute), f"{name}: {code}"


def test_the_architecture_page_names_every_file() -> None:
    named = " ".join(code_spans(ROOT / "docs" / "architecture.md"))
    files = (path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("[a-z]*.py"))
    assert [name for name in files if name not in named] == []


def _resolve(name: str) -> object:
    """The module or the attribute of a module that a dotted name means."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        parent, _, attribute = name.rpartition(".")
        return getattr(_resolve(parent), attribute)


def test_make_targets_and_extras_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert set(re.findall(r"(?:`|^\$ )make ([a-z]+)", text, re.MULTILINE)) <= targets, page.name
        extras = re.findall(r"(?:diptych|[\"' ]\.)\[([\w,]+)\]", text)
        assert {name for some in extras for name in some.split(",")} <= project["optional-dependencies"].keys(), (
            page.name
        )
