"""Loading ViT-B/32 in fp32 from Diptych's own folder: time and peak memory, beside importing torch alone and beside
what the peers need for the same weights. Each in a new process; the file is in the page cache.
"""

from typing import Any

from processes import run_command
from setting import Row, Setting, summary

ROUNDS = 5
ALLOWED_MEGABYTES = 150
TORCH = "import torch"
LOAD = "import sys, diptych; encoder = diptych.load(sys.argv[1], dtype='float32')"
ENCODE = f"{LOAD}; encoder.encode_images([sys.argv[2]]); encoder.encode_texts(['a photo of a dog.'])"
TRANSFORMERS = "import sys; from transformers import CLIPModel; CLIPModel.from_pretrained(sys.argv[1])"
OPEN_CLIP = "import sys, open_clip; open_clip.create_model('ViT-B-32-quickgelu', pretrained=sys.argv[1])"


def run(setting: Setting) -> dict[str, Any]:
    own, photo = setting.weights["diptych"], setting.photos("small", 8)[3]
    commands = {
        "torch": (setting.python, "-c", TORCH),
        "load": (setting.python, "-c", LOAD, own),
        "load, then a photo and a text": (setting.python, "-c", ENCODE, own, photo),
        "transformers": (setting.transformers, "-c", TRANSFORMERS, setting.weights["huggingface"]),
        "open_clip": (setting.open_clip, "-c", OPEN_CLIP, setting.open_clip_weights),
    }
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    for _ in range(1 if setting.is_quick else ROUNDS):
        for name, command in commands.items():
            runs[name].append(run_command(*command))
    return {
        "weights_megabytes": (own / "model.safetensors").stat().st_size / 1e6,
        "seconds": {name: summary([each["seconds"] for each in found]) for name, found in runs.items()},
        "megabytes": {name: summary([each["megabytes"] for each in found]) for name, found in runs.items()},
    }


def rows(result: dict[str, Any]) -> list[Row]:
    megabytes = {name: found["median"] for name, found in result["megabytes"].items()}
    said = {name: f"{megabytes[name]:.0f} MB, {result['seconds'][name]['median']:.2f} s" for name in megabytes}
    lines = []
    for name in ("load", "load, then a photo and a text"):
        beyond = megabytes[name] - megabytes["torch"] - result["weights_megabytes"]
        what = f"{name}: peak memory beyond import torch and the weights"
        peer = f"{said['torch']} (import torch)"
        is_met = beyond <= ALLOWED_MEGABYTES
        aim = f"<= {ALLOWED_MEGABYTES} MB"
        lines.append(Row(what=what, diptych=said[name], peer=peer, reached=f"{beyond:+.0f} MB", aim=aim, is_met=is_met))
    for peer in ("transformers", "open_clip"):
        ratio = megabytes["load"] / megabytes[peer]
        what = f"load, against {peer}"
        lines.append(Row(what=what, diptych=said["load"], peer=said[peer], reached=f"{ratio:.2f} of the memory"))
    return lines
