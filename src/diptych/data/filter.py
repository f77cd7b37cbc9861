"""Curating unfiltered pairs: what the rules leave goes to webdataset shards, with a report of what they dropped."""

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from diptych.data.rules import Reason
from diptych.data.sample import DataError
from diptych.data.scan import counted, in_threads
from diptych.data.selection import Candidates, Drops, Selection, select
from diptych.data.shards import ShardWriter
from diptych.files import atomic_folder

_PERCENTILES = (1, 10, 25, 50, 75, 90, 99)


@dataclass(frozen=True, kw_only=True)
class SourceCounts:
    """How many pairs a source had, and how many of them are left."""

    name: str
    samples: int
    kept: int


@dataclass(frozen=True, kw_only=True)
class FilterReport:
    """What is left of each source, and how many pairs and single captions each rule dropped.

    `similarity` holds percentiles of the cosines of all pairs that a model looked at.
    """

    sources: tuple[SourceCounts, ...]
    dropped: Mapping[Reason, int]
    captions_dropped: Mapping[Reason, int]
    similarity: Mapping[int, float]
    shards: int

    @property
    def samples(self) -> int:
        """Pairs of all sources."""
        return sum(source.samples for source in self.sources)

    @property
    def kept(self) -> int:
        """Pairs of all sources that are left."""
        return sum(source.kept for source in self.sources)


def filter_pairs(
    candidates: Candidates,
    output: Path | None = None,
    *,
    shard_size: int = 10_000,
    overwrite: bool = False,
    about: Mapping[str, Any] | None = None,
) -> FilterReport:
    """Write the pairs that the rules leave to shards in the folder `output`; without it, only report.

    The folder appears whole at the end or not at all. Images keep their bytes. Beside the shards lie dropped.jsonl, a
    line for each pair and each caption that was dropped, and report.json, which begins with what it is told `about`.

    Raises DataError where nothing is left, SampleError where a pair can no longer be read.
    """
    if shard_size < 1:
        raise ValueError(f"shard_size must be 1 or more, got {shard_size}")
    with ExitStack() as stack:
        folder = file = None
        if output is not None:
            folder = stack.enter_context(atomic_folder(output, overwrite=overwrite))
            file = stack.enter_context((folder / "dropped.jsonl").open("w", encoding="utf-8"))
        drops = Drops(file=file)
        selection = select(candidates, drops)
        if not selection.pairs:
            raise DataError(f"The rules leave no pair: {_said(drops.pairs)}. Loosen them.")
        shards = 0 if folder is None else _write_shards(folder, candidates, selection, shard_size)
        report = _report(candidates, selection, drops, shards)
        if folder is not None:
            every = {**(about or {}), "rules": asdict(candidates.rules), **asdict(report)}
            (folder / "report.json").write_text(json.dumps(every, indent=2) + "\n", encoding="utf-8")
        return report


def _write_shards(folder: Path, candidates: Candidates, selection: Selection, shard_size: int) -> int:
    """Pairs are read again: their images together may be more than memory holds."""
    pairs = selection.pairs
    read = in_threads(lambda p: candidates.sources[p.source].read(p.index), pairs, workers=candidates.workers)
    shown = counted(read, total=len(pairs), label="Writing", progress=candidates.progress)
    with ShardWriter(folder, shard_size) as writer:
        for pair, sample in zip(pairs, shown, strict=True):
            facts: dict[str, Any] = {"source": candidates.sources[pair.source].name, "original_key": sample.key}
            if pair.similarity is not None:
                facts["similarity"] = round(pair.similarity, 4)
            writer.write(sample.image, selection.texts_left(sample.texts, candidates.rules), facts)
    return writer.shards


def _report(candidates: Candidates, selection: Selection, drops: Drops, shards: int) -> FilterReport:
    kept = Counter(pair.source for pair in selection.pairs)
    ascending = selection.similarities
    return FilterReport(
        sources=tuple(
            SourceCounts(name=source.name, samples=len(source), kept=kept[number])
            for number, source in enumerate(candidates.sources)
        ),
        dropped=dict(drops.pairs.most_common()),
        captions_dropped=dict(drops.captions.most_common()),
        similarity={
            percent: round(ascending[round(percent / 100 * (len(ascending) - 1))], 4)
            for percent in (_PERCENTILES if ascending else ())
        },
        shards=shards,
    )


def _said(dropped: Mapping[Reason, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in dropped.items()) or "there are none"
