"""A video as a library sees it: its facts, and a few frames with their times. Needs PyAV, the extra "video"."""

import math
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from diptych.images import MAX_PIXELS, ImageHeader, ppm
from diptych.library.metadata import PhotoFacts, facts_of
from diptych.library.video_decoding import OpenVideo, display_matrix, is_on_its_side, video_errors

# In lower case. Without ".ts", which is TypeScript far more often.
VIDEO_SUFFIXES: Final = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".mts", ".m2ts", ".mpg", ".mpeg"),
        *(".wmv", ".asf", ".flv", ".ogv", ".mxf"),
    }
)
SECONDS_A_FRAME, LEAST_FRAMES, MOST_FRAMES = 10, 3, 60

# Tags by their names in QuickTime, in Android's MP4 and in the rest; the first that is there counts.
_TIME_TAGS: Final = ("com.apple.quicktime.creationdate", "creation_time", "date")
_MAKE_TAGS: Final = ("com.apple.quicktime.make", "com.android.manufacturer", "make")
_MODEL_TAGS: Final = ("com.apple.quicktime.model", "com.android.model", "model")
_PLACE_TAGS: Final = ("com.apple.quicktime.location.iso6709", "location", "location-eng")
_MAKE, _MODEL, _TAKEN, _ZONE_TAKEN = 0x010F, 0x0110, 0x9003, 0x9011  # EXIF
_EPOCHS: Final = (1904, 1970)  # years of clocks that were never set
_ISO_6709: Final = re.compile(r"([+-]\d+(?:\.\d+)?)([+-]\d+(?:\.\d+)?)(?:[+-]\d+(?:\.\d+)?)?(?:CRS\w*)?/?")


class Frame(NamedTuple):
    """The frame's own time in seconds from the start, and its picture, the bytes of a PPM file."""

    second: float
    picture: bytes


def read_video(path: str | os.PathLike[str]) -> PhotoFacts:
    """The facts of a video, its length among them, its size upright.

    ImageError for what is none, and for one whose first frame cannot be decoded.
    """
    with video_errors(path):
        video = OpenVideo(path, MAX_PIXELS)
        try:
            _, frame = video.find(0.0, 0.0)
            width, height = video.size(frame)
            size = (height, width) if is_on_its_side(display_matrix(frame)) else (width, height)
            tags = {**video.stream.metadata, **video.container.metadata}
            header = _as_header(tags, _format(video.container.format, Path(path)), size)
            return replace(facts_of(header), seconds=round(video.seconds(), 3))
        finally:
            video.close()


def frame_times(seconds: float) -> tuple[float, ...]:
    """The middles of equal parts of a video: a part for every 10 seconds begun, at least 3 and at most 60.

    A video of less than a second has one part. The first and the last frame, often black, are thus left out.
    """
    count = 1 if seconds < 1 else min(max(math.ceil(seconds / SECONDS_A_FRAME), LEAST_FRAMES), MOST_FRAMES)
    return tuple(round((number + 0.5) * seconds / count, 3) for number in range(count))


class VideoReader:
    """Frames of a video, from one container, by as many threads as like; cheapest in order of time.

    Nothing is opened before the first frame is read, and all is closed once each has been read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        seconds: Sequence[float],
        *,
        tolerance: float = 0.0,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        """The times of the frames. With a tolerance a keyframe up to so many seconds before will do: it costs less."""
        self.path = path
        self.seconds = tuple(seconds)
        self._tolerance = tolerance
        self._max_pixels = max_pixels
        self._unread = set(range(len(self.seconds)))
        self._video: OpenVideo | None = None
        self._lock = threading.Lock()

    def read(self, number: int) -> Frame:
        """The frame for `seconds[number]`: the first at or after it, else the last, where it is shown until then.

        ImageError for what cannot be read.
        """
        with self._lock, video_errors(self.path):
            try:
                if self._video is None:
                    self._video = OpenVideo(self.path, self._max_pixels)
                second, frame = self._video.find(self.seconds[number], self._tolerance)
                return Frame(round(max(second, 0.0), 3), ppm(self._video.upright(frame)))
            finally:
                self._unread.discard(number)
                if not self._unread:
                    self._close()

    def close(self) -> None:
        """Free the file, if it is open."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._video is not None:
            self._video.close()
            self._video = None


class FrameFile:
    """A file object for `open_image`: one frame, decoded when it is read; `second` is its own time from then on."""

    def __init__(self, reader: VideoReader, number: int, check: Callable[[], object]) -> None:
        self.name = os.fspath(reader.path)
        self.second = reader.seconds[number]
        self._reader, self._number, self._check = reader, number, check

    def seekable(self) -> bool:
        """No: it is read once."""
        return False

    def read(self) -> bytes:
        """The picture. ImageError for what cannot be read."""
        frame = self._reader.read(self._number)
        self._check()
        self.second = frame.second
        return frame.picture


def frame_files(
    path: str | os.PathLike[str], seconds: float, *, check: Callable[[], object] = lambda: None
) -> list[FrameFile]:
    """The frames that a library keeps of a video of so many seconds. A keyframe in the quarter part before will do.

    `check` is called after each was decoded, and raises ImageError where the file is another by now.
    """
    times = frame_times(seconds)
    reader = VideoReader(path, times, tolerance=seconds / len(times) / 4)
    return [FrameFile(reader, number, check) for number in range(len(times))]


def read_frame(path: str | os.PathLike[str], second: float) -> Frame:
    """The first frame at or after a time; as `VideoReader.read`."""
    return VideoReader(path, (second,)).read(0)


def _format(container: Any, path: Path) -> str:  # noqa: ANN401 (PyAV is imported inside functions only)
    """MP4, MOV, MKV ...: the file's suffix where that is one of its container's, else the container's first name."""
    suffix = path.suffix.lower().lstrip(".")
    known = container.extensions
    return (suffix if suffix in known else container.name.split(",")[0]).upper()


def _as_header(tags: Mapping[str, str], form: str, size: tuple[int, int]) -> ImageHeader:
    """The tags of a video as EXIF has them."""
    exif: dict[int, Any] = {_MAKE: _first(tags, _MAKE_TAGS), _MODEL: _first(tags, _MODEL_TAGS)}
    if (taken := _taken(tags)) is not None:
        exif[_TAKEN] = taken.strftime("%Y-%m-%dT%H:%M:%S")
        exif[_ZONE_TAKEN] = taken.strftime("%z")[:3] + ":" + taken.strftime("%z")[3:5]
    return ImageHeader(format=form, size=size, exif=exif, gps=_place(_first(tags, _PLACE_TAGS)))


def _first(tags: Mapping[str, str], names: Sequence[str]) -> str | None:
    lowered = {name.lower(): value for name, value in tags.items()}
    return next((lowered[name] for name in names if lowered.get(name)), None)


def _taken(tags: Mapping[str, str]) -> datetime | None:
    for name in _TIME_TAGS:
        try:
            taken = datetime.fromisoformat(_first(tags, (name,)) or "")
        except ValueError:
            continue
        if taken.year not in _EPOCHS and (taken.tzinfo or taken.time().isoformat() != "00:00:00"):
            return taken
    return None


def _place(text: str | None) -> dict[int, Any]:
    """EXIF's GPS tags for ISO 6709's degrees, as +52.5200+013.4050+034.000/."""
    found = _ISO_6709.fullmatch(text.strip()) if text else None
    if found is None:
        return {}
    latitude, longitude = float(found[1]), float(found[2])
    return {
        1: "S" if latitude < 0 else "N",
        2: (abs(latitude), 0, 0),
        3: "W" if longitude < 0 else "E",
        4: (abs(longitude), 0, 0),
    }
