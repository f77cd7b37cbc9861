"""The model in the package, as it is shipped."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

import diptych
from diptych.checkpoints import load_checkpoint
from diptych.checkpoints.postcard import postcard_folder
from diptych.demo.photographs import LABELS, find_photographs
from diptych.encode.numpy_encoder import NumpyEncoder
from diptych.settings import from_dict
from diptych.train.config import RunConfig, read_config

CONFIGS = Path(__file__).parents[1] / "configs"
MOST_BYTES = 40_000_000

# Whoever asks for a connection fails.
NO_NETWORK = """
import socket, sys
def refuse(*_):
    raise AssertionError("the network was asked")
socket.socket.connect = socket.getaddrinfo = refuse
"""


def printed(*arguments: str, then: str = "") -> str:
    """What `diptych` prints without a network, in a process of its own that ends well and without a warning."""
    code = (
        f"{NO_NETWORK}\nsys.argv = {['diptych', *arguments]!r}\nfrom diptych.cli import main\n"
        f"try: main()\nexcept SystemExit as end: assert not end.code\n{then}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def postcard() -> diptych.DualEncoder:
    return diptych.load(device="cpu", dtype="float32")


def test_it_is_small_and_says_where_it_comes_from() -> None:
    folder = postcard_folder()
    assert sum(file.stat().st_size for file in folder.iterdir()) <= MOST_BYTES
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["training"], "the resolved config of the run that made it"
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "\n# postcard\n" in card
    assert '\n$ diptych classify photo.jpg --labels "dog,cat"\n' in card
    for word in ("data", "licen", "limit"):
        assert word in card.lower()


def test_its_card_has_the_config_that_is_kept() -> None:
    card = (postcard_folder() / "README.md").read_text(encoding="utf-8")
    written = card.split("## Configuration\n\n```json\n")[1].split("```")[0]
    kept = read_config(CONFIGS / "postcard-128.toml")
    assert from_dict(RunConfig, json.loads(written), where="the card") == kept


def test_its_page_has_the_numbers_of_its_configs() -> None:
    page = " ".join((CONFIGS.parent / "docs" / "postcard.md").read_text(encoding="utf-8").split())
    first, second, last = (read_config(CONFIGS / f"postcard{stage}.toml") for stage in ("", "-96", "-128"))
    assert first.train.ema_decay == second.train.ema_decay
    assert f"({first.train.ema_decay}, in the last stage {last.train.ema_decay})" in page
    assert second.optimiser.weight_decay == last.optimiser.weight_decay
    assert f"weight decay {first.optimiser.weight_decay}, then {last.optimiser.weight_decay}," in page
    crops = [round(100 * run.data.augment.min_scale) for run in (first, second, last)]
    assert "crops of {}, then {}, in the last stage {}% of the area".format(*crops) in page
    assert [run.data.augment.word_dropout for run in (first, second, last)] == [0, 0.15, 0.1]  # seventh, tenth
    assert [run.data.augment.erase > 0 for run in (first, second, last)] == [False, True, True]
    assert {len(run.data.sources) for run in (first, second, last)} == {17}
    for run in (first, second, last):
        image_size = run.model.image_size or 64
        assert run.train.steps is not None
        pairs = f"{run.train.steps * run.train.batch_size / 1e6:.2f} M"
        assert f"| {image_size} pixels, {run.train.steps:,} steps | {pairs} |" in page


def test_its_card_and_page_say_how_many_photographs_it_names_right() -> None:
    command = [sys.executable, str(CONFIGS.parent / "scripts" / "install_postcard.py"), "--only-look"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    line = done.stdout.strip()
    assert line.startswith("Of 10 photographs from elsewhere, with 25 labels")
    for page in (postcard_folder() / "README.md", CONFIGS.parent / "docs" / "postcard.md"):
        assert line in page.read_text(encoding="utf-8")


def test_its_logit_scale_and_weights_are_sound(postcard: diptych.DualEncoder) -> None:
    assert 1 < postcard.logit_scale <= 100.5  # clamped at 100 in training, stored in half precision
    for name, tensor in postcard.checkpoint.tensors.items():
        assert tensor.isfinite().all(), name


def test_both_encoders_give_the_same_features(postcard: diptych.DualEncoder) -> None:
    numpy_encoder = NumpyEncoder(load_checkpoint(None, framework="numpy"))
    photos = find_photographs()
    # Unit features through some thirty layers of float32, summed in different orders.
    assert_allclose(numpy_encoder.encode_images(photos), postcard.encode_images(photos), atol=1e-5, rtol=0)
    assert_allclose(numpy_encoder.encode_texts(LABELS), postcard.encode_texts(LABELS), atol=1e-5, rtol=0)
    assert numpy_encoder.fingerprint == postcard.fingerprint


def test_bfloat16_changes_little(postcard: diptych.DualEncoder) -> None:
    rough, photos = diptych.load(device="cpu", dtype="bfloat16"), find_photographs()
    cosines = (rough.encode_images(photos) * postcard.encode_images(photos)).sum(axis=1)
    assert cosines.min() > 0.99


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("chelsea.png", "cat", "motorcycle"),
        ("motorcycle_left.png", "motorcycle", "flower"),
        ("flower.jpg", "flower", "motorcycle"),
        ("rocket.jpg", "rocket", "forest"),
    ],
)
def test_it_tells_apart_what_is_very_different(
    file: str, right: str, wrong: str, postcard: diptych.DualEncoder
) -> None:
    (photo,) = (path for path in find_photographs() if path.name == file)
    ((best, _),) = postcard.classifier([right, wrong], cache=False).predict([photo])
    assert best.name == right


def test_its_cosines_follow_the_words(postcard: diptych.DualEncoder) -> None:
    texts = ["a cat", "a kitten", "a red motorcycle"]
    cat, kitten, motorcycle = postcard.encode_texts(texts)
    assert cat @ kitten > cat @ motorcycle


def test_the_first_command_answers_with_no_name_no_network_and_no_torch(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    Image.fromarray(np.full((80, 60, 3), 128, np.uint8)).save(photo)
    shown = printed("classify", str(photo), "--labels", "dog,cat", "--json", then="assert 'torch' not in sys.modules")
    assert {label["name"] for label in json.loads(shown)[0]["labels"]} == {"dog", "cat"}


def test_it_is_listed_and_described() -> None:
    assert json.loads(printed("models", "--json"))[0]["name"] == "postcard"
    assert "source        postcard (diptych)" in printed("info")


def test_the_demo_shows_it(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    printed("demo", "--output", str(page), then="assert 'torch' not in sys.modules")
    assert "<code>postcard</code>" in page.read_text(encoding="utf-8")
