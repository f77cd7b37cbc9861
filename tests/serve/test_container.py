"""Containerfile, compose.yaml and the systemd unit: what can be known of them without an engine to run them."""

import json
import re
import subprocess
import sys
from configparser import ConfigParser
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
import yaml

from diptych.cli.app import app
from diptych.serve.config import ServeConfig
from serve_command import ServeCommand

ROOT = Path(__file__).parents[2]


class Instruction(NamedTuple):
    """One of the Containerfile's, its lines joined."""

    name: str
    arguments: str


def instructions() -> list[Instruction]:
    lines = [line for line in (ROOT / "Containerfile").read_text("utf-8").splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def named(name: str) -> list[str]:
    return [each.arguments for each in instructions() if each.name == name]


def last_stage() -> list[Instruction]:
    every = instructions()
    return every[max(i for i, each in enumerate(every) if each.name == "FROM") :]


def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]["diptych"]


def options_of_serve() -> set[str]:
    command = typer.main.get_group(app).commands["serve"]
    return {option for parameter in command.params for option in parameter.opts}


# ---- the image


def test_the_image_is_of_a_slim_base_once_to_build_and_once_to_run() -> None:
    assert named("FROM") == ["python:3.11-slim AS build", "python:3.11-slim"]


def test_every_file_that_is_copied_is_there_and_sent_to_the_engine() -> None:
    sent = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"]
    for arguments in named("COPY"):
        *sources, _ = arguments.split()
        if sources[0].startswith("--from="):
            continue
        for source in sources:
            assert (ROOT / source).exists(), source
            assert any(fnmatch(source, pattern) for pattern in sent), f"{source} is left out by .dockerignore"
    assert not named("ADD")  # it would fetch addresses and unpack archives


def test_what_is_left_out_is_everything_but_what_is_named() -> None:
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


def test_it_runs_as_a_user_of_its_own_by_number() -> None:
    stage = last_stage()
    (user,) = [each.arguments for each in stage if each.name == "USER"]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)  # by number, so that a cluster sees that it is not root
    after = [each.name for each in stage[[each.name for each in stage].index("USER") :]]
    assert "RUN" not in after
    assert "COPY" not in after


def test_no_build_tools_are_left() -> None:
    assert named("RUN")[1].endswith("/opt/diptych/bin/pip uninstall --yes pip")  # setuptools stays: torch names it
    (last,) = [each.arguments for each in last_stage() if each.name == "RUN"]
    assert "pip uninstall --yes --root-user-action ignore pip setuptools wheel" in last


def test_the_health_check_tells_a_server_that_lives_from_none(served: ServeCommand) -> None:
    (check,) = named("HEALTHCHECK")
    python, *arguments = json.loads(check[check.index("[") :])
    assert python == "python"
    slow = [each.replace("timeout=4", "timeout=60") for each in arguments]  # this machine may be
    here = [each.replace("http://127.0.0.1:8000", served.url) for each in slow]
    assert here != slow != arguments
    assert subprocess.run([sys.executable, *here], timeout=90).returncode == 0
    nobody = [each.replace("127.0.0.1:8000", "127.0.0.1:9") for each in arguments]
    assert subprocess.run([sys.executable, *nobody], timeout=90, stderr=subprocess.DEVNULL).returncode != 0


def test_what_it_runs_is_the_command_with_options_that_it_has() -> None:
    (entry,), (default,) = named("ENTRYPOINT"), named("CMD")
    words: list[str] = json.loads(entry) + json.loads(default)
    program, verb, *arguments = words
    assert (program, verb) == ("diptych", "serve")
    assert {each for each in arguments if each.startswith("--")} <= options_of_serve()
    assert "--no-auth" not in arguments


def test_it_writes_to_its_volumes_alone() -> None:
    (volumes,) = named("VOLUME")
    (settings,) = [each.arguments for each in last_stage() if each.name == "ENV"]
    places = dict(each.split("=", maxsplit=1) for each in settings.split())
    for name in ("DIPTYCH_LIBRARY", "DIPTYCH_CACHE", "HF_HOME"):
        assert any(places[name].startswith(volume) for volume in json.loads(volumes)), name


# ---- compose


def test_compose_takes_away_what_the_server_does_not_need() -> None:
    service = compose()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]
    assert not service.get("privileged")


def test_compose_mounts_the_volumes_and_the_photos_for_reading() -> None:
    service = compose()
    targets = [volume.split("}")[-1].removeprefix(":") for volume in service["volumes"]]
    assert targets == ["library:/library", "cache:/cache", "/photos:ro"]
    assert "--root=photos=/photos" in service["command"]
    assert all(published.startswith("127.0.0.1:") for published in service["ports"])


def test_compose_asks_for_a_key_and_waits_for_the_end() -> None:
    service = compose()
    assert service["command"][-1] == "--api-key=env:DIPTYCH_KEYS"
    assert {each.partition("=")[0] for each in service["command"]} <= options_of_serve()
    assert service["environment"]["DIPTYCH_KEYS"].startswith("${DIPTYCH_KEYS:?")  # without it nothing is started
    assert int(service["stop_grace_period"].removesuffix("s")) > 60


def test_what_compose_says_where_nothing_else_is_said_starts_a_server() -> None:
    page = (ROOT / "compose.yaml").read_text("utf-8")
    defaults = dict(re.findall(r"--(allow-host|trust-proxy)=\$\{\w+:-([^}]+)\}", page))
    config = ServeConfig(allowed_hosts=(defaults["allow-host"],), trusted_proxies=(defaults["trust-proxy"],))
    (subnet,) = re.findall(r"subnet: \$\{DIPTYCH_SUBNET:-([^}]+)\}", page)
    assert config.trusted_proxies == (subnet,)


def test_every_variable_of_compose_is_on_the_page() -> None:
    text = (ROOT / "compose.yaml").read_text("utf-8")
    page = (ROOT / "docs" / "serving.md").read_text("utf-8")
    variables = set(re.findall(r"\$\{(\w+)", text))
    assert {name for name in variables if name in page} == variables


# ---- systemd


@pytest.fixture
def unit() -> ConfigParser:
    page = (ROOT / "docs" / "serving.md").read_text("utf-8")
    text = page.split("<!-- file: diptych.service -->\n```text\n")[1].split("```")[0]
    parser = ConfigParser(strict=False, interpolation=None, delimiters=["="])
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    return parser


def test_the_unit_is_confined(unit: ConfigParser) -> None:
    service = unit["Service"]
    assert service["ProtectSystem"] == "strict"
    for name in ("DynamicUser", "NoNewPrivileges", "ProtectHome", "PrivateTmp", "RestrictSUIDSGID"):
        assert service[name] == "yes"
    assert service["CapabilityBoundingSet"] == ""
    assert "MemoryDenyWriteExecute" not in service  # torch makes code as it runs


def test_the_unit_runs_the_command_where_it_may_write(unit: ConfigParser) -> None:
    program, verb, *arguments = unit["Service"]["ExecStart"].replace("\\\n", " ").split()
    assert (program, verb) == ("/opt/diptych/bin/diptych", "serve")
    assert {each for each in arguments if each.startswith("--")} <= options_of_serve()
    assert arguments[arguments.index("--library") + 1].startswith("%S/diptych/")  # StateDirectory
    assert unit["Service"]["StateDirectory"] == unit["Service"]["CacheDirectory"] == "diptych"
    assert "DIPTYCH_CACHE=%C/diptych" in unit["Service"]["Environment"]
    assert int(unit["Service"]["TimeoutStopSec"]) > 60
