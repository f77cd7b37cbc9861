"""How well words name photos and groups: `python scripts/naming_numbers.py SET.parquet ... [--captions PAIRS.tar]`.

The numbers of docs/explore.md. A set has columns `image` (bytes) and `class_names` (the first is the name); a tar has
KEY.json with `captions` beside each picture.
"""

import argparse
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score, silhouette_score

import diptych
from diptych import DualEncoder
from diptych.encode.encoder import Array, Features
from diptych.library.clusters import default_count, group, stands_out
from diptych.library.vocabulary import build_names, build_vocabulary, list_everyday_words, rank_texts

MOST = 400  # pictures of a set


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+", metavar="SET.parquet")
    parser.add_argument("--captions", type=Path, metavar="PAIRS.tar")
    given = parser.parse_args()
    encoder = diptych.load(preprocess="fast")
    sets = {path.stem: read_set(encoder, path) for path in given.sets}
    names = np.concatenate([own for _, own in sets.values()])
    print_naming(encoder, "all", np.concatenate([features for features, _ in sets.values()]), names, names)
    for name, (features, own) in sets.items():
        print_naming(encoder, name, features, own, names)
    every = np.concatenate([features for features, _ in sets.values()])
    print_vocabularies(encoder, every, names)
    print_group_names(encoder, every, names)
    for name, (features, own) in sets.items():
        print_counts(name, features, own)
    if given.captions:
        print_captions(encoder, given.captions)


def read_set(encoder: DualEncoder, path: Path) -> tuple[Features, Array]:
    """Features (N, E) of some pictures of a set, and their true names (N,)."""
    rows = pq.read_table(path).to_pylist()
    chosen = np.random.default_rng(0).permutation(len(rows))[:MOST]
    names = np.array([rows[i]["class_names"][0].lower() for i in chosen])
    return encoder.encode_images([rows[i]["image"] for i in chosen]), names


def print_naming(encoder: DualEncoder, title: str, features: Features, names: Array, every_name: Array) -> None:
    """The share of photos and of classes that are named rightly, by each way to rank the words."""
    vocabulary = build_vocabulary(encoder, sorted({word.lower() for word in list_everyday_words()} | set(every_name)))
    true = np.searchsorted(vocabulary.texts, names)
    cosines = features @ vocabulary.features.T
    mean, deviation = cosines.mean(axis=0), cosines.std(axis=0)
    ways = {
        "cosine": cosines,
        "less half its mean": cosines - mean / 2,
        "less its mean": cosines - mean,
        "less its mean, over its deviation": (cosines - mean) / deviation,
    }
    for way, scores in ways.items():
        best = np.argsort(-scores, axis=1)[:, :5] == true[:, None]
        classes = [name for name in sorted(set(names)) if (names == name).sum() >= 4]
        leads = [vocabulary.texts[scores[names == name].mean(axis=0).argmax()] == name for name in classes]
        print(f"{title}: {way}: first {best[:, 0].mean():.3f}, of 5 {best.any(axis=1).mean():.3f}", end=", ")
        print(f"classes {np.mean(leads):.3f} of {len(classes)}, {len(vocabulary.texts)} words")


def print_vocabularies(encoder: DualEncoder, features: Features, names: Array) -> None:
    """How often a photo's first word is its name, by the vocabulary of groups and that of photos."""
    labels, everyday = build_names(encoder), build_vocabulary(encoder)
    is_label = np.isin(names, [text.lower() for text in labels.texts])
    for title, vocabulary in (("default labels", labels), ("everyday words", everyday)):
        first = np.array([texts[0].text.lower() for texts in rank_texts(features, vocabulary, top=1)])
        print(f"{title}: first {(first == names).mean():.3f} of {len(names)} photos", end=", ")
        print(f"{(first == names)[is_label].mean():.3f} of {is_label.sum()} whose name is a default label")


def print_group_names(encoder: DualEncoder, features: Features, names: Array) -> None:
    """How often a quarter of a group at least is what it is called, where its word stands out and where it does not."""
    labels = build_names(encoder)
    is_label = np.isin(names, [text.lower() for text in labels.texts])
    features, names = features[is_label], names[is_label]
    right: dict[bool, list[bool]] = {True: [], False: []}
    for seed in range(6):
        for count in (15, 25, 40, 60):
            found = group(features, count=count, seed=seed)
            named = zip(rank_texts(found.centres, labels, top=1), stands_out(found.centres, labels), strict=True)
            for number, (texts, is_clear) in enumerate(named):
                right[is_clear].append(np.mean(names[found.labels == number] == texts[0].text.lower()) >= 0.25)
    for is_clear, each in right.items():
        print(f"groups {'named' if is_clear else 'unnamed'}: {np.mean(each):.3f} of {len(each)} right")


def print_counts(title: str, features: Features, names: Array) -> None:
    """How well groups fit the classes: by the default number of them, and by the best silhouette about it."""
    default = default_count(len(features))
    counts = sorted({max(2, round(default * factor)) for factor in (0.35, 0.5, 0.7, 1, 1.4)})
    found = {count: KMeans(count, n_init=3, random_state=0).fit(features).labels_ for count in counts}
    best = max(counts, key=lambda count: silhouette_score(features, found[count], metric="cosine"))
    ours = normalized_mutual_info_score(names, group(features, min_size=1).labels)
    theirs = normalized_mutual_info_score(names, found[best])
    print(f"{title}: {default} groups {ours:.3f}; by silhouette {best} groups {theirs:.3f}; {len(set(names))} classes")


def print_captions(encoder: DualEncoder, path: Path) -> None:
    """How often the first caption is a photo's own, with the mean of each caption taken away or not."""
    images, captions = {}, {}
    with tarfile.open(path) as tar:
        for entry in tar:
            key, _, kind = entry.name.rpartition(".")
            content = tar.extractfile(entry)
            assert content is not None
            if kind == "json":
                captions[key] = json.loads(content.read())["captions"]
            else:
                images[key] = content.read()
    keys = sorted(images)
    owner = np.array([i for i, key in enumerate(keys) for _ in captions[key]])
    texts = encoder.encode_texts([caption for key in keys for caption in captions[key]])
    cosines = encoder.encode_images([images[key] for key in keys]) @ texts.T
    for share in (0, 0.5, 1):
        first = owner[(cosines - share * cosines.mean(axis=0)).argmax(axis=1)]
        print(
            f"captions less {share} of their mean: {(first == np.arange(len(keys))).mean():.3f} of {len(keys)} photos"
        )


if __name__ == "__main__":
    main()
