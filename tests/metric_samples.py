"""What a server has counted, as Prometheus reads it."""

import time

import httpx
from prometheus_client.parser import text_string_to_metric_families


def read_samples(client: httpx.Client) -> dict[str, float]:
    """Every sample by its name and labels."""
    samples = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}"] = sample.value
    return samples


def read_settled_samples(client: httpx.Client) -> dict[str, float]:
    """The same once nothing else is being answered: who has an answer may ask before that has been counted."""
    until = time.monotonic() + 60
    while (samples := read_samples(client))["diptych_requests_in_flight{}"] > 1:
        assert time.monotonic() < until
        time.sleep(0.01)
    return samples
