"""Videos made here, each frame with its number written on it as black and white bars: read at times that are known."""

import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, cast

import av
import numpy as np
import pytest

from diptych.errors import ImageError
from diptych.images import open_image
from diptych.library.video import (
    VIDEO_SUFFIXES,
    Frame,
    VideoReader,
    frame_files,
    frame_times,
    read_frame,
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


def read_frames(path: Path, seconds: Sequence[float], *, tolerance: float = 0.0) -> list[Frame]:
    reader = VideoReader(path, seconds, tolerance=tolerance)
    return [reader.read(number) for number in range(len(seconds))]


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


def test_frame_may_be_a_keyframe_shortly_before(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", keyframe_every=10)
    frames = read_frames(path, [1.2, 1.9, 2.1, 3.3], tolerance=0.25)
    assert [number_on(frame.picture) for frame in frames] == [10, 19, 20, 33]


def test_last_frame_stands_for_the_time_that_it_is_shown(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    assert seen(path, [3.9, 3.95, 4.05]) == [39, 39, 39]
    with pytest.raises(ImageError, match=r"a\.mp4: no frame at 60\.0 s: the video ends before it"):
        read_frame(path, 60)


def test_video_of_one_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=[0])
    facts = read_video(path)
    assert facts.seconds is not None
    assert facts.seconds <= 0.1
    assert [number_on(file.read()) for file in frame_files(path, facts.seconds)] == [0]


def test_length_that_no_header_tells_is_counted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", options={"live": "1"})
    with av.open(str(path)) as container:
        assert container.duration is None
    assert read_video(path).seconds == pytest.approx(4.0, abs=0.11)
    assert seen(path, [0.5, 2.5]) == [5, 25]


def test_frame_times_are_the_middles_of_equal_parts() -> None:
    assert frame_times(0) == (0.0,)
    assert frame_times(0.8) == (0.4,)
    assert frame_times(6) == (1.0, 3.0, 5.0)
    assert frame_times(30) == (5.0, 15.0, 25.0)
    assert len(frame_times(31)) == 4
    assert len(frame_times(600)) == len(frame_times(36_000)) == 60
    assert frame_times(36_000)[:2] == (300.0, 900.0)


def test_frame_files_are_read_by_threads_and_leave_nothing_open(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", keyframe_every=5)
    files = frame_files(path, 4.0)
    assert [(file.name, file.second, file.seekable()) for file in files] == [
        (str(path), second, False) for second in frame_times(4.0)
    ]
    with ThreadPoolExecutor(3) as threads:
        pictures = list(threads.map(lambda file: open_image(cast(BinaryIO, file)), files))
    assert [picture.size for picture in pictures] == [(WIDTH, HEIGHT)] * 3
    assert [file.second for file in files] == [0.5, 2.0, 3.0]  # keyframes within a quarter of a part, 0.33 s
    assert path.resolve() not in open_files()


def open_files() -> list[Path]:
    """Those of this process, where the system has a folder of them."""
    folder = Path("/proc/self/fd")
    return [each.resolve() for each in folder.iterdir()] if folder.exists() else []


@pytest.mark.parametrize("name", ["new\nline \U0001f431.mp4", "http:::x.mp4", "a|b%03d.mp4", "-i.mp4"])
def test_any_file_name_is_a_file_name(name: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4").rename(tmp_path / name)
    assert seen(path, [1.3]) == [13]


def test_tags_that_are_no_text_leave_a_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", tags={"title": "A" * 12, "location": "-33.8688+151.2093/"})
    path.write_bytes(path.read_bytes().replace(b"A" * 12, b"\xff" * 12))
    assert read_video(path).latitude == -33.8688


def write_sound(path: Path, *, cover: bool = False) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000)
        if cover:
            picture: Any = container.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
            container.mux(picture.encode(av.VideoFrame.from_ndarray(numbered(0), "rgb24")))
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), "fltp", "mono")
        sound.sample_rate = 16_000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    return path


def test_what_is_no_video_is_said_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bad = {
        name: tmp_path / f"{name}.mp4"
        for name in ("empty", "text", "picture", "cut", "sound", "song", "folder", "gone")
    }
    bad["empty"].write_bytes(b"")
    bad["text"].write_text("only words\n" * 100)
    bad["picture"].write_bytes(b"P6\n64 64\n255\n" + bytes(64 * 64 * 3))
    bad["folder"].mkdir()
    write_sound(bad["sound"])
    write_sound(bad["song"], cover=True)
    whole = write_video(tmp_path / "whole.mp4").read_bytes()
    bad["cut"].write_bytes(whole[: len(whole) // 2])  # before its index, which comes last
    for path in bad.values():
        for read in (read_video, lambda path: read_frame(path, 1.0)):
            with pytest.raises(ImageError) as told:
                read(path)
            assert str(told.value).startswith(f"{path}: ")
            assert "\n" not in str(told.value)
    reasons = {name: reason_of(path) for name, path in bad.items()}
    assert reasons["empty"] == "empty, 0 bytes"
    assert reasons["sound"] == reasons["song"] == "holds no video that can be decoded"
    assert reasons["folder"] == "not a regular file"
    assert reasons["cut"] == "cannot be read as a video (Invalid data found when processing input)"
    assert capfd.readouterr() == ("", "")


def reason_of(path: Path) -> str:
    with pytest.raises(ImageError) as told:
        read_video(path)
    return str(told.value).removeprefix(f"{path}: ")


def test_playlist_does_not_open_other_files(tmp_path: Path) -> None:
    write_video(tmp_path / "secret.mts")
    playlist = tmp_path / "a.mp4"
    playlist.write_text(f"#EXTM3U\n#EXTINF:4,\n{tmp_path}/secret.mts\n#EXT-X-ENDLIST\n")
    with pytest.raises(ImageError, match="cannot be read as a video"):
        read_video(playlist)
    script = tmp_path / "b.mp4"
    script.write_text(f"ffconcat version 1.0\nfile {tmp_path}/secret.mts\n")
    with pytest.raises(ImageError, match="cannot be read as a video"):
        read_video(script)


@pytest.mark.parametrize(
    ("suffix", "options"), [("mp4", {"movflags": "faststart"}), ("mkv", {}), ("mts", {})], ids=["mp4", "mkv", "mts"]
)
def test_video_cut_short_gives_the_frames_that_it_holds(
    suffix: str, options: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_video(tmp_path / f"a.{suffix}", frames=range(200), keyframe_every=10, options=options)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    assert seen(path, [0.5, 5.5]) == [5, 55]
    with pytest.raises(ImageError, match=r"no frame at 19\.0 s"):
        read_frame(path, 19.0)
    assert capfd.readouterr().err == ""


def test_damaged_videos_never_raise_anything_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = np.frombuffer(write_video(tmp_path / "a.mp4", keyframe_every=10).read_bytes(), np.uint8)
    generator = np.random.default_rng(0)
    path = tmp_path / "damaged.mp4"
    for _ in range(30):
        damaged = whole.copy()
        damaged[generator.integers(0, len(whole), 60)] = generator.integers(0, 256, 60)
        path.write_bytes(damaged.tobytes())
        for second in (0.0, 2.5):
            with suppress(ImageError):
                assert open_image(read_frame(path, second).picture).width > 0
        with suppress(ImageError):
            assert read_video(path).width > 0
    assert capfd.readouterr().err == ""


def test_too_many_pixels_are_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    with pytest.raises(ImageError, match=r"a\.mp4: 128 x 96 pixels; between 1 and 10,000 are read"):
        VideoReader(path, [0.0], max_pixels=10_000).read(0)


def test_missing_av_is_said_with_the_command_to_install_it(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    code = f"""
import sys
sys.modules["av"] = None
from diptych.errors import ImageError
from diptych.library.video import read_frame, read_video
for read in (read_video, lambda path: read_frame(path, 1.0)):
    try:
        read({str(path)!r})
    except ImageError as error:
        print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == f'{path}: videos need PyAV, which is not installed: pip install "diptych[video]"\n' * 2
