"""Classifiers of label sets that the library keeps: made where no search waits for them, once for each model."""

from diptych.library.label_sets import LabelSet
from diptych.library.library import PhotoLibrary
from diptych.serve.problems import Problem
from diptych.serve.state import Server
from diptych.zeroshot import ZeroShotClassifier


async def find_stored(name: str, server: Server) -> ZeroShotClassifier:
    """The classifier of the set of this name; a Problem for none. One that is new to the model is kept."""
    library = server.need_library()

    def find(library: PhotoLibrary) -> tuple[LabelSet, ZeroShotClassifier | None]:
        found = library.label_sets.find(name)
        if found is None:
            raise no_such_set(name)
        return found, library.label_sets.find_classifier(found, server.classifiers.encoder)

    found, classifier = await library.run(find)
    if classifier is None:
        made = classifier = await server.classifiers.build(found.forms(), found.prompts())
        await library.run(lambda library: library.label_sets.keep_classifier(found, made))
    return classifier


def no_such_set(name: str) -> Problem:
    """The problem of a name that no set has."""
    detail = f"There is no label set {name[:100]!r}: GET /v1/label-sets lists those that there are."
    return Problem(404, "no-such-label-set", "No such label set", detail)
