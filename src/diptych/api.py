"""The face that people use: `diptych.load()` and what it gives."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, overload

from diptych.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from diptych.checkpoints.save import Format
from diptych.encode.devices import DType, resolve_device, resolve_dtype
from diptych.encode.encoder import Array, Features, OnError, OnLong, Rows
from diptych.encode.torch_encoder import TorchEncoder
from diptych.images import ImageSource
from diptych.preprocess import PreprocessKind
from diptych.zeroshot import ClassNames, Templates, ZeroShotClassifier, build_classifier

if TYPE_CHECKING:
    from diptych.model.clip import CLIP
    from diptych.model.config import Activation, CLIPConfig
    from diptych.preprocess import Preprocess
    from diptych.tokenizer import Tokenizer


def load(
    name: str | Path | None = None,
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: DType = "auto",
    image_size: int | tuple[int, int] | None = None,
    preset: "str | CLIPConfig | None" = None,
    activation: "Activation | None" = None,
    preprocess: PreprocessKind = "exact",
) -> "DualEncoder":
    """Both towers of a CLIP, ready to encode.

    Without a `name` it is postcard, the small model in the package, which needs no network. `name` is, in this order:
    an existing path (a folder of Diptych, Hugging Face or OpenCLIP, or a weights file); "postcard"; one of OpenAI's
    nine names ("ViT-B/32"); OpenCLIP's "preset:tag" ("ViT-B-32:laion2b_s34b_b79k"); a hub id "org/repo", of which
    `revision` is a branch, tag or commit.

    `dtype` "auto" is bfloat16 where the processor computes it natively, bfloat16 or float16 on a GPU, else float32.
    `image_size` (pixels, or height and width) resizes the position embeddings. `preset` and `activation` say what a
    bare state dict leaves open. `preprocess` "fast" decodes JPEGs reduced (docs/preprocessing.md).

    Raises CheckpointError, in one line, for what cannot be found, fetched, read or fitted.
    """
    resolve_dtype(dtype, resolve_device(device))  # what cannot be computed is said before anything is fetched
    checkpoint = load_checkpoint(name, revision=revision, preset=preset, activation=activation, image_size=image_size)
    return DualEncoder(TorchEncoder(checkpoint, device=device, dtype=dtype, preprocess=preprocess))


class DualEncoder:
    """A CLIP that turns images and texts into vectors of one space, and class names into a classifier.

    `encoder` does the work; `model` is the torch module itself.
    """

    def __init__(self, encoder: TorchEncoder) -> None:
        self.encoder = encoder

    @property
    def checkpoint(self) -> Checkpoint:
        """What was loaded: config, tensors as stored, preprocessing, source."""
        return self.encoder.checkpoint

    @property
    def model(self) -> "CLIP":
        """The torch module, in evaluation mode."""
        return self.encoder.model

    @property
    def config(self) -> "CLIPConfig":
        """Sizes of both towers."""
        return self.checkpoint.config

    @property
    def preprocess(self) -> "Preprocess":
        """How images become pixels."""
        return self.checkpoint.preprocess

    @property
    def tokenizer(self) -> "Tokenizer":
        """How texts become token ids."""
        return self.encoder.tokenizer

    @property
    def embed_dim(self) -> int:
        """E, the width of the shared space."""
        return self.encoder.embed_dim

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by to become logits: the model's own, never assumed to be 100."""
        return self.encoder.logit_scale

    @property
    def device(self) -> str:
        """Where it computes."""
        return str(self.encoder.device)

    @property
    def dtype(self) -> str:
        """The dtype of the matrix products: float32, bfloat16 or float16."""
        return self.encoder.dtype

    @property
    def fingerprint(self) -> str:
        """Names the weights and their preprocessing: equal for the same weights in any format."""
        return self.encoder.fingerprint

    @overload
    def encode_images(
        self, images: Iterable[ImageSource], *, on_error: None = None, progress: bool = False
    ) -> Features: ...
    @overload
    def encode_images(self, images: Iterable[ImageSource], *, on_error: OnError, progress: bool = False) -> Rows: ...
    def encode_images(
        self, images: Iterable[ImageSource], *, on_error: OnError | None = None, progress: bool = False
    ) -> Features | Rows:
        """(N, E) float32 unit rows for paths, bytes, file objects, PIL images or arrays, in their order.

        An unreadable image raises ImageError. With `on_error`, it is called with (index, image, error) for each, and
        the rows of the others come back with their indices: `indices, features = encode_images(..., on_error=f)`.
        """
        if on_error is None:
            return self.encoder.encode_images(images, progress=progress)
        return self.encoder.encode_images(images, on_error=on_error, progress=progress)

    def iter_images(self, images: Iterable[ImageSource], *, on_error: OnError | None = None) -> Iterator[Rows]:
        """Batches of (indices, features) as they are ready, in order: for inputs without end."""
        return self.encoder.iter_images(images, on_error=on_error)

    def encode_texts(self, texts: Iterable[str], *, on_long: OnLong = "warn", progress: bool = False) -> Features:
        """(N, E) float32 unit rows, in the order of `texts`.

        Texts over the context length are cut, with one warning that counts them; `on_long="cut"` says nothing, and
        "error" raises TextTooLongError instead.
        """
        return self.encoder.encode_texts(texts, on_long=on_long, progress=progress)

    def pooled_images(self, images: Iterable[ImageSource]) -> Array:
        """(N, D) float32 features before the projection, not normalised: what linear probes are fitted on."""
        return self.encoder.pooled_images(images)

    def pooled_texts(self, texts: Iterable[str], *, on_long: OnLong = "warn") -> Array:
        """(N, D) float32 features before the projection, not normalised."""
        return self.encoder.pooled_texts(texts, on_long=on_long)

    def patch_tokens(self, images: Iterable[ImageSource]) -> Array:
        """(N, rows * columns, D) float32 tokens of the patches, row by row, before the projection."""
        return self.encoder.patch_tokens(images)

    def similarity(self, images: Iterable[ImageSource], texts: Iterable[str]) -> Array:
        """(N, M) cosines of N images with M texts, in -1..1; times `logit_scale` they are CLIP's logits per image."""
        return self.encode_images(images) @ self.encode_texts(texts).T

    def classifier(
        self, class_names: ClassNames, templates: Templates = None, *, cache: bool = True, progress: bool = False
    ) -> ZeroShotClassifier:
        """A zero-shot classifier over `class_names`; its text work is done now, and kept on disk by content.

        Names, or a mapping from each name to phrases that describe it. `templates` is a name in
        `diptych.prompts.TEMPLATES` ("imagenet"), one template, several, or a file; "a photo of a {}." by default.
        """
        return build_classifier(self.encoder, class_names, templates, cache=cache, progress=progress)

    def save(self, folder: str | Path, format: Format = "diptych", *, overwrite: bool = False) -> None:
        """Write the model to a folder in the format "diptych", "huggingface" or "openclip".

        Weights that were not changed since they were loaded keep their bytes, whatever `dtype` they are computed in.
        """
        save_checkpoint(self.encoder.current_checkpoint(), Path(folder), format, overwrite=overwrite)

    def __repr__(self) -> str:
        return f"DualEncoder({self.checkpoint.source!r}, embed_dim={self.embed_dim}, {self.dtype} on {self.device})"
