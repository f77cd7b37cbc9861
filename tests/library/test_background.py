"""What photos have with any text: kept beside the matrix, made again when stale or damaged."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diptych.calibration import MATCH_THRESHOLD
from diptych.checkpoints import load_checkpoint
from diptych.encode.encoder import Features
from diptych.encode.numpy_encoder import NumpyEncoder
from diptych.library.background import Background, background_texts, has_relevance, open_background
from diptych.library.matrix import Matrix
from diptych.library.photos import Model
from diptych.library.query import parse_query

FOLDER = "background-1"


@pytest.fixture(scope="module")
def encoder() -> NumpyEncoder:
    return NumpyEncoder(load_checkpoint(None))


def model_of(encoder: NumpyEncoder) -> Model:
    fingerprint, width = encoder.fingerprint, encoder.embed_dim
    return Model(id=1, fingerprint=fingerprint, name="postcard", width=width, dtype="float16")


@pytest.fixture
def model(encoder: NumpyEncoder) -> Model:
    return model_of(encoder)


def rows(count: int, seed: int = 0) -> Features:
    drawn = np.random.default_rng(seed).normal(size=(count, 256)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def matrix(vectors: Features, fresh: int = 0, first_id: int = 1) -> Matrix:
    ids = np.arange(first_id, first_id + len(vectors))
    split = len(vectors) - fresh
    return Matrix(numbers=np.stack([ids, ids * 10]), parts=(vectors[:split], vectors[split:]))


KEPT = rows(40)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, encoder: NumpyEncoder) -> Path:
    folder = tmp_path_factory.mktemp("written")
    open_background(folder, model_of(encoder), matrix(KEPT), encoder)
    return folder


@pytest.fixture
def kept(written: Path, tmp_path: Path) -> Path:
    """A library's folder with the background of KEPT."""
    return shutil.copytree(written, tmp_path / "library")


def by_definition(vectors: Features, texts: Features) -> tuple[Features, Features]:
    cosines = vectors @ texts.T
    statistics = np.stack([cosines.mean(axis=1), cosines.std(axis=1)])
    return statistics, ((cosines - statistics[0][:, None]) / statistics[1][:, None]).max(axis=0)


def assert_is_of(found: Background | None, vectors: Features) -> None:
    assert found is not None
    statistics, best = by_definition(vectors, found.texts)
    assert found.statistics == pytest.approx(statistics, abs=1e-5)
    assert found.best == pytest.approx(np.maximum(best, 0), abs=1e-3)
    assert found.level == pytest.approx(np.median(np.maximum(best, 0)), abs=1e-3)


def test_statistics_are_those_of_every_row_mapped_or_fresh(tmp_path: Path, model: Model, encoder: NumpyEncoder) -> None:
    vectors = rows(5_000)
    found = open_background(tmp_path, model, matrix(vectors, fresh=700), encoder)
    assert_is_of(found, vectors)
    assert found is not None
    assert found.texts == pytest.approx(encoder.encode_texts(background_texts()), abs=1e-6)


def test_what_is_on_disk_serves_without_an_encoder_and_rows_that_came_are_added(kept: Path, model: Model) -> None:
    written = (kept / FOLDER / "statistics.npy").stat().st_mtime_ns
    assert_is_of(open_background(kept, model, matrix(KEPT)), KEPT)
    more = rows(60)
    assert_is_of(open_background(kept, model, matrix(more, fresh=20)), more)
    assert (kept / FOLDER / "statistics.npy").stat().st_mtime_ns == written


def test_without_texts_on_disk_an_encoder_is_needed(tmp_path: Path, model: Model) -> None:
    assert open_background(tmp_path, model, matrix(KEPT)) is None


def test_many_rows_that_came_are_kept(kept: Path, model: Model) -> None:
    many = rows(2_100)
    open_background(kept, model, matrix(many))
    assert np.load(kept / FOLDER / "statistics.npy").shape == (2, 2_100)
    assert_is_of(open_background(kept, model, matrix(many)), many)


def test_rows_that_went_make_it_stale(kept: Path, model: Model) -> None:
    assert_is_of(open_background(kept, model, matrix(KEPT[1:], first_id=2)), KEPT[1:])
    assert_is_of(open_background(kept, model, matrix(KEPT[:10])), KEPT[:10])
    empty = open_background(kept, model, matrix(KEPT[:0]))
    assert empty is not None
    assert (len(empty), empty.level) == (0, 0.0)


@pytest.mark.parametrize("name", ["statistics.npy", "best.npy", "last-id"])
@pytest.mark.parametrize("damage", [b"", b"{}", None])
def test_damaged_statistics_are_measured_again(kept: Path, model: Model, name: str, damage: bytes | None) -> None:
    path = kept / FOLDER / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    assert_is_of(open_background(kept, model, matrix(KEPT)), KEPT)


def test_statistics_that_are_no_numbers_are_measured_again(kept: Path, model: Model) -> None:
    path = kept / FOLDER / "statistics.npy"
    np.save(path, np.full_like(np.load(path), np.nan))
    assert_is_of(open_background(kept, model, matrix(KEPT)), KEPT)


@pytest.mark.parametrize(("name", "damage"), [("texts", b"[]"), ("texts.npy", b"")])
def test_texts_that_are_damaged_are_encoded_again_and_kept(
    kept: Path, model: Model, encoder: NumpyEncoder, name: str, damage: bytes
) -> None:
    (kept / FOLDER / name).write_bytes(damage)
    assert open_background(kept, model, matrix(KEPT)) is None
    assert_is_of(open_background(kept, model, matrix(KEPT), encoder), KEPT)
    assert_is_of(open_background(kept, model, matrix(KEPT)), KEPT)


def test_texts_of_another_model_are_not_used(kept: Path, model: Model) -> None:
    assert open_background(kept, replace(model, fingerprint="other"), matrix(KEPT)) is None


def test_a_folder_that_cannot_be_written_does_not_matter(tmp_path: Path, model: Model, encoder: NumpyEncoder) -> None:
    (tmp_path / FOLDER).write_text("in the way", encoding="ascii")
    assert_is_of(open_background(tmp_path, model, matrix(KEPT), encoder), KEPT)


def test_what_goes_with_a_query_matches_and_the_rest_does_not(kept: Path, model: Model, encoder: NumpyEncoder) -> None:
    # Texts stand for photos: a library of two.
    library = encoder.encode_texts(["dogs playing in the snow", "a plate of fruit"])
    query = encoder.encode_texts(["two dogs in the snow"])[0]
    found = open_background(kept, model, matrix(library, first_id=100))
    assert found is not None
    dogs, fruit = found.relevance(np.array([0, 1]), library @ query)
    assert dogs > MATCH_THRESHOLD > fruit


@pytest.mark.parametrize(
    ("query", "expected"),
    [("a dog", True), ("dog + 2:snow", True), ("dog - snow", False), ("photo:3", False), ("dog + img:a.jpg", False)],
)
def test_relevance_is_for_words_that_are_wanted(query: str, expected: bool) -> None:
    assert has_relevance(parse_query(query)) is expected
