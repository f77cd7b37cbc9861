"""Steps of training ViT-B/32: Diptych's trainer (`Learner.step`) against open_clip's (`train_one_epoch`).

Each in a process of its own, by turns, on the same pairs and in the same precision: both towers, the loss, gradients,
AdamW, without clipping. Batches are in memory before the clock starts, as each trainer's own loader makes them;
bench/data_loading.py measures those. Pairs are the first set that is named with --data, else photographs with
captions in the web's manner. On a GPU where both see one.
"""

from itertools import islice
from pathlib import Path
from typing import Any

from halves.captions import make_captions
from processes import Half, run_command
from setting import Row, Setting, best, peak_of, spread, summary
from shards import pairs_in, write_shards

DTYPES = {"bf16": "bfloat16", "fp32": "float32"}
ROUNDS, BATCHES = 3, 2
STEPS = {"bf16": 2, "fp32": 1}  # a round
BATCH_SIZES = {"cpu": 64, "cuda": 512}
AIMS = {"cpu": 1.4, "cuda": 1.2}


def run(setting: Setting) -> dict[str, Any]:
    device = "cuda" if all(_sees_gpu(python) for python in (setting.python, setting.open_clip)) else "cpu"
    batch_size = 4 if setting.is_quick else BATCH_SIZES[device]
    captions, shards = _write_pairs(setting, BATCHES * batch_size)
    with Half(setting.python, "peak.py") as peak:
        peaks = [peak.ask(device=device)]
        measured = {}
        for precision in DTYPES:
            measured[precision] = _compare(setting, precision, batch_size, shards)
            peaks.append(peak.ask(device=device))
    return {
        "device": device,
        "batch_size": batch_size,
        "captions": captions,
        "peak_gflops": best(peaks),
        "precisions": measured,
    }


def _compare(setting: Setting, precision: str, batch_size: int, shards: list[str]) -> dict[str, Any]:
    rounds, steps = (1, 1) if setting.is_quick else (ROUNDS, STEPS[precision])
    arguments = (precision, str(batch_size), *shards)
    runs: dict[str, list[dict[str, Any]]] = {"diptych": [], "open_clip": []}
    with (
        Half(setting.python, "diptych_step.py", *arguments) as ours,
        Half(setting.open_clip, "open_clip_step.py", *arguments) as theirs,
    ):
        halves = {"diptych": ours, "open_clip": theirs}
        for half in halves.values():
            half.ask(steps=1)  # loads, and warms up
        for _ in range(rounds):
            for name, half in halves.items():
                runs[name].append(half.ask(steps=steps))
    facts = {key: value for key, value in runs["diptych"][0].items() if key != "seconds"}
    assert facts["parameters"] == runs["open_clip"][0]["parameters"]
    pairs = steps * batch_size
    return {**facts, **{name: summary([pairs / each["seconds"] for each in found]) for name, found in runs.items()}}


def rows(result: dict[str, Any]) -> list[Row]:
    return [_row(result, precision, found) for precision, found in result["precisions"].items()]


def _row(result: dict[str, Any], precision: str, found: dict[str, Any]) -> Row:
    aim = AIMS[result["device"]]
    ratio = found["diptych"]["median"] / found["open_clip"]["median"]
    peak = peak_of(result["peak_gflops"], DTYPES[precision]) * 1e9

    def said(name: str, flops: str) -> str:
        return f"{spread(found[name], ' pairs/s')}, {found[name]['median'] * found[flops] / peak:.0%} of peak"

    return Row(
        what=f"ViT-B/32, batches of {result['batch_size']}, {DTYPES[precision]}: {result['captions']}, "
        f"{found['tokens_per_text']:.0f} tokens each",
        diptych=said("diptych", "flops_per_pair"),
        peer=said("open_clip", "flops_per_padded_pair"),
        reached=f"{ratio:.2f} times",
        aim=f">= {aim:g} times",
        is_met=ratio >= aim,
    )


def _write_pairs(setting: Setting, count: int) -> tuple[str, list[str]]:
    """What the captions are, and the paths of shards."""
    folder = setting.work / "shards" / "training"
    if setting.data:
        pairs = [(image, texts[0]) for image, texts in islice(pairs_in(setting.data[0]), count)]
        return f"captions of {Path(setting.data[0]).name}", write_shards(folder, pairs)[0]
    photos = (Path(path).read_bytes() for path in setting.photos("small", count))
    return "made-up captions", write_shards(folder, zip(photos, make_captions(count), strict=True))[0]


def _sees_gpu(python: str) -> bool:
    found = run_command(python, "-c", "import torch; print(torch.cuda.is_available())")
    return bool(found["output"].strip() == "True")
