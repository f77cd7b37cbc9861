"""What is counted, as Prometheus reads it."""

import base64

import httpx

from diptych.demo.photographs import find_photographs
from metric_samples import read_settled_samples
from serve_command import ServeCommand


def test_work_is_counted(client: httpx.Client) -> None:
    before = read_settled_samples(client)
    photo = base64.b64encode(next(iter(find_photographs())).read_bytes()).decode()
    ask = {"input": [{"image": photo}, "a dog that is counted"]}
    for _ in range(2):
        assert client.post("/v1/embeddings", json=ask).status_code == 200
    assert client.get("/v1/nothing/17").status_code == 404
    after = read_settled_samples(client)
    grown = {name: after[name] - before.get(name, 0) for name in after}
    embeddings = "method=POST,route=/v1/embeddings"
    assert grown[f"diptych_requests_total{{{embeddings},status=200}}"] == 2
    assert grown[f"diptych_request_seconds_count{{{embeddings}}}"] == 2
    assert grown[f"diptych_request_seconds_bucket{{le=+Inf,{embeddings}}}"] == 2
    assert grown["diptych_requests_total{method=GET,route=none,status=404}"] == 1
    assert grown["diptych_batch_items_sum{kind=images}"] == grown["diptych_decode_seconds_count{}"] == 2
    assert grown["diptych_batch_items_sum{kind=texts}"] == 1
    assert (grown["diptych_text_cache_total{result=hit}"], grown["diptych_text_cache_total{result=miss}"]) == (1, 1)
    assert after["diptych_requests_in_flight{}"] == 1  # this one
    assert after["diptych_held_bytes{}"] == after["diptych_waiting_items{kind=images}"] == 0
    assert after["process_resident_memory_bytes{}"] > 50_000_000


def test_refusals_are_counted_by_their_status(client: httpx.Client) -> None:
    before = read_settled_samples(client)
    client.get("/v1/models", headers={"Host": "evil.example"})
    client.post("/v1/embeddings", content=b"[" + b"1," * 50_000 + b"1]")
    after = read_settled_samples(client)
    for name in ("method=GET,route=/v1/models,status=403", "method=POST,route=/v1/embeddings,status=413"):
        assert after[f"diptych_requests_total{{{name}}}"] - before.get(f"diptych_requests_total{{{name}}}", 0) == 1


def test_no_request_can_add_a_series_of_its_own(client: httpx.Client, served: ServeCommand) -> None:
    before = len(read_settled_samples(client))
    for i in range(50):
        client.get(f"/v1/unknown/{i}")
        client.get(f"/v1/models/{i}")
        client.get(f"/web/{i}")
    assert len(read_settled_samples(client)) < before + 60
