"""Whether a run still learns: a loss that explodes, and one that stays where guessing leaves it."""

import math
from collections import deque
from statistics import fmean

# Uniform logits give ln B. What stays at several times that has diverged.
_EXPLODED = 5.0
_EXPLODED_STEPS = 10
_LEARNT_SHARE = 0.01  # of ln B, that the loss must have fallen by; a collapsed model's swings by a tenth of that
_ROWS = 10


class LossWatch:
    """Judges the losses of a run's steps, and of the rows of its log. All in nats."""

    def __init__(self, batch_size: int, *, first_loss: float = 0.0) -> None:
        self.guessing = math.log(batch_size)
        self.first_loss = first_loss  # of the run, not of what is left of it after a resume
        self.exploding_since: int | None = None  # the first of the exploded steps that are being counted
        self._rows: deque[tuple[float, float]] = deque(maxlen=_ROWS)

    def see(self, step: int, loss: float) -> None:
        """Take in the loss of the next step."""
        self.first_loss = self.first_loss or loss
        if loss <= _EXPLODED * max(1.0, self.guessing, self.first_loss):
            self.exploding_since = None
        elif self.exploding_since is None:
            self.exploding_since = step

    def has_exploded(self, step: int, *, is_last: bool) -> bool:
        """Whether the loss has been exploded for so many steps that it will not come back; after the last, for one."""
        if self.exploding_since is None:
            return False
        return is_last or step - self.exploding_since + 1 >= _EXPLODED_STEPS

    def see_row(self, image_to_text: float, texts: int) -> None:
        """Take in how hard images find their texts, among so many: with either loss, guessing gives ln of that."""
        self._rows.append((image_to_text, math.log(texts)))

    def found_nothing_learnt(self, *, is_last: bool) -> str | None:
        """What to say where the last rows are no better than guessing: at the end, or before it once there are ten.

        Not for the beginning, where every model guesses.
        """
        if len(self._rows) < (1 if is_last else _ROWS):
            return None
        loss, guessing = (fmean(each) for each in zip(*self._rows, strict=True))
        if loss < (1 - _LEARNT_SHARE) * guessing:
            return None
        return (
            f"The model has learnt nothing so far: images find their texts with a loss of {loss:.4g}, and guessing "
            f"gives {guessing:.4g}. Lower optimiser.lr or lengthen the warm-up; or train for longer, if it had but few "
            "steps."
        )
