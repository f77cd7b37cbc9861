"""What an operator decides: where the server listens, whom it lets in, and how much it takes."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most of each thing, for one request where nothing else is said."""

    body_bytes: int = 32_000_000
    images: int = 64
    texts: int = 2_048
    labels: int = 1_000
    prompts: int = 10_000  # labels times templates
    text_characters: int = 2_000
    json_values: int = 20_000  # numbers, texts, lists and objects in one body, about
    pixels: int = 50_000_000  # of an image, by its header
    large_pixels: int = 400_000_000  # of all images above 13 megapixels together: they take seconds each
    upload_seconds: float = 30.0  # for the whole of a body
    held_bytes: int = 512_000_000  # bodies and fetched pictures of all requests together
    waiting_images: int = 256  # of all requests together, that are not computed yet
    waiting_texts: int = 8_192
    waiting_large_pixels: int = 1_600_000_000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise ValueError(f"The limit {name} is above 0, got {value}.")
        pairs = (("images", "waiting_images"), ("texts", "waiting_texts"), ("large_pixels", "waiting_large_pixels"))
        for one, of_all in pairs:
            if getattr(self, one) > getattr(self, of_all):
                raise ValueError(f"A request may bring no more than may wait: {of_all} is at least {one}.")


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """One server. Without keys it listens on this machine alone, unless `no_auth` says that anybody may use it."""

    host: str = "127.0.0.1"
    port: int = 8000
    root_path: str = ""  # where a proxy has put it: /clip
    model: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    library: Path | None = None
    roots: Mapping[str, Path] = field(default_factory=dict)  # folders that may be indexed, by the name they go by
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    no_auth: bool = False
    allowed_hosts: tuple[str, ...] = ()  # names that the server goes by, beside its own addresses
    allowed_origins: tuple[str, ...] = ()  # pages elsewhere that may use it: https://photos.example.com
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")  # whose word on who asks, and by https, is taken
    allow_url_fetch: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"A port is 0 to 65535, got {self.port}.")
        if self.root_path and (not self.root_path.startswith("/") or self.root_path.endswith("/")):
            raise ValueError(
                f"The root path begins with a / and ends without one, such as /clip, got {self.root_path}."
            )
        if self.no_auth and self.api_keys:
            raise ValueError("Either keys (--api-key) or none (--no-auth), not both.")
        if not (self.is_loopback or self.api_keys or self.no_auth):
            raise ValueError(
                f"On {self.host} others can reach this server: give keys (--api-key keys.txt), "
                "or say that anybody may use it (--no-auth)."
            )
        for address in self.trusted_proxies:
            if not _is_network(address):
                raise ValueError(
                    f"--trust-proxy takes an address, 192.0.2.7, or a network, 172.30.84.0/24, got {address!r}."
                )
        for name in self.allowed_hosts:
            if not re.fullmatch(r"[\w.-]+|\[?[0-9a-fA-F:.]+\]?", name):
                raise ValueError(f"--allow-host takes a name without scheme or port, photos.example.com, got {name}.")
        for origin in self.allowed_origins:
            if not re.fullmatch(r"https?://[^/\s*?#@]+", origin):
                raise ValueError(f"--allow-origin takes one site, https://photos.example.com, got {origin}.")

    @property
    def is_any_address(self) -> bool:
        """Whether it listens at all addresses of this machine."""
        return self.host in ("0.0.0.0", "::", "")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
