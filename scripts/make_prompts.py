"""Make the JSON of `diptych.prompts` from what others published, to the letter.

    python scripts/make_prompts.py --open-clip .../open_clip --clip-benchmark .../clip_benchmark --openai .../prompts.md

--open-clip and --clip-benchmark are the package folders of the unpacked wheels open_clip_torch 3.3.0 and
clip-benchmark 1.6.2; --openai is data/prompts.md of github.com/openai/CLIP, which has the class names of data sets
for which the wheels have templates only.
"""

import argparse
import ast
import json
import re
import runpy
from pathlib import Path
from typing import Any

from diptych.prompts import canonical_name

Table = dict[str, list[str]]

OUTPUT = Path(__file__).parents[1] / "src" / "diptych" / "prompts"

# Headings of OpenAI's file, and our names for the data sets; their order is that of the data sets' label ids.
OPENAI_HEADINGS = {
    "CIFAR10": "cifar10",
    "CIFAR100": "cifar100",
    "DescribableTextures": "dtd",
    "FGVCAircraft": "fgvc-aircraft",
    "Food101": "food101",
    "RESISC45": "resisc45",
    "SST2": "rendered-sst2",
    "STL10": "stl10",
    "SUN397": "sun397",
    "StanfordCars": "stanford-cars",
}


def imagenet(open_clip: Path) -> tuple[Table, Table]:
    """Templates and class names for ImageNet, from open_clip's functions of the class name."""
    published = runpy.run_path(str(open_clip / "zero_shot_metadata.py"))
    templates = {
        "imagenet": [template("{}") for template in published["OPENAI_IMAGENET_TEMPLATES"]],
        "imagenet-7": [template("{}") for template in published["SIMPLE_IMAGENET_TEMPLATES"]],
    }
    return templates, {"imagenet": list(published["IMAGENET_CLASSNAMES"])}


def benchmark_sets(clip_benchmark: Path) -> tuple[Table, Table]:
    """English templates and class names of CLIP_benchmark, and VOC2007's names, which stand in its Python source."""
    datasets = clip_benchmark / "datasets"
    templates = _read(datasets / "en_zeroshot_classification_templates.json")
    del templates["dummy"]  # its stand-in for tests
    names = _read(datasets / "en_classnames.json")
    names["voc2007"] = assigned((datasets / "voc2007.py").read_text(encoding="utf-8"), "object_categories")
    return (
        {canonical_name(key): [text.replace("{c}", "{}") for text in texts] for key, texts in templates.items()},
        {canonical_name(key): texts for key, texts in names.items()},
    )


def openai_sets(prompts: Path) -> Table:
    """Class names from OpenAI's prompts.md, whose fenced blocks are Python assignments."""
    sections = re.findall(r"^## (\w+)\n+```\w*\n(.*?)^```", prompts.read_text(encoding="utf-8"), re.M | re.S)
    return {OPENAI_HEADINGS[title]: assigned(block, "classes") for title, block in sections if title in OPENAI_HEADINGS}


def assigned(source: str, name: str) -> list[str]:
    """The literal that Python source assigns to a name at its top level."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            literal: list[str] = ast.literal_eval(node.value)
            return literal
    raise SystemExit(f"no top-level assignment to {name!r} in this source: {source[:60]!r}")


def check(templates: Table, names: Table) -> None:
    """Stop at a template without exactly one slot, and at an expected set of class names that is not there."""
    for key, texts in templates.items():
        for text in texts:
            if text.count("{}") != 1 or text.format("x") != text.replace("{}", "x"):
                raise SystemExit(f"{key}: not one slot in {text!r}")
    if missing := set(OPENAI_HEADINGS.values()) - set(names):
        raise SystemExit(f"OpenAI's file lacks the class names of {', '.join(sorted(missing))}")


def main() -> None:
    """Read the three sources, merge them, and write templates.json and class_names.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for source in ("--open-clip", "--clip-benchmark", "--openai"):
        parser.add_argument(source, type=Path, required=True, metavar="PATH")
    arguments = parser.parse_args()
    templates, names = imagenet(arguments.open_clip)
    more_templates, more_names = benchmark_sets(arguments.clip_benchmark)
    if (more_templates["imagenet"], more_names["imagenet"]) != (templates["imagenet"], names["imagenet"]):
        raise SystemExit("open_clip and CLIP_benchmark differ on ImageNet's templates or class names")
    templates |= {"simple": ["a photo of a {}."], **more_templates}
    names |= openai_sets(arguments.openai) | more_names
    check(templates, names)
    _write(OUTPUT / "templates.json", templates)
    _write(OUTPUT / "class_names.json", names)


def _read(path: Path) -> Table:
    table: Table = json.loads(path.read_text(encoding="utf-8"))
    return table


def _write(path: Path, table: dict[str, Any]) -> None:
    text = json.dumps(dict(sorted(table.items())), indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")
    print(f"{path}: {len(table)} names, {sum(map(len, table.values()))} strings")


if __name__ == "__main__":
    main()
