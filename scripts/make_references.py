"""Make and check the parity references: what OpenAI's, OpenCLIP's and Hugging Face's code compute from seeded weights.

    python scripts/make_references.py                     write tests/references/models.npz (the peers' environment)
    python scripts/make_references.py --peer FILE         full-size features of OpenAI's code (the peers' environment)
    python scripts/make_references.py --compare FILE      the same through Diptych, and the differences

The peers' environment has clip-anytorch, open_clip_torch and transformers; Diptych's has none of them.
`--models` takes some of ViT-B/32, RN50 and ViT-L/14 (default: the first two).

models.npz holds `tokens` (T, 77) int32, OpenAI's ids of `seeded.TEXTS`, and under the name of each small model, for
`seeded_pixels(IMAGES, ...)` at its image size, all in float32:
  image_features (N, E), text_features (T, E)   unit rows
  logits_per_image (N, T)
  image_pooled (N, D), text_pooled (T, D)       after the last norm, before the projection (not of OpenAI's classes)
  patch_tokens (N, P, D)                        all patches after the last norm (ViT of OpenCLIP's class)
  last_hidden_state (N, 1 + P, D)               after the last block (Hugging Face's class)
`vit@96x96`, `open_clip@28x70` and so on hold image_features at another height and width, positions resized by OpenCLIP.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import seeded
from seeded import Array, Family, ResNet, Tensors, Tower

Model = Any  # a peer's class, which the type checker cannot see

FULL = {
    "ViT-B/32": Family(
        embed_dim=512,
        image_size=224,
        patch_size=32,
        vision=Tower(768, 12, 12, 3072),
        text=Tower(512, 12, 8, 2048),
    ),
    "RN50": Family(embed_dim=1024, image_size=224, vision=ResNet(64, (3, 4, 6, 3), 32), text=Tower(512, 12, 8, 2048)),
    "ViT-L/14": Family(
        embed_dim=768,
        image_size=224,
        patch_size=14,
        vision=Tower(1024, 24, 16, 4096),
        text=Tower(768, 12, 12, 3072),
    ),
}
RESIZED = {"vit": ((96, 96), (32, 80)), "open_clip": ((70, 70), (28, 70))}


def openai_model(family: Family, tensors: Mapping[str, Array]) -> Model:
    """OpenAI's class in fp32 with these weights."""
    from clip.model import CLIP

    model = CLIP(
        embed_dim=family.embed_dim,
        image_resolution=family.image_size,
        vision_layers=family.vision.layers,
        vision_width=family.vision.width,
        vision_patch_size=family.patch_size,
        context_length=seeded.CONTEXT_LENGTH,
        vocab_size=seeded.VOCAB_SIZE,
        transformer_width=family.text.width,
        transformer_heads=family.text.heads,
        transformer_layers=family.text.layers,
    )
    model.load_state_dict(_torch(tensors))
    return model.float().eval()


def open_clip_model(kind: str, tensors: Mapping[str, Array], image_size: tuple[int, int] | None = None) -> Model:
    """OpenCLIP's class with these weights, its position embeddings resized where the image size asks for it."""
    from open_clip.model import CLIP, resize_pos_embed

    config = seeded.open_clip_config(kind)
    config["vision_cfg"]["image_size"] = image_size or config["vision_cfg"]["image_size"]
    model = CLIP(**config)
    state = _torch(tensors)
    resize_pos_embed(state, model)
    model.load_state_dict(state)
    return model.eval()


def huggingface_model(kind: str, tensors: Mapping[str, Array]) -> Model:
    """Hugging Face's class with these weights under its own names."""
    from transformers import CLIPConfig, CLIPModel

    model = CLIPModel(CLIPConfig(**seeded.huggingface_config(kind)))
    model.load_state_dict(_torch(seeded.huggingface_tensors(tensors)))
    return model.eval()


def openai_references(family: Family, tensors: Mapping[str, Array], tokens: torch.Tensor) -> Tensors:
    """Features and logits of OpenAI's class."""
    model = openai_model(family, tensors)
    pixels = _pixels(family.image_size, family.image_size)
    return {
        "image_features": _unit(model.encode_image(pixels)),
        "text_features": _unit(model.encode_text(tokens)),
        "logits_per_image": model(pixels, tokens)[0].numpy(),
    }


def open_clip_references(kind: str, tensors: Mapping[str, Array], tokens: torch.Tensor) -> Tensors:
    """Features, logits and raw features of OpenCLIP's class."""
    model = open_clip_model(kind, tensors)
    size = seeded.FAMILIES[kind].image_size
    pixels = _pixels(size, size)
    model.visual.output_tokens = True
    patch_tokens = model.visual(pixels)[1]
    model.visual.output_tokens = False
    image_features = model.encode_image(pixels, normalize=True)
    text_features = model.encode_text(tokens, normalize=True)
    model.visual.proj = model.text_projection = None  # from here on, features come unprojected
    return {
        "image_features": image_features.numpy(),
        "text_features": text_features.numpy(),
        "logits_per_image": (model.logit_scale.exp() * image_features @ text_features.T).numpy(),
        "image_pooled": model.encode_image(pixels).numpy(),
        "text_pooled": model.encode_text(tokens).numpy(),
        "patch_tokens": patch_tokens.numpy(),
    }


def huggingface_references(kind: str, tensors: Mapping[str, Array], tokens: torch.Tensor) -> Tensors:
    """Features, logits and raw features of Hugging Face's class."""
    model = huggingface_model(kind, tensors)
    size = seeded.FAMILIES[kind].image_size
    pixels = _pixels(size, size)
    output = model(input_ids=tokens, pixel_values=pixels)
    vision = model.vision_model(pixel_values=pixels)
    return {
        "image_features": output.image_embeds.numpy(),
        "text_features": output.text_embeds.numpy(),
        "logits_per_image": output.logits_per_image.numpy(),
        "image_pooled": vision.pooler_output.numpy(),
        "text_pooled": model.text_model(input_ids=tokens).pooler_output.numpy(),
        "last_hidden_state": vision.last_hidden_state.numpy(),
    }


def resized_references(kind: str, tensors: Mapping[str, Array], height: int, width: int) -> Tensors:
    """Image features of OpenCLIP's class at another image size."""
    model = open_clip_model(kind, tensors, (height, width))
    return {"image_features": model.encode_image(_pixels(height, width), normalize=True).numpy()}


def write_small() -> None:
    """Write tests/references/models.npz, and the versions that it was made with beside it."""
    tokens = _openai_tokens()
    references: Tensors = {"tokens": tokens.numpy().astype(np.int32)}
    for kind in seeded.FAMILIES:
        tensors = seeded.seeded_model(kind)
        if kind.startswith("huggingface"):
            found = huggingface_references(kind, tensors, tokens)
        elif kind == "open_clip":
            found = open_clip_references(kind, tensors, tokens)
        else:
            found = openai_references(seeded.FAMILIES[kind], tensors, tokens)
        references |= {f"{kind}/{name}": array for name, array in found.items()}
        for height, width in RESIZED.get(kind, ()):
            found = resized_references(kind, tensors, height, width)
            references |= {f"{kind}@{height}x{width}/{name}": array for name, array in found.items()}
    seeded.REFERENCES.parent.mkdir(exist_ok=True)
    np.savez_compressed(seeded.REFERENCES, allow_pickle=False, **references)
    seeded.REFERENCES.with_suffix(".json").write_text(json.dumps(_versions(), indent=1) + "\n", encoding="utf-8")
    print(f"{seeded.REFERENCES}: {len(references)} arrays, {seeded.REFERENCES.stat().st_size / 1e3:.0f} kB")


def write_full(path: Path, names: list[str]) -> None:
    """Write the features and logits of OpenAI's class at full size."""
    tokens = _openai_tokens()
    references: Tensors = {}
    for name in names:
        tensors = seeded.seeded_tensors(seeded.openai_shapes(FULL[name]))
        for key, array in openai_references(FULL[name], tensors, tokens).items():
            references[f"{name}/{key}"] = array
        print(f"{name}: {sum(tensor.size for tensor in tensors.values()) / 1e6:.1f} million numbers")
    np.savez_compressed(path, allow_pickle=False, **references)


def compare_full(path: Path, names: list[str]) -> None:
    """Print how far Diptych is from what `write_full` wrote: unit features, and logits over the scale."""
    with np.load(path) as stored:
        expected = {key: stored[key] for key in stored.files}
    for name in names:
        for key, (difference, tolerance) in _differences(name, expected).items():
            verdict = "ok" if difference <= tolerance else "TOO FAR"
            print(f"{name:9} {key:17} max |difference| {difference:.2e}  tolerance {tolerance:.1e}  {verdict}")


def _differences(name: str, expected: Mapping[str, Array]) -> dict[str, tuple[float, float]]:
    from PIL import Image

    import diptych

    tensors = seeded.seeded_tensors(seeded.openai_shapes(FULL[name]))
    scale = float(np.exp(tensors["logit_scale"]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seeded.pt"
        torch.save(_torch(tensors), path)
        del tensors
        encoder = diptych.load(str(path), preset=name, activation="quick_gelu", dtype="float32", device="cpu")
        size = FULL[name].image_size
        images = [Image.fromarray(seeded.seeded_image(size, size, seed)) for seed in range(seeded.IMAGES)]
        image_features = encoder.encode_images(images)
        text_features = encoder.encode_texts(list(seeded.TEXTS))
    computed = {
        "image_features": (image_features, 1e-5),
        "text_features": (text_features, 1e-5),
        "logits_per_image": (scale * image_features @ text_features.T, 1e-5 * scale),
    }
    return {
        key: (float(np.abs(array - expected[f"{name}/{key}"]).max()), tolerance)
        for key, (array, tolerance) in computed.items()
    }


def _openai_tokens() -> torch.Tensor:
    import clip

    tokens: torch.Tensor = clip.tokenize(list(seeded.TEXTS)).long()
    return tokens


def _pixels(height: int, width: int) -> torch.Tensor:
    return torch.from_numpy(seeded.seeded_pixels(seeded.IMAGES, height, width))


def _torch(tensors: Mapping[str, Array]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}


def _unit(features: torch.Tensor) -> Array:
    unit: Array = (features / features.norm(dim=-1, keepdim=True)).numpy()
    return unit


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    packages = ("clip-anytorch", "open_clip_torch", "transformers", "torch", "numpy")
    return {package: version(package) for package in packages}


def main() -> None:
    """Parse the command line and do one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    task = parser.add_mutually_exclusive_group()
    task.add_argument("--peer", type=Path, metavar="FILE")
    task.add_argument("--compare", type=Path, metavar="FILE")
    parser.add_argument("--models", nargs="+", choices=FULL, default=["ViT-B/32", "RN50"])
    arguments = parser.parse_args()
    with torch.inference_mode():
        if arguments.peer:
            write_full(arguments.peer, arguments.models)
        elif arguments.compare:
            compare_full(arguments.compare, arguments.models)
        else:
            write_small()


if __name__ == "__main__":
    main()
