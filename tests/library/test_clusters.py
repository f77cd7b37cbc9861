"""Groups of photos that look alike, and their names."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diptych.checkpoints import load_checkpoint
from diptych.demo.photographs import find_photographs
from diptych.encode.encoder import Features
from diptych.encode.torch_encoder import TorchEncoder
from diptych.library.clusters import Cluster, Member, chosen_photos, default_count, group, name_groups
from diptych.library.filters import Filters
from diptych.library.library import PhotoLibrary
from diptych.library.paths import Source
from diptych.library.vocabulary import Vocabulary


def blobs(*sizes: int, width: int = 16, spread: float = 0.05) -> Features:
    """So many unit vectors near each of the first axes."""
    noise = np.random.default_rng(0).normal(scale=spread, size=(sum(sizes), width))
    rows = np.repeat(np.eye(width)[: len(sizes)], sizes, axis=0) + noise
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_what_lies_together_is_a_group_the_largest_first() -> None:
    features = blobs(10, 30, 20)
    found = group(features, count=3)
    assert found.labels.tolist() == [2] * 10 + [0] * 30 + [1] * 20
    np.testing.assert_allclose(np.linalg.norm(found.centres, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found.cosines, (features * found.centres[found.labels]).sum(axis=1), atol=1e-6)
    assert found.cosines.min() > 0.9


def test_the_same_photos_give_the_same_groups() -> None:
    features = np.random.default_rng(1).normal(size=(200, 8)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    one, other = group(features), group(features.copy())
    assert (one.labels == other.labels).all()
    assert len(one.centres) <= default_count(200)


@pytest.mark.parametrize(("photos", "count"), [(0, 1), (1, 1), (2, 1), (3, 2), (100, 10), (1_600, 40), (10**6, 40)])
def test_how_many_groups_grows_with_the_root_of_the_photos(photos: int, count: int) -> None:
    assert default_count(photos) == count


def test_of_three_photos_the_odd_one_is_in_no_group() -> None:
    found = group(blobs(2, 1))
    assert found.labels.tolist() == [0, 0, -1]
    assert group(blobs(2, 1), min_size=1).labels.tolist() == [0, 0, 1]
    assert group(blobs(1)).labels.tolist() == [-1]
    assert group(blobs(1), min_size=1).labels.tolist() == [0]


def test_identical_photos_are_one_group_whatever_count_is_asked_for() -> None:
    found = group(np.tile(blobs(1), (7, 1)), count=5)
    assert found.labels.tolist() == [0] * 7
    assert found.cosines == pytest.approx(1)
    found = group(np.repeat(blobs(1, 1), 3, axis=0), count=100)
    assert found.labels.tolist() == [0] * 3 + [1] * 3


def test_photos_beyond_the_sample_join_the_nearest_group() -> None:
    found = group(blobs(15_000, 10_000, 5_000), count=3)
    assert found.labels.tolist() == [0] * 15_000 + [1] * 10_000 + [2] * 5_000


def test_groups_that_are_too_small_are_dissolved_even_all_of_them() -> None:
    found = group(blobs(5, 3), count=2, min_size=4)
    assert found.labels.tolist() == [0] * 5 + [-1] * 3
    found = group(blobs(5, 3), count=2, min_size=6)
    assert (found.labels == -1).all()
    assert len(found.centres) == 0


@pytest.mark.parametrize("wrong", [{"count": 0}, {"min_size": 0}])
def test_counts_below_one_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        group(blobs(3), **wrong)


def test_a_word_is_the_name_of_the_group_nearest_to_it_and_of_no_other() -> None:
    words = Vocabulary(texts=("dog", "puppy", "sea"), features=np.eye(3, dtype=np.float32))
    centres = np.array([[0.8, 0.6, 0], [0.96, 0, 0.28], [0, 0.1, 0.9], [0.7, 0.6, 0.1]], np.float32)
    assert [(name, [word.text for word in nearest]) for name, nearest in name_groups(centres, words, words=2)] == [
        ("dog, puppy", ["dog", "puppy"]),
        ("dog", ["dog", "sea"]),
        ("sea", ["sea", "puppy"]),
        ("dog, puppy 2", ["dog", "puppy"]),
    ]


def test_a_group_has_no_name_where_of_many_words_none_stands_out() -> None:
    texts = tuple(f"word {number}" for number in range(200))
    words = Vocabulary(texts=texts, features=np.eye(200, dtype=np.float32))
    clear, vague = np.full(200, 0.01, np.float32), np.linspace(0.9, 1.1, 200, dtype=np.float32)
    clear[7] = 1
    centres = np.stack([vague, clear, vague[::-1]])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    named = name_groups(centres, words)
    assert [name for name, _ in named] == ["unnamed", "word 7", "unnamed 2"]
    assert named[0][1][0].text == "word 199"  # what is nearest is said all the same
    few = Vocabulary(texts=texts[:99], features=words.features[:99])  # the user's own words, say
    assert [name for name, _ in name_groups(centres[:1], few)] == ["word 98"]


def test_examples_come_from_the_nearer_half_and_are_not_the_central_one() -> None:
    members = tuple(
        Member(id=i, source=Source(f"{i}.jpg", is_file=True, root="photos", name=f"{i}.jpg"), score=1 - i / 100)
        for i in range(20)
    )
    cluster = Cluster(name="x", words=(), cohesion=1.0, members=members)
    assert cluster.central.id == 0
    assert [member.id for member in cluster.examples(3)] == [1, 4, 7]
    small = Cluster(name="x", words=(), cohesion=1.0, members=members[:3])
    assert [member.id for member in small.examples(5)] == [1, 2]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> PhotoLibrary:
    """Five photographs, each in four sizes in a folder of its own."""
    folder = tmp_path_factory.mktemp("clusters")
    photographs = {path.stem: path for path in find_photographs()}
    for name in ("chelsea", "coffee", "rocket", "grass", "page"):
        (folder / "photos" / name).mkdir(parents=True)
        with Image.open(photographs[name]) as photograph:
            for width in (120, 140, 160, 180):
                photograph.convert("RGB").resize((width, 100)).save(folder / "photos" / name / f"{width}.jpg")
    encoder = TorchEncoder(load_checkpoint(None), device="cpu", dtype="float32", preprocess="fast")
    opened = PhotoLibrary.open(folder / "library", encoder=encoder, create_missing=True)
    opened.index(folder / "photos")
    return opened


def test_a_library_is_grouped_and_named(library: PhotoLibrary) -> None:
    found = library.clusters(5, vocabulary=["cat", "cup of coffee", "rocket", "grass", "page of a book"])
    groups = {cluster.name: {Path(member.source).parent.name for member in cluster.members} for cluster in found.groups}
    assert groups["cat"] == {"chelsea"}
    assert sorted(map(sorted, groups.values())) == [["chelsea"], ["coffee"], ["grass"], ["page"], ["rocket"]]
    for cluster in found.groups:
        scores = [member.score for member in cluster.members]
        assert len(scores) == 4
        assert scores == sorted(scores, reverse=True)
        assert cluster.cohesion == pytest.approx(np.mean(scores))
        assert cluster.name.startswith(cluster.words[0].text)
    assert found.unassigned == ()


def test_only_what_passes_the_filters_is_grouped(library: PhotoLibrary) -> None:
    found = library.clusters(filters=Filters(where="photos.path LIKE 'coffee/%'"), min_size=1)
    assert sum(len(cluster.members) for cluster in found.groups) == 4
    nothing = library.clusters(filters=Filters(where="0"))
    assert (nothing.groups, nothing.unassigned) == ((), ())


def test_chosen_photos_are_those_that_pass_by_name_each_with_its_own_vector(library: PhotoLibrary) -> None:
    chosen = chosen_photos(library._database, library._matrix(), Filters(where="photos.path NOT LIKE 'coffee/%'"))
    names = [Path(source).parts[-2:] for source in chosen.sources]
    assert names == sorted(names)
    assert {folder for folder, _ in names} == {"chelsea", "rocket", "grass", "page"}
    assert chosen.features.shape == (16, library.model().width)
    np.testing.assert_allclose(chosen.features, [library.vector(id) for id in chosen.ids], atol=1e-6)
    some = chosen.at(np.array([3, 0]))
    assert (some.ids, some.sources) == ([chosen.ids[3], chosen.ids[0]], [chosen.sources[3], chosen.sources[0]])
    assert (some.features == chosen.features[[3, 0]]).all()


def test_photos_that_went_are_left_out(library: PhotoLibrary, tmp_path: Path) -> None:
    shutil.copytree(library.folder, tmp_path / "library")
    copy = PhotoLibrary.open(tmp_path / "library", encoder=library.encoder())
    copy.remove(library.roots()[0].path)
    found = copy.clusters()
    assert (found.groups, found.unassigned) == ((), ())


def test_a_missing_package_is_told_with_the_command_that_installs_it() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = sys.modules['sklearn.cluster'] = None\n"
        "import numpy as np\nfrom diptych.errors import DiptychError\nfrom diptych.library.clusters import group\n"
        "try: group(np.eye(4, dtype=np.float32))\nexcept DiptychError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "scikit-learn" in done.stdout
    assert done.stdout.strip().endswith("pip install 'diptych[library]'.")
