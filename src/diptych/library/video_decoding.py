"""One video, decoded by one thread: the frame at a time, and its pixels upright. Needs PyAV, the extra "video"."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from diptych.errors import ImageError, printable

if TYPE_CHECKING:
    import av.container

Matrix: TypeAlias = tuple[int, int, int, int]
PYAV_IS_MISSING: Final = 'videos need PyAV, which is not installed: pip install "diptych[video]"'
# libavformat also knows playlists and scripts that have it open other files and addresses: only what holds its own
# pictures is let through, and only from the file that was named.
_CONTAINERS: Final = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,asf,flv,ogg,mxf,dv"
_STEPS_BACK: Final = (0.0, 2.0, 10.0, 60.0)  # seconds before a time, where seeking to it lands too late
_LEAST_RATIO: Final = 0.2
_LAST_STAYS: Final = 1.0  # seconds that sound may go on after the last frame
_DAMAGED_PACKETS: Final = 200
_LATE: Final = 1e-3  # seconds; times of frames are rounded in many containers


class OpenVideo:
    """A container with its first video stream, decoded by one thread. Times are seconds from the container's start."""

    def __init__(self, path: str | os.PathLike[str], max_pixels: int) -> None:
        """What av raises, and ImageError for what holds no video or too large a one."""
        self._address = str(Path(path).absolute())  # so that no protocol is read out of the name
        self.max_pixels = max_pixels
        self._wanted = 0.0
        self._open()

    def _open(self) -> None:
        import av

        limit = {"max_pixels": str(self.max_pixels)}  # for the decoder too: sizes may change on the way
        options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file", **limit}
        self.container = av.open(self._address, options=options, metadata_errors="replace")
        try:
            self.stream = self._first_video()
            _check_pixels(self.stream.width, self.stream.height, self.max_pixels)
        except ImageError:
            self.container.close()
            raise
        self.stream.codec_context.thread_count = 1
        self.stream.codec_context.options = limit
        self._zero = (self.container.start_time or 0) / av.time_base
        self._unit = float(self.stream.time_base or 0)
        self._position = -1.0  # the time of the frame decoded last
        self._last: tuple[float, av.VideoFrame] | None = None
        self._frames = self._decode()

    def close(self) -> None:
        """Free the file and the decoder."""
        self.container.close()

    def time(self, timestamp: int) -> float:
        """Seconds for a timestamp of the stream."""
        return timestamp * self._unit - self._zero

    def size(self, frame: "av.VideoFrame") -> tuple[int, int]:
        """(width, height) of a frame with square pixels, not yet turned; no side shrinks."""
        ratio = float(self.stream.sample_aspect_ratio or 1)
        if not _LEAST_RATIO < ratio < 1 / _LEAST_RATIO:  # nonsense
            return frame.width, frame.height
        return round(frame.width * max(ratio, 1)), round(frame.height / min(ratio, 1))

    def upright(self, frame: "av.VideoFrame") -> npt.NDArray[np.uint8]:
        """Its pixels (H, W, 3) in RGB, square, turned as the display matrix asks."""
        width, height = self.size(frame)
        _check_pixels(width, height, self.max_pixels)
        rgb: npt.NDArray[Any] = frame.reformat(width, height, format="rgb24").to_ndarray()
        return turned(rgb, display_matrix(frame))

    def find(self, second: float, tolerance: float) -> "tuple[float, av.VideoFrame]":
        """The first frame at or after `second`, or a keyframe up to `tolerance` seconds before; else the last one,
        where that is shown until then.

        Going forward costs least: nothing is decoded twice.
        """
        self._wanted = second - tolerance
        found = self._seek(second) if self._is_seeking_worth_it(second) else next(self._frames, None)
        while found is not None:
            self._last = found
            time, frame = found
            if time >= second - _LATE or (frame.key_frame and time >= second - tolerance):
                return found
            found = next(self._frames, None)
        if self._last is None or second > self._last[0] + self._length(self._last[1]) + _LAST_STAYS:
            raise ImageError(f"no frame at {second:.1f} s: the video ends before it or is damaged there")
        return self._last

    def seconds(self) -> float:
        """The length; where neither container nor stream tells it, the whole file is read, and none decoded after."""
        import av

        if self.container.duration and self.container.duration > 0:
            return self.container.duration / av.time_base
        if self.stream.duration and self.stream.duration > 0:
            return self.stream.duration * self._unit
        packets = (packet for packet in self.container.demux(self.stream) if packet.pts is not None)
        return max((self.time((packet.pts or 0) + (packet.duration or 0)) for packet in packets), default=0.0)

    def _first_video(self) -> "av.VideoStream":
        import av.stream

        for stream in self.container.streams.video:
            is_cover = stream.disposition & av.stream.Disposition.attached_pic
            if not is_cover and stream.codec_context is not None:
                return stream
        raise ImageError("holds no video that can be decoded")

    def _length(self, frame: "av.VideoFrame") -> float:
        return (frame.duration or 0) * self._unit

    def _is_seeking_worth_it(self, second: float) -> bool:
        if second <= self._position or self._position < 0:
            return True
        index = self.stream.index_entries
        entry = index.search_timestamp(round((second + self._zero) / self._unit)) if len(index) else -1
        return entry < 0 or self.time(index[entry].timestamp) > self._position

    def _seek(self, second: float) -> "tuple[float, av.VideoFrame] | None":
        """The first frame after a seek to the last keyframe at or before the second, or earlier still.

        Without an index (MPEG-TS) a seek lands where the next keyframe may be too late.
        """
        import av

        self._last = None
        for back in (step for step in _STEPS_BACK if step < second):
            timestamp = round((second - back + self._zero) / self._unit)
            try:
                self.container.seek(timestamp, stream=self.stream)
            except av.FFmpegError:
                break
            self._position = 0.0
            self._frames = self._decode()
            first = next(self._frames, None)
            if first is not None and first[0] <= second + _LATE:
                return first
        if self._position >= 0:
            self.close()
            self._open()
        return next(self._frames, None)

    def _decode(self) -> "Iterator[tuple[float, av.VideoFrame]]":
        """Frames in order of time. Damaged packets are passed over, so many that it is no longer a video are not."""
        import av

        damaged = 0
        for packet in self.container.demux(self.stream):
            # Frames that no other refers to are not worth decoding before the time that is wanted.
            early = packet.pts is not None and self.time(packet.pts) < self._wanted - _LATE
            self.stream.codec_context.skip_frame = "NONREF" if early else "DEFAULT"
            try:
                frames = packet.decode()
            except av.FFmpegError:
                damaged += 1
                if damaged > _DAMAGED_PACKETS:
                    raise
                continue
            for frame in frames:
                if frame.is_corrupt:
                    continue
                timestamp = frame.pts if frame.pts is not None else frame.dts
                self._position = self._position if timestamp is None else self.time(timestamp)
                yield self._position, frame


@contextmanager
def video_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """ImageError, in one line that names the file, for whatever is wrong with a video."""
    name = printable(os.fspath(path))
    try:
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):  # a pipe could block for ever
            raise ImageError("not a regular file")
        if not Path(path).stat().st_size:
            raise ImageError("empty, 0 bytes")
        yield
    except ImportError as error:
        raise ImageError(f"{name}: {PYAV_IS_MISSING}") from error
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    except Exception as error:  # hostile bytes make av raise anything, from UnicodeError to MemoryError
        raise ImageError(f"{name}: {_reason(error)}") from error


def display_matrix(frame: "av.VideoFrame") -> Matrix:
    """(a, b, c, d) of ISO 14496-12: the pixel at (x, y) is shown at (a x + c y, b x + d y), y downwards."""
    with suppress(ValueError):  # side data that is newer than PyAV
        data: Any = frame.side_data.get("DISPLAYMATRIX")
        if data is not None:
            a, b, _, c, d = np.frombuffer(bytes(data)[:20], np.int32).tolist()
            return a, b, c, d
    return 1, 0, 0, 1


def is_on_its_side(matrix: Matrix) -> bool:
    """Whether width and height change places."""
    a, b, c, d = matrix
    return abs(b) + abs(c) > abs(a) + abs(d)


def turned(rgb: npt.NDArray[np.uint8], matrix: Matrix) -> npt.NDArray[np.uint8]:
    """The picture mirrored and turned by right angles as the matrix asks; other angles are taken as the nearest."""
    a, b, c, d = matrix
    down, across = d, a
    if is_on_its_side(matrix):
        rgb, down, across = rgb.swapaxes(0, 1), b, c
    return rgb[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if not 0 < width * height <= max_pixels:
        raise ImageError(f"{width} x {height} pixels; between 1 and {max_pixels:,} are read")


def _reason(error: Exception) -> str:
    text = " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
    return f"cannot be read as a video ({text or type(error).__name__})"
