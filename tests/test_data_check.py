"""What `diptych data check` finds in sources: counted by hand on pairs in memory, then through the command."""

import io
import json
import resource
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diptych.cli import main
from diptych.cli.data_inputs import image_size
from diptych.data.check import CheckReport, Measures, Overlap, Spread, check_sources
from diptych.data.contact_sheet import contact_sheet
from diptych.data.sample import Source
from diptych.data.scan import in_threads
from diptych.images import open_image
from memory_source import MemorySource, captioned, labelled, picture

Run = Callable[..., tuple[int, str, str]]


def count_tokens(texts: Sequence[str]) -> Iterable[int]:
    """Words, a start and an end."""
    return [len(text.split()) + 2 for text in texts]


MEASURES = Measures(measure_image=image_size, count_tokens=count_tokens, context_length=6, workers=2)
PETS = MemorySource(
    name="pets",
    samples=[
        captioned("a", picture(40, 30, 1), "a dog", "a brown dog in the snow"),
        captioned("b", picture(50, 60, 2), "a cat", ""),
        captioned("c", picture(40, 30, 1), "a dog", "a dog"),
    ],
)


def check(training: list[Source], validation: Sequence[Source] = (), **measures: object) -> CheckReport:
    return check_sources(training, validation, replace(MEASURES, **measures))  # type: ignore[arg-type]


def test_sides_are_those_of_the_upright_picture() -> None:
    (report,) = check([PETS]).sources
    assert (report.name, report.role, report.samples) == ("pets", "training", 3)
    assert report.images.shortest_side == Spread(least=30, median=30, most=50)
    assert report.images.longest_side == Spread(least=40, median=40, most=60)


def test_captions_are_counted_in_words_and_tokens() -> None:
    (report,) = check([PETS]).sources
    captions = report.captions
    assert (captions.count, captions.empty) == (5, 1)
    assert captions.words == Spread(least=2, median=2, most=6)
    assert captions.tokens == Spread(least=4, median=4, most=8)
    assert captions.cut == 1
    assert captions.shared == 2  # "a dog" belongs to a and c; that c has it twice is no sharing


def test_classes_go_by_their_first_name() -> None:
    names = [("dog", "hound"), ("cat",), ("dog", "puppy")]
    samples = [labelled(str(i), picture(seed=i), *each) for i, each in enumerate(names)]
    (report,) = check([MemorySource(name="classes", samples=samples)]).sources
    assert report.classes.count == 2
    assert report.classes.samples == Spread(least=1, median=1.5, most=2)
    assert report.captions.words is None


def test_images_that_repeat_are_named_with_the_first() -> None:
    (report,) = check([PETS]).sources
    assert report.images.repeated == (("c", "a"),)


def test_what_cannot_be_used_is_named_and_told_apart() -> None:
    whole = picture(200, 200, format="JPEG")
    samples = [
        captioned("whole", whole, "fine"),
        captioned("half", whole[: len(whole) // 2], "cut off in the middle"),
        captioned("text", b"<html>404</html>", "an answer, not an image"),
        captioned("silent", picture(seed=3), "", "  "),
        captioned("gone", picture(seed=4), "it was here yesterday"),
    ]
    report = check([MemorySource(name="web", samples=samples, gone=frozenset({"gone"}))])
    reasons = {each.key: each.reason for each in report.sources[0].unusable}
    assert reasons.keys() == {"half", "text", "silent", "gone"}
    assert reasons["half"].startswith("web/half: ")
    assert "truncated" in reasons["half"]
    assert reasons["text"] == "web/text: not an image: it begins with b'<html>404</html>'"
    assert reasons["silent"] == "web/silent has neither a caption nor a class."
    assert reasons["gone"] == "gone: not there any more"
    assert report.sources[0].captions.empty == 1


def test_few_unusable_samples_are_no_problem_and_many_are() -> None:
    samples = [captioned("good", picture(), "a dog"), captioned("bad", b"", "a cat")]
    sources: list[Source] = [MemorySource(name="half-bad", samples=samples)]
    assert check(sources, bad_sample_limit=0.5).problems == ()
    (problem,) = check(sources, bad_sample_limit=0.49).problems
    assert problem.startswith("50.0% of what training draws cannot be used, more than the 49.0% that a run allows")


def test_the_share_that_cannot_be_used_follows_the_weights() -> None:
    good = MemorySource(name="good", samples=[captioned("1", picture(), "a dog")])
    bad = MemorySource(name="bad", samples=[captioned("2", b"", "a cat")] * 3)
    assert check_sources([good, bad], [], MEASURES, weights=[1, 0]).problems == ()
    (problem,) = check_sources([good, bad], [], MEASURES, weights=[3, 1]).problems
    assert problem.startswith("25.0% of what training draws")
    assert "(most of it in bad)" in problem


def test_validation_sets_are_held_to_the_limit_one_by_one() -> None:
    bad = MemorySource(name="val", samples=[captioned("1", picture(seed=7), "a dog"), captioned("2", b"", "a cat")])
    (problem,) = check([PETS], [bad]).problems
    assert problem.startswith("val, a validation set: 1 of 2 samples cannot be used, more than the 1.0%")


def test_a_source_without_samples_is_a_problem() -> None:
    assert check([MemorySource(name="nothing", samples=[])]).problems == ("nothing holds no samples.",)


def test_training_images_in_a_validation_set_are_a_leak() -> None:
    samples = [captioned("x", picture(50, 60, 2), "the same cat"), captioned("y", picture(seed=9), "a tree")]
    report = check([PETS], [MemorySource(name="val", samples=samples)])
    assert report.overlaps == (Overlap(first="pets", second="val", is_leak=True, keys=(("b", "x"),)),)
    (problem,) = report.problems
    assert problem.startswith("pets holds images of val, a validation set: 1 (the first: b); leave them out")


def test_images_that_training_sources_share_are_told_but_no_problem() -> None:
    more = MemorySource(name="more", samples=[captioned("x", picture(40, 30, 1), "a dog again")])
    report = check([PETS, more])
    assert report.overlaps == (Overlap(first="pets", second="more", is_leak=False, keys=(("a", "x"),)),)
    assert report.problems == ()


def test_validation_sets_may_overlap() -> None:
    val = MemorySource(name="val", samples=[captioned("x", picture(seed=5), "a tree")])
    assert check([PETS], [val, val]).overlaps == ()


# ---- the contact sheet


def sheet(*sources: Source, **options: int) -> np.ndarray:
    return np.asarray(contact_sheet(sources, open_image, **options))


def test_a_contact_sheet_is_the_same_for_the_same_seed_only() -> None:
    many = MemorySource(name="many", samples=[captioned(str(i), picture(seed=i), f"picture {i}") for i in range(20)])
    one, again, other = (sheet(many, pairs=4, columns=2, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_contact_sheet_holds_so_many_pairs_in_rows() -> None:
    (two_rows, width, _), (one_row, *_), (single, *_) = (
        sheet(PETS, pairs=pairs, columns=2).shape for pairs in (3, 2, 1)
    )
    assert two_rows > 1.8 * one_row
    assert one_row == single
    assert sheet(PETS, pairs=1, columns=2).shape[1] < width
    assert sheet(PETS, pairs=100, columns=2).shape == sheet(PETS, pairs=3, columns=2).shape


def test_small_sources_leave_their_places_to_large_ones() -> None:
    red, blue = (
        MemorySource(name=name, samples=[captioned(str(i), plain(name), "") for i in range(count)])
        for name, count in (("red", 2), ("blue", 50))
    )
    pixels = sheet(red, blue, pairs=10, columns=10)
    row = pixels[len(pixels) // 4]
    assert runs_of(row, (255, 0, 0)) == 2
    assert runs_of(row, (0, 0, 255)) == 8


def plain(colour: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (20, 20), colour).save(stream, "PNG")
    return stream.getvalue()


def runs_of(row: np.ndarray, colour: tuple[int, int, int]) -> int:
    is_colour = np.all(row == colour, axis=1)
    return int(np.sum(is_colour[1:] & ~is_colour[:-1]))


@pytest.mark.parametrize("caption", ["", "word " * 500, "x" * 5000, "东京塔" * 100, "a\x00b\nc\td", "\ud800"])
def test_any_caption_fits_a_contact_sheet(caption: str) -> None:
    one = MemorySource(name="one", samples=[captioned("k", picture(), caption)])
    assert sheet(one).shape == sheet(PETS, pairs=1).shape


def test_unreadable_pairs_have_a_place_on_the_contact_sheet() -> None:
    broken = MemorySource(name="broken", samples=[captioned("k", b"no image", "a dog"), captioned("l", b"", "a cat")])
    assert sheet(broken).shape == sheet(PETS, pairs=2).shape


def test_a_contact_sheet_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one pair and one column, got 0 and 8"):
        sheet(PETS, pairs=0)


# ---- the command


@pytest.fixture
def diptych(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs `diptych data check` in an empty folder: exit status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["diptych", "data", "check", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        return int(stopped.value.code or 0), *capsys.readouterr()

    return run


def write_table(name: str, **pairs: tuple[bytes, str]) -> str:
    """A CSV and its images in the working folder."""
    for key, (image, _) in pairs.items():
        Path(f"{key}.png").write_bytes(image)
    lines = [f'{key}.png,"{caption}"' for key, (_, caption) in pairs.items()]
    Path(name).write_text("\n".join(["filename,caption", *lines]) + "\n")
    return name


CONFIG = """
run = "runs/pets"
model.preset = "ViT-B-32"
train.batch_size = 2
data.sources = [{ path = "pets.csv" }]

[[evaluate]]
task = "retrieval"
source = { path = "val.csv" }
"""


def test_a_config_is_checked_with_the_sets_that_it_evaluates_on(diptych: Run) -> None:
    write_table("pets.csv", a=(picture(seed=1), "a dog"), b=(picture(seed=2), "a brown cat"))
    write_table("val.csv", c=(picture(seed=3), "a tree"))
    Path("pets.toml").write_text(CONFIG)
    status, out, err = diptych("pets.toml")
    assert (status, err) == (0, "")
    words = [line.split() for line in out.splitlines()]
    assert ["pets", "training", "2", "0", "0", "30", "40"] in words
    assert ["pets", "2", "0", "0.0%", "2", "2.5", "3", "4", "4.5", "5", "0.0%", "-", "-"] in words
    assert ["val", "validation", "1", "0", "0", "30", "40"] in words
    assert out.endswith("Nothing here would stop a run.\n")


def test_what_would_stop_a_run_is_named_and_the_exit_status_is_1(diptych: Run) -> None:
    write_table("pets.csv", a=(picture(seed=1), "a dog"), b=(b"", "a cat"), c=(picture(seed=2), ""))
    write_table("val.csv", d=(picture(seed=1), "the same dog"))
    Path("pets.toml").write_text(CONFIG)
    status, out, err = diptych("pets.toml")
    assert status == 1
    assert "pets/b.png: empty, 0 bytes" in out
    assert "pets/c.png has neither a caption nor a class." in out
    assert "Nothing here" not in out
    bad, leak = err.splitlines()
    assert bad.startswith("diptych: 66.7% of what training draws cannot be used, more than the 1.0%")
    assert leak.startswith("diptych: pets holds images of val, a validation set: 1 (the first: a.png)")
    assert diptych("pets.toml", "--set", "data.bad_sample_limit=0.7", "--json")[2].splitlines() == [leak]


def test_paths_are_checked_without_a_config(diptych: Run) -> None:
    write_table("pets.csv", a=(picture(seed=1), "a dog"), b=(picture(seed=1), "a cat " * 40))
    write_table("val.csv", d=(picture(seed=4), "a tree"))
    status, out, _ = diptych("pets.csv", "--validation", "val.csv", "--json", "-o", "sheet.png", "--pairs", "2")
    report = json.loads(out)
    assert status == 0
    pets, val = report["sources"]
    assert (pets["name"], pets["role"], val["name"], val["role"]) == ("pets", "training", "val", "validation")
    assert pets["images"]["repeated"] == [["b.png", "a.png"]]
    assert (pets["captions"]["cut"], report["context_length"]) == (1, 77)
    with Image.open("sheet.png") as sheet:
        assert (sheet.format, sheet.size[0]) == ("PNG", 2 * 192 + 12)


def test_captions_are_counted_in_the_context_of_the_model(diptych: Run) -> None:
    write_table("pets.csv", a=(picture(seed=1), "a dog in the snow"), b=(picture(seed=2), "a cat"))
    Path("pets.toml").write_text(SHORT_CONTEXT)
    report = json.loads(diptych("pets.toml", "--json")[1])
    assert (report["context_length"], report["sources"][0]["captions"]["cut"]) == (6, 1)


SHORT_CONTEXT = """
run = "runs/pets"
data.sources = [{ path = "pets.csv" }]

[model.config]
embed_dim = 8
vision = { image_size = [32, 32], patch_size = 16, width = 16, layers = 1, heads = 2 }
text = { context_length = 6, width = 16, layers = 1, heads = 2 }
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["pets.csv", "-o", "sheet.jpg"],
            "sheet.jpg must end in .png.",
        ),
        (["pets.csv", "--set", "seed=1"], "--set changes a key of a config, and none is given: give a .toml file."),
        (["pets.toml", "pets.csv"], "Give one config, or paths of data, got pets.toml pets.csv."),
        (["pets.toml", "--caption-column", "text"], "A config names its own columns: leave out --image-column and"),
        (["no.toml"], "no.toml: cannot be read (no such file or directory)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_told_in_one_line(diptych: Run, arguments: list[str], message: str) -> None:
    write_table("pets.csv", a=(picture(seed=1), "a dog"))
    Path("pets.toml").write_text(CONFIG)
    status, out, err = diptych(*arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"diptych: {message}")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.batch_size=4000", "A batch of 4,000 is larger than the data, 2 samples: lower train.batch_size or add"),
        ("model.image_size=100", "vision.image_size 100 x 100 is no multiple of vision.patch_size 32"),
        ("model.image_size=20000", "vision.image_size must be at most 16,384, got 20000."),
        ('model.locked=["vision.*"]', "model.locked: 'vision.*' matches no parameter; the towers are visual.*"),
        ('model.locked=["*"]', "model.locked locks every parameter: nothing is left to learn"),
        ("data.sources.0.weight=0", "All weights of the mixture are 0: give at least one source a weight above 0."),
        ("data.sources.0.templates=imagenet-0", "data.sources.templates is neither a prompt with {} nor a known name"),
        ("train.average_with_start=0.5", "train.average_with_start needs model.start"),
        ("evaluate.0.task=zero-shot", "val has no class names, which zero-shot needs: is it a set for retrieval?"),
    ],
)
def test_what_training_refuses_of_a_config_is_found(diptych: Run, override: str, message: str) -> None:
    write_table("pets.csv", a=(picture(seed=1), "a dog"), b=(picture(seed=2), "a brown cat"))
    write_table("val.csv", c=(picture(seed=3), "a tree"))
    Path("pets.toml").write_text(CONFIG)
    status, out, err = diptych("pets.toml", "--set", override)
    assert (status, err.count("\n")) == (1, 1)
    assert err.startswith(f"diptych: {message}")
    assert "Nothing here" not in out


def test_the_model_that_a_run_would_start_from_is_no_reason_to_refuse(diptych: Run) -> None:
    write_table("pets.csv", a=(picture(seed=1), "a dog"), b=(picture(seed=2), "a brown cat"))
    write_table("val.csv", c=(picture(seed=3), "a tree"))
    Path("pets.toml").write_text(CONFIG.replace('model.preset = "ViT-B-32"', 'model.start = "postcard"'))
    assert diptych("pets.toml")[::2] == (0, "")
    assert diptych("pets.toml", "--set", "train.chunk_size=1")[2].startswith("diptych: train.chunk_size: gradient")


def test_a_place_that_cannot_be_written_to_is_told_before_the_data_is_read(diptych: Run) -> None:
    write_table("pets.csv", a=(picture(seed=1), "a dog"))
    assert diptych("pets.csv", "-o", "/proc/x.png") == (
        1,
        "",
        "diptych: /proc/x.png cannot be written (No such file or directory); give another path.\n",
    )


def test_the_report_is_printed_before_the_sheet_is_written(diptych: Run) -> None:
    write_table("pets.csv", a=(picture(seed=1), "a dog"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, limits[1]))  # as on a disk that is full
    try:
        status, out, err = diptych("pets.csv", "-o", "sheet.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (status, err) == (1, "diptych: sheet.png: File too large.\n")
    assert out.endswith("Nothing here would stop a run.\n")


def test_data_that_does_not_exist_is_told_in_one_line(diptych: Run) -> None:
    status, _, err = diptych("nowhere.csv")
    assert status == 1
    assert err.startswith("diptych: nowhere.csv does not exist")


# ---- reading several at a time


def test_results_come_in_order_and_not_far_ahead() -> None:
    started: list[int] = []

    def double(number: int) -> int:
        started.append(number)
        return 2 * number

    assert list(islice(in_threads(double, iter(range(10_000)), workers=2), 5)) == [0, 2, 4, 6, 8]
    assert len(started) < 100


def test_an_error_in_a_thread_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda number: 1 // number, [1, 0], workers=2))
