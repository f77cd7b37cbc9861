"""What a server has counted, as Prometheus reads it."""

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
