"""OpenCLIP's published weights of the plain CLIP family, by preset and tag: facts from open_clip_torch 3.3's table.

Each record says where the weights are and how their images are to be prepared. `quick_gelu` is the activation that
they were trained with, whatever the preset is called. Left out: CLIPA, SigLIP, and towers that are no plain CLIP.
"""

from dataclasses import dataclass
from typing import Literal

Triple = tuple[float, float, float]

_OPENAI_MEAN: Triple = (0.48145466, 0.4578275, 0.40821073)
_OPENAI_STD: Triple = (0.26862954, 0.26130258, 0.27577711)
_HALF: Triple = (0.5, 0.5, 0.5)

_GITHUB = "https://github.com/mlfoundations/open_clip/releases/download/v0.2-weights"


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """Published weights: a Hub repository, or else a file at a URL with the beginning of its SHA-256."""

    repo: str | None = None
    url: str | None = None
    sha256: str | None = None
    quick_gelu: bool = False
    mean: Triple = _OPENAI_MEAN
    std: Triple = _OPENAI_STD
    interpolation: Literal["bicubic"] = "bicubic"
    resize_mode: Literal["shortest", "squash"] = "shortest"


def _laion(name: str, *, mean: Triple = _OPENAI_MEAN, std: Triple = _OPENAI_STD) -> Pretrained:
    return Pretrained(repo=f"laion/CLIP-{name}", mean=mean, std=std)


def _apple(
    name: str, *, quick_gelu: bool = True, resize_mode: Literal["shortest", "squash"] = "shortest"
) -> Pretrained:
    return Pretrained(repo=f"apple/{name}", quick_gelu=quick_gelu, resize_mode=resize_mode)


def _timm(name: str, *, quick_gelu: bool = True) -> Pretrained:
    """Weights that were first published as a bare file, now in a repository with their config."""
    return Pretrained(repo=f"timm/{name}", quick_gelu=quick_gelu)


OPEN_CLIP_TAGS: dict[str, dict[str, Pretrained]] = {
    "RN50": {tag: _timm(f"resnet50_clip.{tag}") for tag in ("openai", "yfcc15m", "cc12m")},
    "RN101": {tag: _timm(f"resnet101_clip.{tag}") for tag in ("openai", "yfcc15m")},
    "RN50x4": {"openai": _timm("resnet50x4_clip.openai")},
    "RN50x16": {"openai": _timm("resnet50x16_clip.openai")},
    "RN50x64": {"openai": _timm("resnet50x64_clip.openai")},
    "ViT-B-32": {
        "openai": _timm("vit_base_patch32_clip_224.openai"),
        "laion400m_e31": _timm("vit_base_patch32_clip_224.laion400m_e31"),
        "laion400m_e32": _timm("vit_base_patch32_clip_224.laion400m_e32"),
        "laion2b_e16": _timm("vit_base_patch32_clip_224.laion2b_e16", quick_gelu=False),
        "laion2b_s34b_b79k": _laion("ViT-B-32-laion2B-s34B-b79K"),
        "datacomp_xl_s13b_b90k": _laion("ViT-B-32-DataComp.XL-s13B-b90K"),
        "datacomp_m_s128m_b4k": _laion("ViT-B-32-DataComp.M-s128M-b4K"),
        "commonpool_m_clip_s128m_b4k": _laion("ViT-B-32-CommonPool.M.clip-s128M-b4K"),
        "commonpool_m_laion_s128m_b4k": _laion("ViT-B-32-CommonPool.M.laion-s128M-b4K"),
        "commonpool_m_image_s128m_b4k": _laion("ViT-B-32-CommonPool.M.image-s128M-b4K"),
        "commonpool_m_text_s128m_b4k": _laion("ViT-B-32-CommonPool.M.text-s128M-b4K"),
        "commonpool_m_basic_s128m_b4k": _laion("ViT-B-32-CommonPool.M.basic-s128M-b4K"),
        "commonpool_m_s128m_b4k": _laion("ViT-B-32-CommonPool.M-s128M-b4K"),
        "datacomp_s_s13m_b4k": _laion("ViT-B-32-DataComp.S-s13M-b4K"),
        "commonpool_s_clip_s13m_b4k": _laion("ViT-B-32-CommonPool.S.clip-s13M-b4K"),
        "commonpool_s_laion_s13m_b4k": _laion("ViT-B-32-CommonPool.S.laion-s13M-b4K"),
        "commonpool_s_image_s13m_b4k": _laion("ViT-B-32-CommonPool.S.image-s13M-b4K"),
        "commonpool_s_text_s13m_b4k": _laion("ViT-B-32-CommonPool.S.text-s13M-b4K"),
        "commonpool_s_basic_s13m_b4k": _laion("ViT-B-32-CommonPool.S.basic-s13M-b4K"),
        "commonpool_s_s13m_b4k": _laion("ViT-B-32-CommonPool.S-s13M-b4K"),
        "metaclip_400m": _timm("vit_base_patch32_clip_224.metaclip_400m"),
        "metaclip_fullcc": _timm("vit_base_patch32_clip_224.metaclip_2pt5b"),
    },
    "ViT-B-32-256": {"datacomp_s34b_b86k": _laion("ViT-B-32-256x256-DataComp-s34B-b86K")},
    "ViT-B-16": {
        "openai": _timm("vit_base_patch16_clip_224.openai"),
        "laion400m_e31": _timm("vit_base_patch16_clip_224.laion400m_e31", quick_gelu=False),
        "laion400m_e32": _timm("vit_base_patch16_clip_224.laion400m_e32", quick_gelu=False),
        "laion2b_s34b_b88k": _laion("ViT-B-16-laion2B-s34B-b88K"),
        "datacomp_xl_s13b_b90k": _laion("ViT-B-16-DataComp.XL-s13B-b90K"),
        "datacomp_l_s1b_b8k": _laion("ViT-B-16-DataComp.L-s1B-b8K"),
        "commonpool_l_clip_s1b_b8k": _laion("ViT-B-16-CommonPool.L.clip-s1B-b8K"),
        "commonpool_l_laion_s1b_b8k": _laion("ViT-B-16-CommonPool.L.laion-s1B-b8K"),
        "commonpool_l_image_s1b_b8k": _laion("ViT-B-16-CommonPool.L.image-s1B-b8K"),
        "commonpool_l_text_s1b_b8k": _laion("ViT-B-16-CommonPool.L.text-s1B-b8K"),
        "commonpool_l_basic_s1b_b8k": _laion("ViT-B-16-CommonPool.L.basic-s1B-b8K"),
        "commonpool_l_s1b_b8k": _laion("ViT-B-16-CommonPool.L-s1B-b8K"),
        "dfn2b": _apple("DFN2B-CLIP-ViT-B-16"),
        "metaclip_400m": _timm("vit_base_patch16_clip_224.metaclip_400m"),
        "metaclip_fullcc": _timm("vit_base_patch16_clip_224.metaclip_2pt5b"),
    },
    "ViT-B-16-plus-240": {
        "laion400m_e31": _timm("vit_base_patch16_plus_clip_240.laion400m_e31", quick_gelu=False),
        # open_clip's table leads to the repository of e31 here, so the file that was published first is named instead.
        "laion400m_e32": Pretrained(
            url=f"{_GITHUB}/vit_b_16_plus_240-laion400m_e32-699c4b84.pt",
            sha256="699c4b84",
        ),
    },
    "ViT-L-14": {
        "openai": _timm("vit_large_patch14_clip_224.openai"),
        "laion400m_e31": _timm("vit_large_patch14_clip_224.laion400m_e31", quick_gelu=False),
        "laion400m_e32": _timm("vit_large_patch14_clip_224.laion400m_e32", quick_gelu=False),
        "laion2b_s32b_b82k": _laion("ViT-L-14-laion2B-s32B-b82K", mean=_HALF, std=_HALF),
        "datacomp_xl_s13b_b90k": _laion("ViT-L-14-DataComp.XL-s13B-b90K"),
        "commonpool_xl_clip_s13b_b90k": _laion("ViT-L-14-CommonPool.XL.clip-s13B-b90K"),
        "commonpool_xl_laion_s13b_b90k": _laion("ViT-L-14-CommonPool.XL.laion-s13B-b90K"),
        "commonpool_xl_s13b_b90k": _laion("ViT-L-14-CommonPool.XL-s13B-b90K"),
        "metaclip_400m": _timm("vit_large_patch14_clip_224.metaclip_400m"),
        "metaclip_fullcc": _timm("vit_large_patch14_clip_224.metaclip_2pt5b"),
        "dfn2b": _apple("DFN2B-CLIP-ViT-L-14"),
        "dfn2b_s39b": _apple("DFN2B-CLIP-ViT-L-14-39B", quick_gelu=False),
    },
    "ViT-L-14-336": {"openai": _timm("vit_large_patch14_clip_336.openai")},
    "ViT-H-14": {
        "laion2b_s32b_b79k": _laion("ViT-H-14-laion2B-s32B-b79K"),
        "metaclip_fullcc": _timm("vit_huge_patch14_clip_224.metaclip_2pt5b"),
        "metaclip_altogether": _timm("vit_huge_patch14_clip_224.metaclip_altogether", quick_gelu=False),
        "dfn5b": _apple("DFN5B-CLIP-ViT-H-14", resize_mode="squash"),
    },
    "ViT-H-14-378": {"dfn5b": _apple("DFN5B-CLIP-ViT-H-14-378", resize_mode="squash")},
    "ViT-g-14": {
        "laion2b_s12b_b42k": _laion("ViT-g-14-laion2B-s12B-b42K"),
        "laion2b_s34b_b88k": _laion("ViT-g-14-laion2B-s34B-b88K"),
    },
    "ViT-bigG-14": {
        "laion2b_s39b_b160k": _laion("ViT-bigG-14-laion2B-39B-b160k"),
        "metaclip_fullcc": _timm("vit_gigantic_patch14_clip_224.metaclip_2pt5b"),
    },
}
