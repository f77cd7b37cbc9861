"""Bad files, labels, checkpoints and arguments: each ends in one line that says what is wrong, never in a traceback."""

import json
import os
import re
import shutil
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

import diptych
import formats
import seeded
from diptych import DualEncoder, openai_api
from diptych.checkpoints.save import Format
from diptych.cli import main
from diptych.zeroshot import ZeroShotClassifier


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a row may need: a folder of its own, a model that works, a photo that opens, and a server of odd answers."""

    folder: Path
    model: Path
    photo: Path
    address: str

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def classify(self, *arguments: object) -> list[object]:
        return ["classify", *arguments, "--labels", "dog,cat", "--model", self.model]

    def label(self, *arguments: object) -> list[object]:
        return ["classify", self.photo, *arguments, "--model", self.model]

    def ours(self, **changes: object) -> Path:
        """A tiny model's folder, its config changed at the top."""
        return self._tiny("diptych", "config.json", changes)

    def hugging_face(self, **changes: object) -> Path:
        return self._tiny("huggingface", "config.json", changes)

    def open_clip(self, **changes: object) -> Path:
        return self._tiny("openclip", "open_clip_config.json", changes)

    def _tiny(self, format: Format, config: str, changes: dict[str, object]) -> Path:
        folder = self.folder / format
        if not folder.exists():
            formats.tiny_folder(folder, format)
        formats.edit_json(folder / config, **changes)
        return folder


class Answers(BaseHTTPRequestHandler):
    """Files that no photo is: /text, /large (by its length), and nothing else."""

    def do_GET(self) -> None:
        bodies = {"/text": b"hello", "/large": b"\xff\xd8"}
        body = bodies.get(self.path, b"")
        self.send_response(200 if self.path in bodies else 404)
        self.send_header("Content-Length", "99999999999" if self.path == "/large" else str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formats.tiny_classifier_folder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def bench(model: Path, address: str, tmp_path: Path) -> Bench:
    photo = tmp_path / "good.jpg"
    Image.fromarray(seeded.seeded_image(40, 40)).save(photo)
    return Bench(folder=tmp_path, model=model, photo=photo, address=address)


class Row(NamedTuple):
    """What to run, made on the spot, the informative part of the one line on stderr, and the exit status."""

    name: str
    arguments: Callable[[Bench], list[object]]
    message: str
    status: int = 1


def png_claiming(width: int, height: int) -> bytes:
    chunks = (b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(b"x"))
    framed = (struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def torn(path: Path) -> bytes:
    return path.read_bytes()[: path.stat().st_size // 2]


def pipe(bench: Bench) -> Path:
    os.mkfifo(bench.folder / "pipe.jpg")
    return bench.folder / "pipe.jpg"


def empty_folder(bench: Bench) -> Path:
    (bench.folder / "empty").mkdir()
    return bench.folder / "empty"


PHOTOS = [
    Row("missing photo", lambda b: b.classify(b.folder / "no.jpg"), r"no\.jpg: no such file"),
    Row("empty file", lambda b: b.classify(b.write("0.jpg", "")), r"0\.jpg: empty, 0 bytes"),
    Row("text for a photo", lambda b: b.classify(b.write("t.jpg", "hello")), r"t\.jpg: not an image: .*hello"),
    Row("torn JPEG", lambda b: b.classify(b.write("x.jpg", torn(b.photo))), r"(?i)x\.jpg: .*truncated"),
    Row("PNG of nothing but its header", lambda b: b.classify(b.write("x.png", png_claiming(9, 9))), r"x\.png: "),
    Row(
        "PNG of 3.6 gigapixels",
        lambda b: b.classify(b.write("x.png", png_claiming(60_000, 60_000))),
        r"60000 x 60000 pixels are more than the 200,000,000",
    ),
    Row("PNG without pixels", lambda b: b.classify(b.write("x.png", png_claiming(0, 9))), r"x\.png: "),
    Row("EPS", lambda b: b.classify(b.write("x.eps", "%!PS-Adobe-3.0 EPSF-3.0\n")), "EPS files are not drawn here"),
    Row("film", lambda b: b.classify(b.write("x.mp4", b"\0\0\0\x20ftypisom" + bytes(32))), r"x\.mp4: "),
    Row("WebP of no length", lambda b: b.classify(b.write("x.webp", b"RIFF\0\0\0\0WEBPVP8 ")), r"x\.webp: "),
    Row("drawing", lambda b: b.classify(b.write("x.svg", "<svg/>")), r"x\.svg: not an image"),
    Row("pipe", lambda b: b.classify(pipe(b)), r"pipe\.jpg: not a regular file"),
    Row("folder without pictures", lambda b: b.classify(empty_folder(b)), "no pictures in folder", 2),
    Row("glob without matches", lambda b: b.classify(b.folder / "*.tiff"), r"No file matches '.*\*\.tiff'", 2),
    Row("~ of nobody", lambda b: b.classify("~nobody-of-that-name/a.jpg"), "~nobody-of-that-name/a.jpg: no such file"),
    Row("path too long", lambda b: b.classify("x" * 5000), "name too long"),
    Row("address of nothing", lambda b: b.classify(f"{b.address}/gone.jpg"), r"http://127.*/gone\.jpg: .*404"),
    Row("address of a text", lambda b: b.classify(f"{b.address}/text"), r"http://127.*/text: not an image"),
    Row("address of 100 GB", lambda b: b.classify(f"{b.address}/large"), r"http://127.*/large: "),
    Row("address nobody answers", lambda b: b.classify("http://127.0.0.1:9/a.jpg"), r"http://127\.0\.0\.1:9/a\.jpg: "),
    Row("address with a password", lambda b: b.classify("http://me:secret@127.0.0.1/"), "user name or password"),
    Row("address without a host", lambda b: b.classify("http://"), "no host"),
    Row("address of another kind", lambda b: b.classify("ftp://127.0.0.1/a.jpg"), "Only http:// and https://", 2),
]

LABELS = [
    Row("no label", lambda b: b.label("--labels", ""), "holds an empty label", 2),
    Row("comma too many", lambda b: b.label("--labels", "dog,,cat"), "'dog,,cat' holds an empty label", 2),
    Row("label twice", lambda b: b.label("--labels", "dog,cat,dog"), "more than once: dog", 2),
    Row("one label alone", lambda b: b.label("--labels", "dog"), "One label alone gets 100%", 2),
    Row("labels twice", lambda b: b.label("--labels", "a,b", "--labels-file", "x"), "not both", 2),
    Row("labels file missing", lambda b: b.label("--labels-file", b.folder / "x"), "x cannot be read: .*No such", 2),
    Row("labels file a folder", lambda b: b.label("--labels-file", b.folder), "cannot be read: .*directory", 2),
    Row("labels file empty", lambda b: b.label("--labels-file", b.write("l", "\n# none\n")), "holds no labels", 2),
    Row("labels file a photo", lambda b: b.label("--labels-file", b.photo), "cannot be read: .*utf-8", 2),
    Row("labels file twice", lambda b: b.label("--labels-file", b.write("l", "a\nb\na")), "more than once: a", 2),
    Row("labels not JSON", lambda b: b.label("--labels-file", b.write("l.json", "[dog]")), "is not JSON", 2),
    Row("labels a number", lambda b: b.label("--labels-file", b.write("l.json", "3")), "must hold a list", 2),
    Row("labels numbers", lambda b: b.label("--labels-file", b.write("l.json", "[1, 2]")), "must hold a list", 2),
    Row("labels none", lambda b: b.label("--labels-file", b.write("l.json", "{}")), "holds no labels", 2),
    Row(
        "description empty",
        lambda b: b.label("--labels-file", b.write("l.json", '{"dog": "", "cat": "a cat"}')),
        "names and descriptions",
        2,
    ),
    Row("labels too deep", lambda b: b.label("--labels-file", b.write("l.json", "[" * 99_999)), "is not JSON", 2),
    Row(
        "template of no name",
        lambda b: b.label("--labels", "a,b", "--template", "imagenett"),
        "no templates named 'imagenett'; the nearest .* imagenet",
        2,
    ),
    Row("template of two", lambda b: b.label("--labels", "a,b", "--template", "{} {}"), r"one \{\} where", 2),
    Row(
        "template file without {}",
        lambda b: b.label("--labels", "a,b", "--template", b.write("t", "a photo\n")),
        r"one \{\} where the class name goes, got 'a photo'",
        2,
    ),
    Row("template file empty", lambda b: b.label("--labels", "a,b", "--template", b.write("t", "")), "at least one", 2),
]

ARGUMENTS = [
    Row("no verb of that name", lambda _: ["clasify"], "No such command 'clasify'", 2),
    Row("no photo", lambda _: ["classify", "--labels", "a,b"], "Missing argument 'PHOTO...'", 2),
    Row("option unknown", lambda b: b.label("--lables", "a,b"), "No such option: --lables", 2),
    Row("option without value", lambda b: ["classify", b.photo, "--labels"], "'--labels' requires an argument", 2),
    Row("top of none", lambda b: [*b.classify(b.photo), "--top", 0], "'--top'", 2),
    Row("top of many", lambda b: [*b.classify(b.photo), "--top", "many"], "'--top'", 2),
    Row("threshold of two", lambda b: [*b.classify(b.photo), "--multi", "--threshold", 2], "'--threshold'", 2),
    Row("device of no kind", lambda b: [*b.classify(b.photo), "--device", "gpu"], "no device 'gpu': give auto, cpu", 2),
    Row("device of another kind", lambda b: [*b.classify(b.photo), "--device", "xla"], "computes on cpu, cuda", 2),
    Row("device that is not there", lambda b: [*b.classify(b.photo), "--device", "cuda:99"], "torch sees", 2),
    Row("format unknown", lambda b: ["convert", b.model, b.folder / "o", "--format", "onnx"], "--format must be", 2),
    Row("activation unknown", lambda b: ["convert", b.model, b.folder / "o", "--activation", "relu"], "got 'relu'", 2),
    Row("preset unknown", lambda b: ["info", b.model, "--preset", "ViT-Z"], "no preset 'ViT-Z'; presets: RN50"),
    Row("preset of two", lambda b: ["info", b.model, "--preset", "RN101"], "preset='RN101-quickgelu'"),
    Row("preset of another model", lambda b: ["info", b.model, "--preset", "ViT-B-32"], "leave preset out"),
    Row("written on a file", lambda b: ["convert", b.model, b.photo], r"good\.jpg is a file"),
    Row("written on a folder of others", lambda b: ["convert", b.model, b.folder], "was not written by Diptych"),
    Row("written on the working folder", lambda b: ["convert", b.model, Path.cwd(), "--overwrite"], "working or home"),
    Row("extra argument", lambda _: ["models", "all"], "unexpected extra argument", 2),
]

NAMES = [
    Row("path of nothing", lambda b: ["info", b.folder / "no.pt"], r"no file or folder '.*no\.pt'"),
    Row("name of nothing", lambda _: ["info", "ViT-B-33"], "names no model: give a path"),
    Row("name too long", lambda _: ["info", "x" * 5000], "cannot be opened: File name too long"),
    Row("tag of nothing", lambda _: ["info", "ViT-B-32:laion9b"], "no tag 'laion9b'; it has"),
    Row("hub id while offline", lambda _: ["info", "org/clip"], "not in the cache .*hf download org/clip"),
    Row("hub id with a path", lambda _: ["info", "org/../clip"], "no file or folder 'org/../clip'"),
    Row("hub id with a space", lambda _: ["info", "my org/clip"], "names no model"),
    Row("revision with a path", lambda _: ["info", "org/clip", "--revision", "../../x"], "is not a revision"),
    Row("folder of nothing", lambda b: ["info", empty_folder(b)], "neither config.json"),
    Row("photo for a model", lambda b: ["info", b.photo], "not a whole checkpoint|damaged"),
]


def changed(folder: Path, **changes: torch.Tensor | None) -> Path:
    """Tensors changed, added or (None) taken out; `__` in a name stands for a dot."""
    (path,) = folder.glob("*.safetensors")
    named = {name.replace("__", "."): tensor for name, tensor in changes.items()}
    tensors = {name: tensor.clone() for name, tensor in safetensors.torch.load_file(path).items()} | named
    safetensors.torch.save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, path)
    return folder


def without_weights(folder: Path) -> Path:
    for path in folder.glob("*.safetensors"):
        path.unlink()
    return folder


def with_file(folder: Path, name: str, content: str | bytes) -> Path:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def saved(bench: Bench, content: object) -> Path:
    torch.save(content, bench.folder / "weights.pt")
    return bench.folder / "weights.pt"


def torn_file(bench: Bench, path: Path) -> Path:
    return bench.write(f"torn{path.suffix}", torn(path))


def tower(bench: Bench, name: str, **changes: object) -> Path:
    config = json.loads((bench.hugging_face() / "config.json").read_text())
    return bench.hugging_face(**{name: config[name] | changes})


def part(bench: Bench, name: str, **changes: object) -> Path:
    config = json.loads((bench.open_clip() / "open_clip_config.json").read_text())["model_cfg"]
    return bench.open_clip(model_cfg=config | {name: config[name] | changes})


def our_model(bench: Bench, name: str, **changes: object) -> Path:
    config = json.loads((bench.ours() / "config.json").read_text())["model"]
    return bench.ours(model=config | {name: config[name] | changes})


def processor(bench: Bench, **content: object) -> Path:
    return with_file(bench.hugging_face(), "preprocessor_config.json", json.dumps(content))


def zip_of_a_text(bench: Bench) -> Path:
    bench.write("note.txt", "hello")
    return Path(shutil.make_archive(str(bench.folder / "w"), "zip", bench.folder, "note.txt")).rename(
        bench.folder / "w.pt"
    )


def torn_weights(bench: Bench) -> Path:
    return with_file(bench.ours(), "model.safetensors", torn(bench.ours() / "model.safetensors"))


def broken_tokenizer(bench: Bench) -> Path:
    return with_file(bench.hugging_face(), "tokenizer.json", '{"model": {}}')


def bad(name: str, make: Callable[[Bench], Path], message: str) -> Row:
    """A row for a model that cannot be read."""
    return Row(name, lambda bench: ["info", make(bench)], message)


PACKED = "transformer__resblocks__0__attn__in_proj_weight"
INDEX = "model.safetensors.index.json"

FILES = [
    bad("empty .pt", lambda b: b.write("w.pt", ""), r"w\.pt is not a whole checkpoint"),
    bad("text .pt", lambda b: b.write("w.pt", "hello, world"), r"w\.pt is (not a whole|damaged)"),
    bad("torn .pt", lambda b: torn_file(b, formats.write_state_dict("resnet", b.folder)), "not a whole checkpoint"),
    bad("torn archive", lambda b: torn_file(b, formats.write_torchscript("resnet", b.folder)), "not a whole"),
    bad("zip of a text", lambda b: zip_of_a_text(b), "not a whole checkpoint"),
    bad("class in a pickle", lambda b: saved(b, {"x": Path("x")}), "more than tensors, a pathlib"),
    bad("list of tensors", lambda b: saved(b, [torch.zeros(1)]), "holds a list, not named tensors"),
    bad("no tensors", lambda b: saved(b, {"epoch": 3}), "no named tensors; its keys are epoch"),
    bad("empty .safetensors", lambda b: b.write("w.safetensors", ""), "not a whole safetensors file"),
    bad("garbage .safetensors", lambda b: b.write("w.safetensors", b"\xff" * 99), "not a whole safetensors file"),
    bad("torn .safetensors", lambda b: torn_weights(b), "not a whole safetensors file"),
    bad("untold state dict", lambda b: saved(b, formats.tiny_checkpoint().tensors), "give preset="),
    bad("tensor missing", lambda b: changed(b.ours(), logit_scale=None), "missing logit_scale"),
    bad("tensor unknown", lambda b: changed(b.ours(), x=torch.ones(1)), "unknown x"),
    bad("tensor of SigLIP's", lambda b: changed(b.open_clip(), logit_bias=torch.ones(1)), "trained with SigLIP"),
    bad("packed attention of 47", lambda b: changed(b.open_clip(), **{PACKED: torch.ones(47, 16)}), "be 3 x width"),
    bad("packed attention of 1", lambda b: changed(b.open_clip(), **{PACKED: torch.ones(())}), "be 3 x width"),
    bad("folder without weights", lambda b: without_weights(b.ours()), "has no weights: neither"),
    bad("index of nothing", lambda b: with_file(without_weights(b.hugging_face()), INDEX, "{}"), "no weight_map"),
    bad(
        "shard missing",
        lambda b: with_file(without_weights(b.hugging_face()), INDEX, '{"weight_map": {"a": "model-1.safetensors"}}'),
        r"model-1\.safetensors is missing",
    ),
    bad(
        "tensor misshapen",
        lambda b: changed(b.ours(), visual__proj=torch.ones(16, 9)),
        r"misshapen visual\.proj \[16, 9\] \(expected \[16, 8\]\).*Closest preset",
    ),
]

OUR_CONFIGS = [
    bad("config not JSON", lambda b: with_file(b.ours(), "config.json", "{"), "cannot be read as JSON"),
    bad("config a list", lambda b: with_file(b.ours(), "config.json", "[]"), "should hold a JSON object"),
    bad("config too deep", lambda b: with_file(b.ours(), "config.json", "[" * 99_999), "cannot be read as JSON"),
    bad("config not text", lambda b: with_file(b.ours(), "config.json", b"\xff{}"), "cannot be read as JSON"),
    bad("format version", lambda b: b.ours(format_version=2), "of format version 2, and Diptych"),
    bad("config without a model", lambda b: b.ours(model=...), "has no 'model'"),
    bad("model of nothing", lambda b: b.ours(model={}), "model: missing 'embed_dim'"),
    bad("width of words", lambda b: our_model(b, "text", width="wide"), "text.width must be a whole number"),
    bad("width of a half", lambda b: our_model(b, "text", width=16.5), "text.width must be a whole number"),
    bad("heads of five", lambda b: our_model(b, "text", heads=5), "multiple of text.heads, got 16 and 5"),
    bad(
        "layers of none",
        lambda b: our_model(b, "vision", layers=0),
        "layers must be a whole number from 1 to 1,000, got 0",
    ),
    bad("key unknown", lambda b: our_model(b, "text", witdh=3), "unknown key 'text.witdh'; did you mean"),
    bad("image of no patch", lambda b: our_model(b, "vision", image_size=[8, 8]), "at least one patch of 16"),
    bad("preprocessing unknown", lambda b: b.ours(preprocess={"gamma": 2}), "unknown key 'gamma'"),
    bad("images of another size", lambda b: b.ours(preprocess={}), r"\(224, 224\).*\(32, 32\)"),
]

HUGGING_FACE_CONFIGS = [
    bad("another model type", lambda b: b.hugging_face(model_type="siglip"), "'siglip', not a CLIP"),
    bad("no model type", lambda b: b.hugging_face(model_type=...), "type None, not a CLIP"),
    bad("epsilon", lambda b: tower(b, "text_config", layer_norm_eps=1e-6), "CLIP's is 1e-5"),
    bad("two activations", lambda b: tower(b, "text_config", hidden_act="gelu"), "needs one for both"),
    bad("activation a list", lambda b: tower(b, "text_config", hidden_act=["x"]), "hidden_act should be like"),
    bad("size of words", lambda b: tower(b, "vision_config", hidden_size="16"), "hidden_size should be like"),
    bad("size of nothing", lambda b: tower(b, "vision_config", hidden_size=0), "from 1 to 65,536, got 0"),
    bad("tower a list", lambda b: b.hugging_face(text_config=[1]), "text_config should be a JSON object"),
    bad("images unresized", lambda b: processor(b, size=32, do_resize=False), "do_resize is false"),
    bad("images longest", lambda b: processor(b, size={"longest_edge": 32}), "must be a whole number"),
    bad("images cut", lambda b: processor(b, size=64, crop_size=32), "crops what it resized to"),
    bad("resampling of 99", lambda b: processor(b, size=32, resample=99), "interpolation must be"),
    bad("mean of two", lambda b: processor(b, size=32, image_mean=[0, 1]), "mean must be a list of 3"),
    Row("tokenizer of nothing", lambda b: [*b.label("--labels", "a,b")[:-1], broken_tokenizer(b)], "tokenizer.json"),
    Row("tokenizer missing", lambda b: [*b.label("--labels", "a,b")[:-1], b.ours()], "60 token embeddings"),
]

OPEN_CLIP_CONFIGS = [
    bad("no model_cfg", lambda b: b.open_clip(model_cfg=...), "has no model_cfg with"),
    bad("model_cfg of a list", lambda b: b.open_clip(model_cfg={"embed_dim": 8, "vision_cfg": []}), "no model_cfg"),
    bad("timm", lambda b: part(b, "vision_cfg", timm_model_name="vit"), "vision_cfg.timm_model_name is 'vit'"),
    bad("text of another", lambda b: part(b, "text_cfg", hf_model_name="bert"), "text_cfg.hf_model_name is 'bert'"),
    bad("heads of no width", lambda b: part(b, "vision_cfg", head_width=0), "heads must be a whole number from 1"),
    bad("three stages", lambda b: part(b, "vision_cfg", layers=[1, 1, 1]), "vision.layers must be a list of 4"),
    bad("image of nothing", lambda b: part(b, "vision_cfg", image_size=[]), "image_size must be a list of 2"),
    bad("preprocessing a list", lambda b: b.open_clip(preprocess_cfg=[1]), "preprocess_cfg should be a JSON object"),
    bad("std of two", lambda b: b.open_clip(preprocess_cfg={"std": [0, 1]}), "std must be a list of 3"),
    bad("interpolation", lambda b: b.open_clip(preprocess_cfg={"interpolation": "random"}), "must be 'nearest'"),
]


CONFIGS = [*OUR_CONFIGS, *HUGGING_FACE_CONFIGS, *OPEN_CLIP_CONFIGS]
ROWS = [*PHOTOS, *LABELS, *ARGUMENTS, *NAMES, *FILES, *CONFIGS]


def run(arguments: list[object], monkeypatch: pytest.MonkeyPatch) -> int:
    """`diptych` in this process; torch is imported already, and that takes longer than all of the rows."""
    monkeypatch.setattr(sys, "argv", ["diptych", *map(str, arguments)])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main() changes it
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_bad_input_is_told_in_one_line(
    row: Row, bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(row.arguments(bench), monkeypatch) == row.status
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("diptych: ")
    assert shown.err.count("\n") == 1
    assert re.search(row.message, shown.err), shown.err
    assert "[Errno" not in shown.err


def test_a_cache_that_is_a_file_is_told_in_one_line(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DIPTYCH_CACHE", str(bench.photo))
    assert run(["convert", "ViT-B/32", bench.folder / "out"], monkeypatch) == 1
    assert "set DIPTYCH_CACHE to a folder" in capsys.readouterr().err


# ---- from Python


@pytest.fixture(scope="module")
def encoder(model: Path) -> DualEncoder:
    return diptych.load(model, dtype="float32", device="cpu")


class Call(NamedTuple):
    """A call on an encoder with a photo that opens, what it raises, and the informative part of its text."""

    name: str
    call: Callable[[DualEncoder, Path], object]
    error: type[Exception]
    message: str


CALLS = [
    Call("one path for many", lambda e, p: e.encode_images(str(p)), TypeError, r"an iterable of images, got one str"),
    Call("missing photo", lambda e, p: e.encode_images([p, "no.jpg"]), diptych.ImageError, r"no\.jpg: no such file"),
    Call("number for a photo", lambda e, _: e.encode_images([3]), diptych.ImageError, "give a path, bytes"),  # type: ignore[list-item]
    Call(
        "array of five channels",
        lambda e, _: e.encode_images([np.zeros((8, 8, 5), np.uint8)]),
        diptych.ImageError,
        r"shape \(8, 8, 5\) is not",
    ),
    Call("array of -1", lambda e, _: e.encode_images([np.full((8, 8), -1.0)]), diptych.ImageError, r"within 0\.\.1"),
    Call("array of int64", lambda e, _: e.encode_images([np.zeros((8, 8), np.int64)]), diptych.ImageError, "int64"),  # type: ignore[list-item]
    Call("one text for many", lambda e, _: e.encode_texts("a dog"), TypeError, "got one string"),
    Call("number for a text", lambda e, _: e.encode_texts(["a", 3]), ValueError, "text 1 is not a string but int"),  # type: ignore[list-item]
    Call("on_long", lambda e, _: e.encode_texts(["a"], on_long="skip"), ValueError, "on_long must be"),  # type: ignore[arg-type]
    Call(
        "text too long",
        lambda e, _: e.encode_texts(["a", "cat " * 99], on_long="error"),
        diptych.TextTooLongError,
        "1 of 2 texts are longer than 77 tokens .the first, at 1, has 101",
    ),
    Call("one class for many", lambda e, _: e.classifier("dog"), ValueError, "several names, got one string"),
    Call("no classes", lambda e, _: e.classifier([]), ValueError, "at least one name"),
    Call("class of a number", lambda e, _: e.classifier([1, 2]), ValueError, "phrases that are texts"),  # type: ignore[list-item]
    Call("class of nothing", lambda e, _: e.classifier({"dog": []}), ValueError, "phrases that are texts"),
    Call("no templates", lambda e, _: e.classifier(["dog"], []), ValueError, "at least one, got none"),
    Call("template without {}", lambda e, _: e.classifier(["dog"], ["a photo"]), ValueError, r"one \{\}"),
    Call("templates of no name", lambda e, _: e.classifier(["dog"], "imagenot"), ValueError, "no templates named"),
    Call(
        "threshold missing",
        lambda e, p: e.classifier(["dog", "cat"]).predict_each([p], threshold={"dog": 0.5}),
        ValueError,
        "No threshold is given for cat",
    ),
    Call(
        "threshold of two",
        lambda e, p: e.classifier(["dog", "cat"]).predict_each([p], threshold=2),
        ValueError,
        "from 0 to 1, got 2 for dog",
    ),
    Call(
        "background of labels",
        lambda e, p: e.classifier(["dog", "cat"]).predict_each([p], background=["cat"]),
        ValueError,
        "a text that is not a label",
    ),
    Call(
        "class twice",
        lambda e, _: e.classifier(["dog", "cat"]).extended(["cat"]),
        ValueError,
        "has these classes already: cat",
    ),
    Call("classifier of a photo", lambda e, p: ZeroShotClassifier.load(p, e), diptych.DiptychError, "not a classifier"),
    Call("device", lambda e, _: diptych.load(e.checkpoint.source, device="gpu"), ValueError, "no device 'gpu'"),
    Call("dtype", lambda e, _: diptych.load(e.checkpoint.source, dtype="int8"), ValueError, "got 'int8'"),  # type: ignore[arg-type]
    Call(
        "float16 on a CPU",
        lambda e, _: diptych.load(e.checkpoint.source, dtype="float16", device="cpu"),
        ValueError,
        "hundreds of times slower",
    ),
    Call("preprocess", lambda e, _: diptych.load(e.checkpoint.source, preprocess="quick"), ValueError, "got 'quick'"),  # type: ignore[arg-type]
    Call("image size", lambda e, _: diptych.load(e.checkpoint.source, image_size=5), diptych.CheckpointError, "patch"),
    Call("activation", lambda e, _: diptych.load(e.checkpoint.source, activation="elu"), ValueError, "got 'elu'"),  # type: ignore[arg-type]
    Call("format", lambda e, p: e.save(p.parent / "out", "onnx"), ValueError, "got 'onnx'"),  # type: ignore[arg-type]
    Call("saved on a file", lambda e, p: e.save(p), diptych.DiptychError, r"good\.jpg is a file"),
    Call(
        "tokens too many", lambda *_: openai_api.tokenize("cat " * 99), RuntimeError, "too long for context length 77"
    ),
    Call("attribute of the package", lambda *_: diptych.laod, AttributeError, "it has .*CheckpointError"),
]


@pytest.mark.parametrize("row", CALLS, ids=[row.name for row in CALLS])
def test_bad_arguments_raise_one_line(row: Call, encoder: DualEncoder, bench: Bench) -> None:
    with pytest.raises(row.error, match=row.message) as raised:
        row.call(encoder, bench.photo)
    if row.name != "tokens too many":  # OpenAI's text, with the input in it
        assert "\n" not in str(raised.value)


def test_there_are_enough_rows_and_no_name_twice() -> None:
    assert len(ROWS) >= 100
    for rows in (ROWS, CALLS):
        names = [row.name for row in rows]
        assert len(set(names)) == len(names)
