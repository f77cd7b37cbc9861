"""Labels with their templates, kept under a name, and the classifiers that models have made of them."""

import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from diptych.encode.encoder import Encoder, Features
from diptych.library.database import transaction

if TYPE_CHECKING:
    from diptych.zeroshot import Prompts, ZeroShotClassifier

Labels = tuple[str, ...] | Mapping[str, str | list[str]]  # as `build_classifier` takes them


@dataclass(frozen=True, kw_only=True)
class LabelSet:
    """Labels kept under a name. `templates` is the name of published ones, templates themselves, or the default's."""

    name: str
    labels: Labels
    templates: str | tuple[str, ...] | None = None
    created_at: float  # Unix seconds

    def prompts(self) -> "Prompts":
        """Each label with its sentences; ValueError for labels or templates that are none. No file is read."""
        from diptych.zeroshot import write_prompts

        return write_prompts(self.labels, self.forms())

    def forms(self) -> tuple[str, ...] | None:
        """The templates themselves."""
        from diptych.zeroshot import resolve_templates

        return None if self.templates is None else resolve_templates(self.templates, may_read=False)


class LabelSets:
    """The label sets of one library; for the thread that has its database open."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def all(self) -> list[LabelSet]:
        """By name."""
        return [_read(row) for row in self._database.execute("SELECT * FROM label_sets ORDER BY name")]

    def find(self, name: str) -> LabelSet | None:
        """That of a name, if there is one."""
        row = self._database.execute("SELECT * FROM label_sets WHERE name = ?", (name,)).fetchone()
        return None if row is None else _read(row)

    def put(
        self,
        name: str,
        labels: Labels,
        templates: str | tuple[str, ...] | None = None,
        *,
        classifier: "ZeroShotClassifier | None" = None,
    ) -> bool:
        """Keep labels under a name, with the classifier that a model has made of them.

        False, and nothing done, where the name has some. ValueError for labels that are none.
        """
        made = LabelSet(name=name, labels=labels, templates=templates, created_at=time.time())
        if not name:
            raise ValueError("A label set needs a name.")
        made.prompts()
        with transaction(self._database):
            added = self._database.execute(
                "INSERT INTO label_sets (name, content, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (name, _content(made), made.created_at),
            )
            if classifier is not None and added.rowcount == 1:
                self._keep(made, classifier)
            return added.rowcount == 1

    def delete(self, name: str) -> bool:
        """Forget a set and what was computed for it; whether there was one."""
        with transaction(self._database):
            return self._database.execute("DELETE FROM label_sets WHERE name = ?", (name,)).rowcount == 1

    def find_classifier(self, of: LabelSet, encoder: Encoder) -> "ZeroShotClassifier | None":
        """That which was kept for this model and dtype."""
        from diptych.zeroshot import ZeroShotClassifier

        prompts = of.prompts()
        features = self._find_features(of.name, encoder, len(prompts))
        if features is None:
            return None
        return ZeroShotClassifier(encoder, prompts, features, templates=of.forms(), cache=False)

    def keep_classifier(self, of: LabelSet, classifier: "ZeroShotClassifier") -> None:
        """Keep it, unless the set was deleted, or replaced by another of its name, while it was computed."""
        with transaction(self._database):
            self._keep(of, classifier)

    def _find_features(self, name: str, encoder: Encoder, count: int) -> Features | None:
        row = self._database.execute(
            "SELECT features FROM label_set_features WHERE name = ? AND fingerprint = ? AND dtype = ?",
            (name, encoder.fingerprint, encoder.dtype),
        ).fetchone()
        if row is None or len(row[0]) != 4 * count * encoder.embed_dim:
            return None
        return np.frombuffer(row[0], "<f4").reshape(count, encoder.embed_dim).astype(np.float32, copy=False)

    def _keep(self, of: LabelSet, classifier: "ZeroShotClassifier") -> None:
        encoder, features = classifier.encoder, classifier.class_features.astype("<f4").tobytes()
        self._database.execute(
            "INSERT OR REPLACE INTO label_set_features (name, fingerprint, dtype, features) "
            "SELECT name, ?, ?, ? FROM label_sets WHERE name = ? AND content = ?",
            (encoder.fingerprint, encoder.dtype, features, of.name, _content(of)),
        )


def _content(made: LabelSet) -> str:
    labels = dict(made.labels) if isinstance(made.labels, Mapping) else list(made.labels)
    return json.dumps({"labels": labels, "templates": made.templates})


def _read(row: sqlite3.Row) -> LabelSet:
    content = json.loads(row["content"])
    labels, templates = content["labels"], content["templates"]
    return LabelSet(
        name=row["name"],
        labels=tuple(labels) if isinstance(labels, list) else labels,
        templates=tuple(templates) if isinstance(templates, list) else templates,
        created_at=row["created_at"],
    )
