"""A policy: categories of pictures to look for, described in words, as a TOML file has them."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from diptych.settings import from_dict


@dataclass(frozen=True, kw_only=True)
class Category:
    """What to look for: any of the `prompts`, unless one of the `exceptions`, which look alike and are fine, is nearer.

    Prompts are sentences as captions have them. A picture is found from the probability `threshold` on; `action` is a
    word of the policy's own for what is to be done then.
    """

    name: str
    prompts: tuple[str, ...]
    exceptions: tuple[str, ...] = ()
    threshold: float = 0.5
    action: str = "review"

    def __post_init__(self) -> None:
        for text in (self.name, self.action, *self.prompts, *self.exceptions):
            if not text.strip() or not text.isprintable():
                raise ValueError(f"names, actions, prompts and exceptions are texts of one line, got {text!r}")
        if not self.prompts:
            raise ValueError("prompts must hold at least one sentence")
        if both := set(self.prompts) & set(self.exceptions):
            raise ValueError(f"{min(both)!r} is a prompt and an exception")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is a probability from 0 to 1, got {self.threshold}")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The categories, each a `[[category]]` of the file."""

    category: tuple[Category, ...]

    def __post_init__(self) -> None:
        names = [category.name for category in self.category]
        if not names:
            raise ValueError("there is no [[category]] in it")
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise ValueError(f"there are two categories named {twice[0]!r}")


def read_policy(path: Path) -> Policy:
    """The policy in a file. ValueError in one line where it cannot be read or says what no policy says."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"The policy {path} cannot be read: {reason}.") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"The policy {path} is not TOML: {error}.") from error
    return from_dict(Policy, content, where=str(path))


def read_sample_policy() -> str:
    """A policy to begin with, as text."""
    return files("diptych.library").joinpath("policy.toml").read_text(encoding="utf-8")
