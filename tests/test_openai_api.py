"""OpenAI's interface: what their README runs, runs here."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

import formats
import seeded
from diptych import openai_api as clip
from diptych.errors import CheckpointError
from diptych.openai_api import OpenAIModel
from diptych.preprocess import Preprocess, exact

# From "Usage" in the README of openai/CLIP; the import above it is what changes.
README = """
device = "cuda" if torch.cuda.is_available() else "cpu"
model, preprocess = clip.load("ViT-B/32", device=device)

image = preprocess(Image.open("CLIP.png")).unsqueeze(0).to(device)
text = clip.tokenize(["a diagram", "a dog", "a cat"]).to(device)

with torch.no_grad():
    image_features = model.encode_image(image)
    text_features = model.encode_text(text)

    logits_per_image, logits_per_text = model(image, text)
    probs = logits_per_image.softmax(dim=-1).cpu().numpy()

print("Label probs:", probs)
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formats.write_torchscript("vit", tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def model(archive: Path) -> OpenAIModel:
    return clip.load(str(archive), device="cpu")[0]


def run_readme(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str) -> dict[str, object]:
    """The names that OpenAI's example leaves behind, of a model by another name and with the picture in a folder."""
    monkeypatch.chdir(folder)
    names: dict[str, object] = {"torch": torch, "clip": clip, "Image": Image}
    exec(README.replace("ViT-B/32", name), names)
    return names


def test_the_example_of_openais_readme_runs(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(seeded.seeded_image(70, 120)).save(tmp_path / "CLIP.png")
    names = run_readme(monkeypatch, tmp_path, str(archive))
    assert capsys.readouterr().out.startswith("Label probs: [[")
    probabilities = names["probs"]
    assert isinstance(probabilities, np.ndarray)
    assert probabilities.shape == (1, 3)
    assert probabilities.sum() == pytest.approx(1, abs=1e-3)


def test_logits_are_scaled_cosines_one_the_transpose_of_the_other(model: OpenAIModel) -> None:
    image = torch.from_numpy(seeded.seeded_pixels(2, 64, 64))
    text = clip.tokenize(list(seeded.TEXTS))
    with torch.no_grad():
        logits_per_image, logits_per_text = model(image, text)
        image_features, text_features = model.encode_image(image), model.encode_text(text)
    assert logits_per_image.shape == (2, len(seeded.TEXTS))
    assert torch.equal(logits_per_text, logits_per_image.T)
    cosines = torch.nn.functional.cosine_similarity(image_features[:, None], text_features[None], dim=-1)
    assert_close(logits_per_image, model.logit_scale.exp() * cosines, atol=1e-4, rtol=1e-4)


def test_features_are_not_normalised_and_equal_the_reference(model: OpenAIModel) -> None:
    expected = seeded.reference("vit")
    with torch.no_grad():
        features = model.encode_image(torch.from_numpy(seeded.seeded_pixels(seeded.IMAGES, 64, 64)))
    assert (features.norm(dim=-1) - 1).abs().min() > 0.1
    unit = torch.nn.functional.normalize(features, dim=-1).numpy()
    np.testing.assert_allclose(unit, expected["image_features"], atol=3e-3)  # the archive is in half precision


def test_the_model_says_what_openais_says(model: OpenAIModel) -> None:
    assert model.visual.input_resolution == 64
    assert model.dtype == torch.float32  # as OpenAI's on a CPU
    assert not model.training
    assert float(model.logit_scale.detach()) == pytest.approx(float(seeded.seeded_model("vit")["logit_scale"]))
    with torch.no_grad():
        assert model.encode_text(clip.tokenize("a dog")).dtype == torch.float32
        assert model.encode_image(torch.zeros(1, 3, 64, 64, dtype=torch.float64)).dtype == torch.float32


def test_a_resnet_is_loaded_alike(tmp_path: Path) -> None:
    resnet, preprocess = clip.load(str(formats.write_torchscript("resnet", tmp_path)), device="cpu", jit=True)
    assert resnet.visual.input_resolution == 96
    pixels = preprocess(Image.new("RGB", (100, 200)))
    assert pixels.shape == (3, 96, 96)
    with torch.no_grad():
        assert resnet(pixels[None], clip.tokenize(["a", "b"]))[0].shape == (1, 2)


def test_gradients_reach_the_weights_for_those_who_train(archive: Path) -> None:
    trained, _ = clip.load(str(archive), device="cpu")
    trained.encode_text(clip.tokenize("a dog")).sum().backward()  # type: ignore[no-untyped-call]
    assert any(parameter.grad is not None for parameter in trained.parameters())


def test_names_and_only_openais_are_available() -> None:
    assert clip.available_models() == [
        *("RN50", "RN101", "RN50x4", "RN50x16", "RN50x64"),
        *("ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px"),
    ]


def test_a_file_in_download_root_is_read_or_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIPTYCH_OFFLINE", "1")
    with pytest.raises(CheckpointError, match=r"ViT-B/32: .*ViT-B-32\.pt is not there"):
        clip.load("ViT-B/32", download_root=str(tmp_path))
    formats.write_torchscript("resnet", tmp_path).rename(tmp_path / "ViT-B-32.pt")
    with pytest.raises(CheckpointError, match="has another checksum"):
        clip.load("ViT-B/32", download_root=str(tmp_path))


# ---- tokens


def test_tokens_are_rows_of_the_context_padded_with_0() -> None:
    tokens = clip.tokenize(["a dog", ""])
    assert tokens.shape == (2, 77)
    assert tokens.dtype == torch.int32
    assert tokens[0, :5].tolist() == [49406, 320, 1929, 49407, 0]
    assert tokens[1, :3].tolist() == [49406, 49407, 0]
    assert torch.equal(clip.tokenize("a dog"), tokens[:1])
    assert torch.equal(clip.tokenize("a dog", context_length=4), tokens[:1, :4])


def test_a_text_that_is_too_long_raises_openais_error() -> None:
    text = "cat " * 76
    with pytest.raises(RuntimeError) as raised:
        clip.tokenize(["a dog", text])
    assert str(raised.value) == f"Input {text} is too long for context length 77"


def test_truncated_the_last_token_is_the_end_token() -> None:
    tokens = clip.tokenize("cat " * 99, truncate=True)
    assert tokens.shape == (1, 77)
    assert tokens[0, -2:].tolist() == [2368, 49407]
    assert torch.equal(clip.tokenize("cat " * 75, truncate=True), clip.tokenize("cat " * 75))


# ---- pixels


def test_pixels_are_the_exact_path_of_the_image_as_it_is(archive: Path) -> None:
    _, preprocess = clip.load(str(archive), device="cpu")
    picture = Image.fromarray(seeded.seeded_image(90, 130))
    pixels = preprocess(picture)
    assert (pixels.dtype, pixels.shape) == (torch.float32, (3, 64, 64))
    assert np.array_equal(pixels.numpy(), exact(picture, Preprocess(size=(64, 64))))


def test_images_are_not_turned_upright_as_openais_are_not(archive: Path, tmp_path: Path) -> None:
    _, preprocess = clip.load(str(archive), device="cpu")
    picture = Image.fromarray(seeded.seeded_image(90, 130))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        assert turned.getexif()[0x0112] == 6
        assert torch.equal(preprocess(turned), preprocess(picture))


def test_transparency_is_dropped_and_not_laid_over_white(archive: Path) -> None:
    _, preprocess = clip.load(str(archive), device="cpu")
    picture = Image.fromarray(seeded.seeded_image(64, 64))
    clear = picture.convert("RGBA")
    clear.putalpha(0)
    assert not torch.equal(preprocess(clear), preprocess(Image.new("RGB", (64, 64), "white")))
    assert np.array_equal(preprocess(clear).numpy(), exact(clear, Preprocess(size=(64, 64))))


# ---- state dicts


def test_weights_go_there_and_back_by_openais_names(archive: Path, model: OpenAIModel, tmp_path: Path) -> None:
    state = model.state_dict()
    assert state.keys() == seeded.seeded_model("vit").keys()
    torch.save({name: tensor * 0.5 for name, tensor in state.items()}, tmp_path / "halved.pt")
    other, _ = clip.load(str(archive), device="cpu")
    other.load_state_dict(torch.load(tmp_path / "halved.pt", weights_only=True))
    assert_close(other.state_dict()["visual.proj"], state["visual.proj"] * 0.5)
    assert_close(other.clip.text.transformer.blocks[0].attn.q_proj.weight, model_query(model) * 0.5)


def model_query(model: OpenAIModel) -> torch.Tensor:
    return model.clip.text.transformer.blocks[0].attn.q_proj.weight


@pytest.mark.published_weights
def test_published_weights_give_the_published_probabilities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = Path(os.environ["DIPTYCH_PUBLISHED_VIT_B_32"]).absolute()
    picture = Path(os.environ["DIPTYCH_CLIP_PNG"]).absolute()
    (tmp_path / "CLIP.png").write_bytes(picture.read_bytes())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # in float32 then
    names = run_readme(monkeypatch, tmp_path, str(weights))
    # Printed in OpenAI's README, where a GPU computed them in half precision.
    np.testing.assert_allclose(np.array(names["probs"])[0], [0.9927937, 0.00421068, 0.00299572], atol=1e-3)
