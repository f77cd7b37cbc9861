"""What `diptych data filter` keeps, drops and writes: by hand on pairs in memory, then through the command."""

import json
import sys
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diptych.api import DualEncoder
from diptych.cli import main
from diptych.cli.data_inputs import image_size
from diptych.data.config import SourceConfig
from diptych.data.filter import FilterReport, filter_pairs
from diptych.data.open import open_source
from diptych.data.rules import Rules
from diptych.data.sample import DataError, Sample, SampleError, Source, Texts
from diptych.data.selection import Candidates, Similarity
from diptych.data.shards import image_suffix
from diptych.encode.similarity import PairSimilarity
from diptych.errors import DiptychError
from memory_source import MemorySource, captioned, labelled, picture

Run = Callable[..., tuple[int, str, str]]


def web(*captions: str) -> MemorySource:
    """A pair for each caption, keyed 0, 1, ..., all of different images."""
    return MemorySource(
        name="web", samples=[captioned(str(i), picture(seed=i), caption) for i, caption in enumerate(captions)]
    )


def run(
    *sources: Source,
    output: Path | None = None,
    similarity: Similarity | None = None,
    **rules: Any,  # noqa: ANN401
) -> FilterReport:
    candidates = Candidates(
        sources=sources, rules=Rules(**rules), measure_image=image_size, similarity=similarity, workers=2
    )
    return filter_pairs(candidates, output)


def written(folder: Path) -> list[tuple[bytes, str | None, dict[str, Any]]]:
    """(image, txt, json) of every pair of every shard, in order, read as any reader of tars would."""
    pairs: dict[str, dict[str, bytes]] = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, suffix = member.name.partition(".")
                content = tar.extractfile(member)
                assert content is not None
                pairs.setdefault(key, {})[suffix] = content.read()
    found = []
    for key, files in pairs.items():
        about = json.loads(files.pop("json"))
        assert about["key"] == key
        txt = files.pop("txt", None)
        (image,) = files.values()
        found.append((image, None if txt is None else txt.decode(), about))
    return found


def dropped(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "dropped.jsonl").read_text().splitlines()]


def kept_captions(folder: Path) -> list[list[str]]:
    return [about["captions"] for _, _, about in written(folder)]


@pytest.mark.parametrize(
    ("rules", "captions", "kept", "reason"),
    [
        ({"min_words": 2}, ["dog", "a dog"], ["a dog"], "too few words"),
        ({"max_words": 2}, ["a brown dog", "a dog"], ["a dog"], "too many words"),
        ({"require_pattern": r"[a-z]{3}"}, ["DSC 0815", "a dog"], ["a dog"], "pattern missing"),
        ({"drop_pattern": r"(?i)\bjpe?g\b"}, ["img.JPG", "a dog"], ["a dog"], "pattern found"),
        (
            {"max_images_per_caption": 2},
            ["for sale", "for sale", "for sale", "a dog", "a dog"],
            ["a dog", "a dog"],
            "caption of too many images",
        ),
        ({}, ["", "a dog", " \n"], ["a dog"], "unusable"),
    ],
    ids=lambda value: next(iter(value), "empty") if isinstance(value, dict) else "",
)
def test_captions_are_dropped_by_rule(
    tmp_path: Path, rules: dict[str, Any], captions: list[str], kept: list[str], reason: str
) -> None:
    report = run(web(*captions), output=tmp_path / "out", **rules)
    assert kept_captions(tmp_path / "out") == [[caption] for caption in kept]
    assert report.dropped == {reason: len(captions) - len(kept)}


def test_a_pair_stays_while_it_has_a_caption_left(tmp_path: Path) -> None:
    samples = [
        captioned("some", picture(seed=1), "dog", "a brown dog", "a dog in the snow", "x"),
        captioned("none", picture(seed=2), "dog", "cat"),
        labelled("class", picture(seed=3), "dog", "hound"),
    ]
    report = run(MemorySource(name="pets", samples=samples), output=tmp_path / "out", min_words=2)
    (_, txt, some), (_, no_txt, labels) = written(tmp_path / "out")
    assert (some["captions"], txt) == (["a brown dog", "a dog in the snow"], "a brown dog")
    assert (labels["captions"], labels["class_names"], no_txt) == ([], ["dog", "hound"], None)
    assert report.dropped == {"too few words": 1}
    assert report.captions_dropped == {"too few words": 2}
    line = {"source": "pets", "reason": "too few words"}
    assert dropped(tmp_path / "out") == [
        {**line, "key": "some", "dropped": "caption", "detail": "dog"},
        {**line, "key": "some", "dropped": "caption", "detail": "x"},
        {**line, "key": "none", "dropped": "pair", "detail": "dog | cat"},
    ]


def test_a_caption_counts_once_for_an_image_that_has_it_twice() -> None:
    samples = [captioned("1", picture(seed=1), "a dog", "a dog"), captioned("2", picture(seed=2), "a cat")]
    assert run(MemorySource(name="pets", samples=samples), max_images_per_caption=1).kept == 2


def test_images_are_dropped_by_size_and_shape(tmp_path: Path) -> None:
    sizes = {"small": (100, 31), "just": (64, 32), "long": (97, 32), "tall": (32, 97), "fine": (96, 32)}
    samples = [captioned(key, picture(*size), "a dog") for key, size in sizes.items()]
    report = run(MemorySource(name="web", samples=samples), output=tmp_path / "out", min_side=32, max_aspect=3)
    assert [about["original_key"] for _, _, about in written(tmp_path / "out")] == ["just", "fine"]
    assert report.dropped == {"too elongated": 2, "too small": 1}
    assert dropped(tmp_path / "out")[0]["detail"] == "100 x 31 pixels"


def test_the_first_of_equal_images_stays_unless_a_rule_drops_it(tmp_path: Path) -> None:
    image = picture(seed=1)
    samples = [
        captioned("short", image, "dog"),
        captioned("first", image, "a dog"),
        captioned("second", image, "a cat"),
    ]
    source = MemorySource(name="web", samples=samples)
    run(source, output=tmp_path / "out", min_words=2)
    assert kept_captions(tmp_path / "out") == [["a dog"]]
    assert [(line["key"], line["reason"], line["detail"]) for line in dropped(tmp_path / "out")] == [
        ("short", "too few words", "dog"),
        ("second", "image twice", "web/first"),
    ]
    assert run(source, keep_duplicates=True).kept == 3


def test_equal_images_are_found_across_sources() -> None:
    report = run(web("a dog"), web("a dog", "a cat"))
    assert [(source.samples, source.kept) for source in report.sources] == [(1, 1), (2, 1)]


def test_images_of_a_validation_set_are_dropped(tmp_path: Path) -> None:
    val = MemorySource(name="val", samples=[captioned("v", picture(seed=1), "anything"), captioned("w", b"", "")])
    candidates = Candidates(sources=[web("a dog", "a cat")], rules=Rules(), measure_image=image_size, validation=[val])
    report = filter_pairs(candidates, tmp_path / "out")
    assert report.dropped == {"in a validation set": 1}
    assert dropped(tmp_path / "out")[0]["detail"] == "val/v"


def by_caption(samples: Sequence[Sample]) -> list[float]:
    """The best caption as a number."""
    return [max(map(float, sample.texts.captions)) for sample in samples]


def test_pairs_below_a_similarity_are_dropped(tmp_path: Path) -> None:
    report = run(web("0.1", "0.2", "0.3", "-0.1"), output=tmp_path / "out", min_similarity=0.2, similarity=by_caption)
    assert kept_captions(tmp_path / "out") == [["0.2"], ["0.3"]]
    assert [about["similarity"] for _, _, about in written(tmp_path / "out")] == [0.2, 0.3]
    assert [line["detail"] for line in dropped(tmp_path / "out")] == ["0.1000", "-0.1000"]
    assert report.similarity == {1: -0.1, 10: -0.1, 25: 0.1, 50: 0.2, 75: 0.2, 90: 0.3, 99: 0.3}


def test_a_share_of_what_other_rules_leave_is_kept_the_most_similar_first(tmp_path: Path) -> None:
    captions = [f"0.{i:02}" for i in (5, 3, 9, 1, 7, 2, 8, 4, 6, 10)]
    report = run(
        web(*captions, "0.99 x", "0.98 x"), output=tmp_path / "out", max_words=1, keep_share=0.3, similarity=by_caption
    )
    assert kept_captions(tmp_path / "out") == [["0.09"], ["0.08"], ["0.10"]]
    assert report.dropped == {"too little similarity": 7, "too many words": 2}


def test_of_equal_images_the_most_similar_stays(tmp_path: Path) -> None:
    samples = [captioned(key, picture(seed=1), key) for key in ("-0.3", "-0.1", "-0.2")]
    source = MemorySource(name="web", samples=samples)
    run(source, output=tmp_path / "out", min_similarity=-1, similarity=by_caption)
    assert kept_captions(tmp_path / "out") == [["-0.1"]]


def test_what_the_model_cannot_encode_is_dropped_by_name() -> None:
    report = run(web("0.1", "nan"), min_similarity=0, similarity=by_caption)
    assert report.dropped == {"unusable": 1}


def test_images_keep_their_bytes_and_say_what_they_are(tmp_path: Path) -> None:
    formats = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tif"}
    images = [picture(seed=i, format=format) for i, format in enumerate(formats)]
    samples = [captioned(str(i), image, "a dog") for i, image in enumerate(images)]
    run(MemorySource(name="web", samples=samples), output=tmp_path / "out")
    assert [image for image, _, _ in written(tmp_path / "out")] == images
    with tarfile.open(tmp_path / "out" / "00000.tar") as tar:
        names = tar.getnames()
    assert names[::3] == [f"00000{i:04}.{suffix}" for i, suffix in enumerate(formats.values())]
    assert image_suffix(b"P6 12 12 255 ...") == "jpg"


def test_shards_are_of_the_size_asked_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    candidates = Candidates(
        sources=[web(*(f"picture number {i}" for i in range(7)))], rules=Rules(), measure_image=image_size, workers=3
    )
    for name in ("one", "two"):
        assert filter_pairs(candidates, tmp_path / name, shard_size=3).shards == 3
    one, two = (sorted((tmp_path / name).glob("*.tar")) for name in ("one", "two"))
    assert [path.name for path in one] == ["00000.tar", "00001.tar", "00002.tar"]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert [about["key"] for _, _, about in written(tmp_path / "one")] == [
        *("000000000", "000000001", "000000002"),
        *("000010000", "000010001", "000010002", "000020000"),
    ]


def test_the_report_says_what_was_asked_and_what_was_found(tmp_path: Path) -> None:
    candidates = Candidates(
        sources=[web("dog", "a dog")], rules=Rules(min_words=2), measure_image=image_size, workers=1
    )
    filter_pairs(candidates, tmp_path / "out", about={"inputs": ["web.tar"]})
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["inputs"] == ["web.tar"]
    assert report["rules"]["min_words"] == 2
    assert report["sources"] == [{"name": "web", "samples": 2, "kept": 1}]
    assert report["dropped"] == {"too few words": 1}


def test_every_sample_is_kept_or_named(tmp_path: Path) -> None:
    samples = [
        captioned("good", picture(seed=1), "a dog in the snow"),
        captioned("twin", picture(seed=1), "a dog in the snow"),
        captioned("broken", b"\xff\xd8\xff", "a dog in the snow"),
        captioned("gone", picture(seed=2), "a dog in the snow"),
        captioned("tiny", picture(5, 5), "a dog in the snow"),
        captioned("word", picture(seed=3), "dog"),
    ]
    source = MemorySource(name="web", samples=samples, gone=frozenset({"gone"}))
    report = run(source, output=tmp_path / "out", min_words=2, min_side=8, max_images_per_caption=10)
    assert {line["key"] for line in dropped(tmp_path / "out")} == {"twin", "broken", "gone", "tiny", "word"}
    assert report.kept + sum(report.dropped.values()) == report.samples == 6


# ---- what stops it


def test_nothing_is_written_when_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"leave no pair: 2 too few words\. Loosen them\."):
        run(web("dog", "cat"), output=tmp_path / "out", min_words=2)
    assert list(tmp_path.iterdir()) == []


def test_a_pair_that_vanishes_between_looking_and_writing_is_an_error(tmp_path: Path) -> None:
    class Fading(MemorySource):
        def read(self, index: int) -> Sample:
            if seen.count(index):
                raise SampleError(f"{self.key(index)}: not there any more")
            seen.append(index)
            return super().read(index)

    seen: list[int] = []
    with pytest.raises(SampleError, match="0: not there any more"):
        run(Fading(name="web", samples=web("a dog").samples), output=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_others_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear all")
    with pytest.raises(DiptychError, match="was not written by Diptych"):
        run(web("a dog"), output=tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "dear all"


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"min_words": -1}, "min_words must be 0 or more, got -1"),
        ({"max_words": 0}, "max_words must be 1 or more, got 0"),
        ({"min_words": 3, "max_words": 2}, r"min_words \(3\) is more than max_words \(2\)"),
        ({"max_aspect": 0.5}, "the longest side over the shortest, 1 or more, got 0.5"),
        ({"max_aspect": float("nan")}, "1 or more, got nan"),
        ({"min_similarity": 2}, "a cosine, from -1 to 1, got 2"),
        ({"keep_share": 0}, "keep_share must be above 0 and at most 1, got 0"),
        ({"keep_share": 0.5, "min_similarity": 0.2}, "one of min_similarity and keep_share, got both"),
        ({"drop_pattern": "(("}, r"drop_pattern '\(\(' is not a regular expression: missing \)"),
        ({"keep_share": 0.5}, "need a model"),
    ],
    ids=str,
)
def test_rules_that_make_no_sense_are_refused(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(web("a dog"), **rules)


def test_shards_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shard_size must be 1 or more, got 0"):
        filter_pairs(
            Candidates(sources=[web("a dog")], rules=Rules(), measure_image=image_size), tmp_path, shard_size=0
        )


# ---- similarity under a model


def test_similarity_is_that_of_the_nearest_caption_or_class(encoder: DualEncoder) -> None:
    samples = [
        captioned("two", picture(seed=1), "a dog", "a red bus in the street"),
        labelled("class", picture(seed=2), "cat", "kitten"),
        captioned("broken", b"no image", "a dog"),
    ]
    got = PairSimilarity(encoder.encoder, "a photo of a {}.", cache=False)(samples)
    two, one = encoder.encode_images([picture(seed=1), picture(seed=2)])
    texts = encoder.encode_texts(["a dog", "a red bus in the street", "a photo of a cat.", "a photo of a kitten."])
    # The same numbers in batches of another size, where float32 sums in another order.
    np.testing.assert_allclose(got[:2], [max(texts[:2] @ two), max(texts[2:] @ one)], atol=1e-5)
    assert np.isnan(got[2])


def test_similarity_is_computed_once_and_kept(
    encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DIPTYCH_CACHE", str(tmp_path))
    samples = web("a dog", "a cat " * 60).samples
    first = PairSimilarity(encoder.encoder, "{}")(samples)
    (path,) = (tmp_path / "similarities").glob("*.bin")
    with path.open("ab") as file:
        file.write(b"torn")  # as a killed process leaves it
    size = path.stat().st_size
    np.testing.assert_array_equal(PairSimilarity(encoder.encoder, "{}")(samples), np.array(first))
    assert path.stat().st_size == size - len(b"torn")
    PairSimilarity(encoder.encoder, "{}")([*samples, captioned("new", picture(seed=9), "a tree")])
    assert path.stat().st_size == (size - len(b"torn")) // 2 * 3


# ---- the command


@pytest.fixture
def diptych(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs `diptych data filter` in a folder that holds web.csv and its images: exit status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    captions = ["a dog", "a cat in the snow", "dog", "a red bus", "a boat on a lake"]
    for i in range(len(captions)):
        Path(f"{i}.png").write_bytes(picture(seed=i))
    lines = [f"{i}.png,{caption}" for i, caption in enumerate(captions)]
    Path("web.csv").write_text("\n".join(["filename,caption", *lines, "5.png,not there"]) + "\n")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["diptych", "data", "filter", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        return int(stopped.value.code or 0), *capsys.readouterr()

    return run


def test_what_is_left_reads_back_as_it_was(diptych: Run) -> None:
    status, out, err = diptych("web.csv", "-o", "kept", "--min-words", "2", "--shard-size", "3")
    assert (status, err) == (0, "")
    assert out.endswith("4 pairs are in kept (shards: 2).\n")
    words = [line.split() for line in out.splitlines()]
    assert ["web", "6", "4", "66.7%"] in words
    assert ["too", "few", "words", "1", "16.7%"] in words
    assert ["unusable", "1", "16.7%"] in words
    source = open_source(SourceConfig(path="kept"))
    samples = [source.read(index) for index in range(len(source))]
    assert [sample.image for sample in samples] == [picture(seed=i) for i in (0, 1, 3, 4)]
    captions = ["a dog", "a cat in the snow", "a red bus", "a boat on a lake"]
    assert [sample.texts for sample in samples] == [Texts(captions=(caption,)) for caption in captions]


def test_captions_and_classes_of_a_pair_read_back_as_they_were(tmp_path: Path) -> None:
    samples = [
        captioned("two", picture(seed=1), "a dog", "ein Hund, süß"),
        labelled("class", picture(seed=2), "cat", "kitten"),
        Sample(key="both", image=picture(seed=3), texts=Texts(captions=("a bus",), class_names=("bus",))),
    ]
    run(MemorySource(name="pets", samples=samples), output=tmp_path / "out")
    source = open_source(SourceConfig(path=str(tmp_path / "out")))
    assert [source.texts(index) for index in range(len(source))] == [sample.texts for sample in samples]


def test_without_an_output_it_only_reports(diptych: Run, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    status, out, _ = diptych("web.csv", "--max-words", "2")
    assert (status, sorted(tmp_path.iterdir())) == (0, before)
    assert out.endswith("Nothing is written without -o.\n")


def test_a_model_keeps_the_share_that_is_most_similar(diptych: Run, model_folder: Path, encoder: DualEncoder) -> None:
    model = ("--model", str(model_folder), "--dtype", "float32", "--device", "cpu")
    status, out, err = diptych("web.csv", "--keep-share", "0.4", *model, "-o", "kept", "--json")
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert (report["model"], report["fingerprint"]) == (str(model_folder), encoder.fingerprint)
    assert report["dropped"] == {"unusable": 1, "too little similarity": 3}
    captions = ["a dog", "a cat in the snow", "dog", "a red bus", "a boat on a lake"]
    images = encoder.encode_images([picture(seed=i) for i in range(5)])
    cosines = (images * encoder.encode_texts(captions)).sum(axis=1)
    best = sorted(np.argsort(cosines)[-2:].tolist())
    assert kept_captions(Path("kept")) == [[captions[i]] for i in best]
    # The encoder sums in batches of another size, in another order; the file has four digits.
    got = [about["similarity"] for _, _, about in written(Path("kept"))]
    np.testing.assert_allclose(got, cosines[best], atol=1e-4)


def test_a_config_brings_its_validation_sets(diptych: Run) -> None:
    Path("val.csv").write_text("filename,caption\n1.png,a cat\n")
    Path("run.toml").write_text(
        'run = "r"\nmodel.preset = "ViT-B-32"\ndata.sources = [{ path = "web.csv" }]\n'
        '[[evaluate]]\ntask = "retrieval"\nsource = { path = "val.csv" }\n'
    )
    report = json.loads(diptych("run.toml", "--json")[1])
    assert report["dropped"] == {"in a validation set": 1, "unusable": 1}


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--min-words", "9"], 1, "The rules leave no pair: 5 too few words, 1 unusable. Loosen them."),
        (["--model", "ViT-B/32"], 2, "--model judges how similar image and caption are: say --min-similarity or"),
        (["--keep-share", "2"], 2, "keep_share must be above 0 and at most 1, got 2.0"),
        (["--keep-share", "0.3", "--model", "./nowhere"], 1, "There is no file or folder './nowhere'"),
        (["--drop-pattern", "*"], 2, "drop_pattern '*' is not a regular expression: nothing to repeat at position 0"),
        (["-o", "web.csv"], 1, ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_told_in_one_line(diptych: Run, arguments: list[str], status: int, message: str) -> None:
    table = Path("web.csv").read_bytes()
    got, out, err = diptych("web.csv", *arguments)
    assert (got, out, err.count("\n")) == (status, "", 1)
    assert err.startswith(f"diptych: {message}")
    assert Path("web.csv").read_bytes() == table
