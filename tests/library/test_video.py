"""Videos made here, each frame with its number written on it as black and white bars: read at times that are known."""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from diptych.images import open_image
from diptych.library.video import (
    VIDEO_SUFFIXES,
    read_frame,
    read_frames,
    read_video,
)

WIDTH, HEIGHT, RATE, BITS = 128, 96, 10, 8
CODECS = {
    "mp4": "libx264",
    "mov": "libx264",
    "mkv": "libx264",
    "mts": "libx264",
    "webm": "libvpx",
    "avi": "mpeg4",
    "mpg": "mpeg2video",
}


def numbered(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The number's bits as bars, the highest at the left, over a red half."""
    bars = np.array([255 if number >> bit & 1 else 0 for bit in reversed(range(BITS))], np.uint8)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[: HEIGHT // 2] = np.repeat(bars, WIDTH // BITS)[None, :, None]
    picture[HEIGHT // 2 :] = (220, 30, 30)
    return picture


def number_on(picture: bytes) -> int:
    """The number on an upright frame, whose lower half must be red."""
    rgb = np.asarray(open_image(picture)).astype(int)
    height, width, _ = rgb.shape
    red = rgb[height * 3 // 4, width // 2]
    assert red[0] > 180
    assert max(red[1:]) < 80
    bars = rgb[height // 4, width // (2 * BITS) :: width // BITS].mean(axis=1) > 128
    return int("".join("1" if bar else "0" for bar in bars), 2)


def write_video(
    path: Path,
    *,
    frames: Iterable[int] = range(40),
    keyframe_every: int = 250,
    change: Callable[[Any], None] = lambda stream: None,
    tags: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    turn: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]] = lambda picture: picture,
) -> Path:
    """A video whose frame at second n / 10 has the number n on it; `frames` says which there are."""
    with av.open(str(path), "w", options=options or {}) as container:
        container.metadata.update(tags or {})
        stream: Any = container.add_stream(CODECS[path.suffix[1:]], rate=RATE)
        stored = turn(numbered(0))
        stream.height, stream.width = stored.shape[:2]
        stream.pix_fmt, stream.bit_rate, stream.gop_size = "yuv420p", 2_000_000, keyframe_every
        if stream.codec.name == "libx264":
            stream.codec_context.options = {"preset": "ultrafast", "bf": "2", "sc_threshold": "0"}
        if stream.codec.name == "libvpx":
            stream.codec_context.options = {"deadline": "realtime", "cpu-used": "8"}
        change(stream)
        for number in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(turn(numbered(number))), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def seen(path: Path, seconds: Sequence[float]) -> list[int]:
    return [number_on(frame.picture) for frame in read_frames(path, seconds)]


@pytest.mark.parametrize("suffix", CODECS)
def test_frame_at_a_second_is_the_one_shown_then(suffix: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"a.{suffix}", keyframe_every=12)
    times = [0.0, 0.7, 1.3, 2.9, 3.9]
    assert f".{suffix}" in VIDEO_SUFFIXES
    assert seen(path, times) == [0, 7, 13, 29, 39]
    assert [frame.second for frame in read_frames(path, times)] == pytest.approx(
        times, abs=0.051
    )  # MPEG program streams are half a frame out after a seek
    assert [number_on(read_frame(path, time).picture) for time in reversed(times)] == [39, 29, 13, 7, 0]


@pytest.mark.parametrize("keyframe_every", [1, 7, 250])
def test_frames_in_any_order_are_the_same(keyframe_every: int, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", keyframe_every=keyframe_every)
    numbers = np.random.default_rng(0).permutation(40)[:15].tolist()
    assert seen(path, [number / RATE for number in numbers]) == numbers


def test_time_between_two_frames_gives_the_later(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=[0, 1, 2, 10, 11, 30])
    assert seen(path, [0.15, 0.3, 1.05, 2.0]) == [2, 10, 11, 30]


def test_facts_of_an_iphone_video(tmp_path: Path) -> None:
    tags = {
        "com.apple.quicktime.creationdate": "2023-05-01T12:20:30+0200",
        "com.apple.quicktime.make": "Apple",
        "com.apple.quicktime.model": "iPhone 14",
        "com.apple.quicktime.location.ISO6709": "+52.5200-013.4050+034.000/",
    }
    path = write_video(tmp_path / "a.mov", tags=tags, options={"movflags": "use_metadata_tags"})
    facts = read_video(path)
    assert (facts.width, facts.height, facts.format, facts.seconds) == (WIDTH, HEIGHT, "MOV", 4.0)
    assert (facts.taken_at, facts.taken_zone) == ("2023-05-01T12:20:30", "+02:00")
    assert facts.camera == "Apple iPhone 14"
    assert (facts.latitude, facts.longitude) == (52.52, -13.405)


def test_facts_of_an_android_video(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mp4", tags={"creation_time": "2022-11-05T08:09:10Z", "location": "-33.8688+151.2093/"}
    )
    facts = read_video(path)
    assert (facts.format, facts.taken_at, facts.taken_zone) == ("MP4", "2022-11-05T08:09:10", "+00:00")
    assert (facts.latitude, facts.longitude, facts.camera) == (-33.8688, 151.2093, None)


@pytest.mark.parametrize(
    ("degrees", "turn"), [(90, 3), (-90, 1), (180, 2)], ids=["anticlockwise", "clockwise", "upside down"]
)
def test_turned_video_is_read_upright(degrees: int, turn: int, tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mp4",
        turn=lambda picture: np.rot90(picture, turn),
        change=lambda stream: stream.set_display_rotation(degrees),
    )
    facts = read_video(path)
    assert (facts.width, facts.height) == (WIDTH, HEIGHT)
    assert seen(path, [1.3]) == [13]


def test_mirrored_video_is_read_as_it_is_shown(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mp4",
        turn=lambda picture: picture[:, ::-1],
        change=lambda stream: stream.set_display_matrix([-1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30]),
    )
    assert seen(path, [1.3]) == [13]


def test_pixels_that_are_not_square_are_widened(tmp_path: Path) -> None:
    def widen(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)

    path = write_video(tmp_path / "a.mp4", change=widen)
    facts = read_video(path)
    assert (facts.width, facts.height) == (2 * WIDTH, HEIGHT)
    assert open_image(read_frame(path, 1.3).picture).size == (2 * WIDTH, HEIGHT)
