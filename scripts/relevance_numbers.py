"""The numbers, the constants and the picture of docs/relevance.md: does a search say so when nothing matches?

python scripts/relevance_numbers.py --data data

`data` is the folder of the sets that configs/postcard.toml names. Libraries are made of their validation photos,
queries of words for what is in them and for what is not. Constants are fitted on some of the libraries and judged on
the others; every kind of query in every library counts the same. Features are kept in --runs, by model.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve

from diptych.calibration import BACKGROUND_QUANTILE, MATCH_THRESHOLD, NONE_THRESHOLD, none_of_these
from diptych.checkpoints import load_checkpoint
from diptych.encode.encoder import Array, Encoder, Features
from diptych.encode.torch_encoder import TorchEncoder
from diptych.library.background import Background, background_texts
from diptych.library.matrix import Matrix
from diptych.prompts import DEFAULT_LABELS
from diptych.zeroshot import DEFAULT_TEMPLATE
from validation_libraries import CAPTIONED, LABELLED, MOST_OF_ALL, SIZES, Library, Photos, libraries, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

MOST_QUERIES = 300  # of a kind
HITS = 20  # looked at by a search
FALSE_ALARM = 2  # misses that are as bad
THRESHOLDS = (0.3, 0.5, 0.7, 0.9)
OFFERED = (3, 5, 10, 30)  # numbers of labels
# Whose pictures show none of a set's labels. Flickr8k has sports, cifar100 and tiny-imagenet share classes.
OTHERS = {
    "cifar100": ("grocery", "fashion"),
    "grocery": ("tiny-imagenet", "fashion", "cifar100"),
    "tiny-imagenet": ("fashion", "grocery"),
    "imagenette": ("scenes", "furniture", "instruments", "flickr8k"),
    "instruments": ("scenes", "sports", "furniture", "imagenette"),
    "scenes": ("instruments", "furniture", "imagenette"),
    "sports": ("scenes", "instruments", "furniture"),
}
NONE_FIT = ("cifar100", "grocery", "tiny-imagenet")


@dataclass(frozen=True, kw_only=True)
class Block:
    """Measures of the queries of one kind in one library: a column each of FORMULAS, and what they are made of."""

    library: str
    size: int
    kind: str
    is_fit: bool
    is_present: bool
    is_hard: bool
    columns: Mapping[str, Numbers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="postcard")
    parser.add_argument("--runs", type=Path, default=Path("runs/relevance"))
    parser.add_argument("--plot", type=Path, help="where the ROC curves go, such as docs/images/relevance-roc.png")
    arguments = parser.parse_args()
    encoder = TorchEncoder(load_checkpoint(arguments.model), device="cpu", dtype="float32", preprocess="fast")
    sets = {name: read(arguments.data, name, encoder, arguments.runs) for name in (*LABELLED, *CAPTIONED)}
    blocks = list(measured(encoder, libraries(sets)))
    fit_relevance(blocks)
    print_formulas(blocks)
    print_kinds(blocks)
    print_hits(encoder, sets)
    cases = list(none_cases(encoder, sets))
    fit_none(cases)
    print_none(cases)
    if arguments.plot:
        plot(blocks, cases, arguments.plot)


# ---- does the library have a match?


def measured(encoder: Encoder, every: Iterable[Library]) -> Iterator[Block]:
    """All formulas for all queries."""
    texts = encoder.encode_texts(background_texts())
    known: dict[str, Features] = {}
    for each in every:
        background = background_of(texts, each.features)
        groups = ((each.present, True, False), (each.absent, False, False), (each.hard, False, True))
        for queries, is_present, is_hard in groups:
            for kind, words in queries.items():
                asked = few(words)
                if new := [text for text in asked if text not in known]:
                    known.update(zip(new, encoder.encode_texts(new), strict=True))
                yield Block(
                    library=each.name,
                    size=len(each.features),
                    kind=kind,
                    is_fit=each.is_fit,
                    is_present=is_present,
                    is_hard=is_hard,
                    columns=measures(np.stack([known[text] for text in asked]) @ each.features.T, background),
                )


def background_of(texts: Features, features: Features) -> Background:
    """As the library has it."""
    ids = np.arange(1, len(features) + 1)
    matrix = Matrix(numbers=np.stack([ids, ids]), parts=(features, features[:0]))
    none = Background(texts=texts, statistics=np.empty((2, 0), np.float32), best=np.zeros(len(texts), np.float32))
    return none.extended(matrix)


def few(words: Sequence[str]) -> list[str]:
    """At most MOST_QUERIES, at even distances."""
    distinct = list(dict.fromkeys(words))
    count = min(len(distinct), MOST_QUERIES)
    return [distinct[i * len(distinct) // count] for i in range(count)]


def measures(cosines: Array, background: Background) -> dict[str, Numbers]:
    """(Q,) each, from the (Q, N) cosines of queries with a library's photos."""
    hits = np.argsort(-cosines, axis=1)[:, :HITS]
    found = np.take_along_axis(cosines, hits, axis=1)
    mean, spread = background.statistics[:, hits]
    middle = np.median(cosines, axis=1)
    deviation = 1.4826 * np.median(np.abs(cosines - middle[:, None]), axis=1)
    columns = {
        "best cosine": found[:, 0],
        "z over the library": (found[:, 0] - cosines.mean(axis=1)) / np.maximum(cosines.std(axis=1), 1e-6),
        "robust z over the library": (found[:, 0] - middle) / np.maximum(deviation, 1e-6),
        "z over texts": ((found - mean) / spread).max(axis=1),
        "level": np.full(len(cosines), background.level),
        "size": np.full(len(cosines), np.sqrt(2 * np.log(cosines.shape[1]))),  # how the best of many grows
        "relevance": background.relevance(hits.ravel(), found.ravel()).reshape(hits.shape).max(axis=1),
    }
    return {name: np.asarray(column, np.float64) for name, column in columns.items()}


# What is compared: a measure, or several that a logistic regression puts together.
FORMULAS: dict[str, tuple[str, ...]] = {
    "best cosine": ("best cosine",),
    "z over the library": ("z over the library",),
    "robust z over the library": ("robust z over the library",),
    "z over texts": ("z over texts",),
    "both z": ("z over texts", "z over the library"),
    "z over texts, size": ("z over texts", "size"),
    "z over texts, level": ("z over texts", "level"),
    "relevance": ("relevance",),
}


def table(blocks: Sequence[Block], columns: Sequence[str]) -> tuple[Numbers, Bools, Numbers]:
    """Rows, whether present, weights: present and absent halves, in each every library, in that every kind the same."""
    counts = [len(block.columns["level"]) for block in blocks]
    sides = [(block.is_present, block.library) for block in blocks]
    rows = np.concatenate([np.stack([block.columns[name] for name in columns], axis=1) for block in blocks])
    is_present = np.repeat([block.is_present for block in blocks], counts)
    weights = np.repeat([1 / n / sides.count(side) for n, side in zip(counts, sides, strict=True)], counts)
    for side in (is_present, ~is_present):
        weights[side] /= weights[side].sum()
    return rows, is_present, weights


def judged(blocks: Sequence[Block], *, is_fit: bool) -> list[Block]:
    """What constants are fitted on, or what was held out."""
    return [b for b in blocks if b.is_fit == is_fit and not b.is_hard and b.library != MOST_OF_ALL]


def fitted_on(rows: Numbers, is_true: Bools, weights: Numbers) -> LogisticRegression:
    """With all but no regularisation."""
    return LogisticRegression(C=1e4).fit(rows, is_true, weights / weights.sum() * 10_000)


def fit_relevance(blocks: Sequence[Block]) -> None:
    rows, is_present, weights = table(judged(blocks, is_fit=True), FORMULAS["z over texts, level"])
    fitted = fitted_on(rows, is_present, np.where(is_present, weights, FALSE_ALARM * weights))
    slope, level = fitted.coef_[0]
    centre, share = -fitted.intercept_[0] / slope, -level / slope
    print(f"relevance, as fitted here: centre {centre:.3f}, share {share:.3f}, slope {slope:.3f}\n")


def print_formulas(blocks: Sequence[Block]) -> None:
    """Areas under the ROC curve, and the operating point."""
    print("| formula | fitted on | held out | 5 photos | 20 | 100 | 1,000 or more | most of all |")
    print("|---|---|---|---|---|---|---|---|")
    fit, held_out = judged(blocks, is_fit=True), judged(blocks, is_fit=False)
    parts = [fit, held_out, *([b for b in held_out if b.size == size] for size in SIZES)]
    parts += [[b for b in held_out if b.size > max(SIZES)], [b for b in blocks if b.library == MOST_OF_ALL]]
    for name, columns in FORMULAS.items():
        fitted = fitted_on(*table(fit, columns)) if len(columns) > 1 else None
        cells = []
        for part in parts:
            rows, is_present, weights = table(part, columns)
            scores = fitted.decision_function(rows) if fitted else rows[:, 0]
            cells.append(f"{roc_auc_score(is_present, scores, sample_weight=weights):.3f}")
        print(f"| {name} | {' | '.join(cells)} |")
    for threshold in THRESHOLDS:
        cells = [operating_point(part, threshold) for part in parts]
        print(f"| relevance >= {threshold}: found / false alarms | {' | '.join(cells)} |")
    print()


def operating_point(blocks: Sequence[Block], threshold: float) -> str:
    rows, is_present, weights = table(blocks, ("relevance",))
    says = rows[:, 0] >= threshold
    found, wrong = (np.average(says[side], weights=weights[side]) for side in (is_present, ~is_present))
    return f"{found:.0%} / {wrong:.0%}"


def print_kinds(blocks: Sequence[Block]) -> None:
    """Each kind of query in each library apart."""
    print("| library | queries | in it? | best cosine | relevance, median | relevance >= threshold |")
    print("|---|---|---|---|---|---|")
    rows: dict[tuple[str, str, str], list[Block]] = {}
    for block in blocks:
        answer = "yes" if block.is_present else "no (hard)" if block.is_hard else "no"
        rows.setdefault((block.library, block.kind, answer), []).append(block)
    for (name, kind, answer), some in rows.items():
        cosine, relevance = (np.concatenate([b.columns[c] for b in some]) for c in ("best cosine", "relevance"))
        says = (relevance >= MATCH_THRESHOLD).mean()
        print(f"| {name} | {kind} | {answer} | {np.median(cosine):.2f} | {np.median(relevance):.2f} | {says:.0%} |")
    print()


def print_hits(encoder: Encoder, sets: Mapping[str, Photos]) -> None:
    """Are the hits themselves right? The first of every class name, in a library of one labelled set."""
    texts = encoder.encode_texts(background_texts())
    print(f"| set | right among {HITS} hits | AUC of cosine | AUC of relevance | right, of those >= threshold |")
    print("|---|---|---|---|---|")
    for name in LABELLED:
        photos = sets[name]
        names, background = np.array(photos.names()), background_of(texts, photos.features)
        classes = np.unique(names)
        cosines = encoder.encode_texts(classes.tolist()) @ photos.features.T
        hits = np.argsort(-cosines, axis=1)[:, :HITS]
        is_right = (names[hits] == classes[:, None]).ravel()
        found = np.take_along_axis(cosines, hits, axis=1).ravel()
        relevance = background.relevance(hits.ravel(), found)
        areas = [roc_auc_score(is_right, score) for score in (found, relevance)]
        kept = is_right[relevance >= MATCH_THRESHOLD].mean()
        print(f"| {name} | {is_right.mean():.0%} | {areas[0]:.2f} | {areas[1]:.2f} | {kept:.0%} |")
    print()


# ---- none of these


@dataclass(frozen=True, kw_only=True)
class NoneCase:
    """Some labels offered, and pictures: for each side, best cosines (N,) and background cosines (N, B).

    `fitting` are pictures of the labels, `like` of the same set's other classes, `unlike` of other sets.
    """

    name: str
    offered: int
    sides: Mapping[str, tuple[Array, Array]]

    @property
    def is_fit(self) -> bool:
        return self.name in NONE_FIT


def none_cases(encoder: Encoder, sets: Mapping[str, Photos]) -> Iterator[NoneCase]:
    """Four draws of labels from each set and number of labels."""
    background = sentences(encoder, DEFAULT_LABELS)
    others = {name: photos.features @ background.T for name, photos in sets.items()}
    draw = np.random.default_rng(0)
    for name in LABELLED:
        names = np.array(sets[name].names())
        classes = np.unique(names)
        for offered in [count for count in OFFERED if 2 * count <= len(classes)] * 4:
            labels = draw.choice(classes, offered, replace=False)
            label_features, is_fitting = sentences(encoder, labels), np.isin(names, labels)
            is_other = ~np.isin(DEFAULT_LABELS, labels)
            best = {each: (sets[each].features @ label_features.T).max(axis=1) for each in (name, *OTHERS[name])}
            behind = {each: others[each][:, is_other] for each in best}
            far = [np.concatenate([found[each] for each in OTHERS[name]]) for found in (best, behind)]
            sides = {
                "fitting": (best[name][is_fitting], behind[name][is_fitting]),
                "like": (best[name][~is_fitting], behind[name][~is_fitting]),
                "unlike": (far[0], far[1]),
            }
            yield NoneCase(name=name, offered=offered, sides=sides)


def sentences(encoder: Encoder, names: Iterable[str]) -> Features:
    return encoder.encode_texts([DEFAULT_TEMPLATE.replace("{}", name) for name in names])


def above(best: Array, background: Array, quantile: float = BACKGROUND_QUANTILE) -> Array:
    """What none_of_these takes the logistic of."""
    return np.asarray((best - np.quantile(background, quantile, axis=1)) / background.std(axis=1), np.float32)


NONE_FORMULAS: dict[str, Callable[[Array, Array], Array]] = {
    "best cosine": lambda best, background: best,
    "z over texts": lambda best, background: (best - background.mean(axis=1)) / background.std(axis=1),
    "above the 95th percentile": lambda best, background: above(best, background, 0.95),
    "above the 99th percentile": above,
    "none_of_these": lambda best, background: -none_of_these(best, background),
}


def none_table(
    cases: Iterable[NoneCase], formula: Callable[[Array, Array], Array], shares: Mapping[str, float]
) -> tuple[Numbers, Bools, Numbers]:
    """Scores, whether a label holds, and weights: the share of each side, divided among its pictures."""
    parts = [(side, formula(*case.sides[side])) for case in cases for side in shares]
    counts = [len(scores) for _, scores in parts]
    weights = [shares[side] / len(scores) for side, scores in parts]
    return (
        np.concatenate([scores for _, scores in parts]).astype(np.float64),
        np.repeat([side == "fitting" for side, _ in parts], counts),
        np.repeat(weights, counts),
    )


def fit_none(cases: Sequence[NoneCase]) -> None:
    shares = {"fitting": 1.0, "like": 0.5, "unlike": 0.5}
    scores, holds, weights = none_table([case for case in cases if case.is_fit], above, shares)
    fitted = fitted_on(scores[:, None], holds, weights)
    slope = fitted.coef_[0, 0]
    print(f"none_of_these, as fitted here: centre {-fitted.intercept_[0] / slope:.3f}, slope {slope:.3f}\n")


def print_none(cases: Sequence[NoneCase]) -> None:
    """Areas under the ROC curve by formula, each the mean over cases; the operating point by set and labels."""
    print("| formula | fitted on, like | fitted on, unlike | held out, like | held out, unlike |")
    print("|---|---|---|---|---|")
    for name, formula in NONE_FORMULAS.items():
        cells = []
        for is_fit in (True, False):
            for side in ("like", "unlike"):
                each = [none_table([case], formula, {"fitting": 1, side: 1}) for case in cases if case.is_fit == is_fit]
                cells.append(f"{np.mean([roc_auc_score(holds, scores) for scores, holds, _ in each]):.3f}")
        print(f"| {name} | {' | '.join(cells)} |")
    print("\n| set | labels | fitting, kept | like, refused | unlike, refused |\n|---|---|---|---|---|")
    groups: dict[tuple[str, str], list[NoneCase]] = {}
    for case in cases:
        groups.setdefault((case.name + ("" if case.is_fit else " (held out)"), str(case.offered)), []).append(case)
    groups["all that was held out", ""] = [case for case in cases if not case.is_fit]
    for (name, offered), some in groups.items():
        refused = [
            np.mean([(none_of_these(*case.sides[side]) >= NONE_THRESHOLD).mean() for case in some])
            for side in ("fitting", "like", "unlike")
        ]
        print(f"| {name} | {offered} | {1 - refused[0]:.0%} | {refused[1]:.0%} | {refused[2]:.0%} |")


# ---- the picture


def plot(blocks: Sequence[Block], cases: Sequence[NoneCase], path: Path) -> None:
    """Two panels of ROC curves, of what was held out, with the operating points."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.6), layout="constrained")
    for name in ("z over the library", "best cosine", "z over texts", "relevance"):
        rows, is_present, weights = table(judged(blocks, is_fit=False), FORMULAS[name])
        curve = roc_curve(is_present, rows[:, 0], sample_weight=weights)
        draw_curve(left, name, curve, MATCH_THRESHOLD if name == "relevance" else None)
    left.set_title("Is there a match in the library?")
    held_out = [case for case in cases if not case.is_fit]
    for side, words in (("unlike", "against other sets' pictures"), ("like", "against the same set's other classes")):
        scores, holds, weights = none_table(held_out, NONE_FORMULAS["none_of_these"], {"fitting": 1, side: 1})
        draw_curve(right, words, roc_curve(holds, scores, sample_weight=weights), -NONE_THRESHOLD)
    right.set_title("Does one of the labels hold?")
    for axes in (left, right):
        axes.plot([0, 1], [0, 1], color="0.8", linewidth=1, zorder=0)
        axes.set(xlabel="false alarms", ylabel="found", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=80)


def draw_curve(axes: "Axes", name: str, curve: tuple[Numbers, Numbers, Numbers], threshold: float | None) -> None:
    wrong, found, thresholds = curve
    [line] = axes.plot(wrong, found, label=f"{name}, {np.trapezoid(found, wrong):.3f}", linewidth=1.5)
    if threshold is not None:
        place = int(np.flatnonzero(thresholds >= threshold)[-1])
        axes.plot(wrong[place], found[place], "o", color=line.get_color())


if __name__ == "__main__":
    main()
