"""Whether the server can work is found out by having it work, each time it is asked."""

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

import diptych
from diptych import DualEncoder
from diptych.serve.app import build_app
from diptych.serve.config import ServeConfig
from diptych.serve.engine import Engine
from diptych.serve.metrics import Metrics
from diptych.serve.routes import health
from diptych.serve.state import Server
from metric_samples import read_settled_samples

NOT_READY = "urn:diptych:problem:not-ready"


def test_each_readyz_is_one_picture_and_one_text_computed(client: httpx.Client) -> None:
    before = read_settled_samples(client)
    for _ in range(3):
        answer = client.get("/readyz").json()
        assert (answer["status"], answer["model"]) == ("ready", "postcard")
        assert answer["ms"] > 0
        after = read_settled_samples(client)
        for kind in ("images", "texts"):
            name = f"diptych_batch_items_sum{{kind={kind}}}"
            assert after[name] - before.get(name, 0) == 1
        before = after


@pytest.fixture
def own_encoder(model_folder: Path) -> DualEncoder:
    """A small model that a test may break."""
    return diptych.load(model_folder, dtype="float32", device="cpu")


def ask(encoder: DualEncoder, *, before_the_stop: Callable[[], None] = lambda: None) -> httpx.Response:
    """What a server of this model answers to /readyz."""
    metrics = Metrics()
    config = ServeConfig()
    server = Server(
        config=config,
        engine=Engine(encoder, config.limits, metrics),
        metrics=metrics,
        model_id="small",
        model_name="small",
    )
    app = build_app(server)

    async def get() -> httpx.Response:
        async with app.router.lifespan_context(app):
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
                answer = await client.get("/readyz")
            before_the_stop()
            return answer

    return asyncio.run(get())


def test_a_model_that_works_is_ready(own_encoder: DualEncoder) -> None:
    assert ask(own_encoder).json()["status"] == "ready"


@pytest.mark.parametrize("part", ["visual", "text.ln_final"])
@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_a_model_that_fails_is_not_ready_and_its_log_says_where(
    own_encoder: DualEncoder, part: str, error: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down(*_: object) -> None:
        raise error("about xyzzysecret")

    own_encoder.model.get_submodule(part).register_forward_pre_hook(break_down)
    answer = ask(own_encoder)
    assert (answer.status_code, answer.json()["type"]) == (503, NOT_READY)
    assert answer.json()["detail"] == "The model failed at a picture and a text: the server's log says where."
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert (line["event"], line["source"], line["error"]) == ("error", "readyz", error.__name__)
    assert line["frames"][-1].endswith("break_down")
    assert "xyzzysecret" not in json.dumps(line)


def test_a_time_out_within_the_model_is_a_failure_of_it(own_encoder: DualEncoder) -> None:
    def give_up(*_: object) -> None:
        raise TimeoutError

    own_encoder.model.visual.register_forward_pre_hook(give_up)
    assert ask(own_encoder).json()["detail"].startswith("The model failed")


def test_a_model_that_takes_too_long_is_not_ready(
    own_encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    goes_on = threading.Event()

    def get_stuck(*_: object) -> None:
        goes_on.wait(30)

    own_encoder.model.visual.register_forward_pre_hook(get_stuck)
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.2)
    answer = ask(own_encoder, before_the_stop=goes_on.set)
    assert (answer.status_code, answer.json()["type"]) == (503, NOT_READY)
    assert answer.json()["detail"] == "The model did not answer within 0.2 s."
    assert capsys.readouterr().err == ""
