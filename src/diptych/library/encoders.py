"""A library's model in the forms that its work asks for: light for a query, quick for thousands of photos."""

from typing import Final

from diptych.encode.choose import encoder_for
from diptych.encode.encoder import Encoder

_MANY: Final = 1_000_000  # images: as many as an encoder for bulk work is chosen for


class Encoders:
    """Encoders of one model, loaded when first asked for; or the one that is `given`, which does for everything."""

    def __init__(self, given: Encoder | None, **loading: str) -> None:
        self.given = given
        self._loading = loading  # device and dtype
        self._bulk: Encoder | None = None
        self._light: tuple[int, Encoder] | None = None  # for how many items, and what

    def light(self, name: str, *, items: int = 1) -> Encoder:
        """For about so many images, or ten times as many texts: without torch where that is quicker."""
        if self.given is not None or self._bulk is not None:
            return self.given or self._bulk or self.bulk(name)
        if self._light is None or self._light[0] < items:
            self._light = items, encoder_for(name, items=items, **self._loading)
        return self._light[1]

    def bulk(self, name: str) -> Encoder:
        """For any number of images."""
        if self.given is not None:
            return self.given
        if self._bulk is None:
            self._bulk = encoder_for(name, items=_MANY, preprocess="fast", **self._loading)
        return self._bulk
