"""/metrics, and what operators make of it: the dashboard and alerts of deploy/."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import yaml
from aiohttp import ClientError
from attrs import define, field
from prometheus_client.parser import text_string_to_metric_families

from deploy.dashboard import PANELS, dashboard
from server.config.keys import NewKey
from server.record.metrics_table import METRICS, PREFIX
from tests.conftest import MakeUpstream, Serve, StartServer
from tests.rig.client import CHAT, Client, client, hello
from tests.rig.procfs import children
from tests.rig.upstream import HEAD, answers, delta, says

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = re.compile(rf"{PREFIX}\w+")
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is missing"
)
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@define
class Crowd:
    """Clients that chat: the *ids* of their answers, and how many they did not get."""

    url: str
    ids: list[str] = field(factory=list)
    lost: int = 0

    async def chat(self, times: int) -> None:
        """Chat so many times, each at a new connection; every other is a stream."""
        for i in range(times):
            try:
                async with client(self.url) as me:
                    answer = await me.chat("One", stream=bool(i % 2))
            except (ClientError, OSError):
                self.lost += 1
            else:
                assert answer.status == 200
                self.ids.append(answer.headers["X-Request-ID"])


def fallen(before: Samples, now: Samples) -> list[str]:
    """Return the counters that were greater before."""
    counters = ("_total", "_count", "_bucket")
    return [
        key[0]
        for key, number in before.items()
        if key[0].endswith(counters) and now[key] < number
    ]


def promtool(*arguments: str, stdin: str = "") -> None:
    """Run promtool; raise AssertionError with what it says if it finds fault."""
    ran = subprocess.run(
        ["promtool", *arguments],
        input=stdin,
        cwd=DEPLOY,
        text=True,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def parsed(text: str) -> Samples:
    return {
        (sample.name.removeprefix(PREFIX), frozenset(sample.labels.items())): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scraped(me: Client) -> Samples:
    return parsed((await me.get("/metrics")).body.decode())


def value(samples: Samples, name: str, **labels: str) -> float:
    """Return the sum of all samples that have these labels."""
    wanted = labels.items()
    return sum(
        number
        for (each, having), number in samples.items()
        if each == name and wanted <= having
    )


CHATS = {"route": "/v1/chat/completions"}
COUNTED: list[tuple[str, float, dict[str, str]]] = [
    ("requests_total", 2, {**CHATS, "status": "200"}),
    ("requests_total", 2, {**CHATS, "status": "502"}),
    ("requests_total", 1, {"route": "other", "status": "404"}),
    ("request_duration_seconds_count", 4, CHATS),
    ("races_total", 2, {"strategy": "race", "outcome": "won"}),
    ("races_total", 2, {"strategy": "race", "outcome": "failed"}),
    ("racers_total", 2, {"provider": "Good", "outcome": "won", "reason": ""}),
    ("racers_total", 2, {"provider": "Slow", "outcome": "cut_off", "reason": ""}),
    ("racers_total", 2, {"provider": "Bad", "reason": "upstream_error"}),
    ("racers_total", 2, {"outcome": "failed"}),
    ("time_to_first_token_seconds_count", 2, {"provider": "Good"}),
    ("loser_close_seconds_count", 2, {}),
    ("dispatch_skew_seconds_count", 2, {}),
    ("overhead_seconds_count", 2, {}),
    ("streams_open", 0, {}),
    ("workers", 1, {"state": "running"}),
]


async def test_what_is_counted(serve: Serve, make_upstream: MakeUpstream) -> None:
    """Each race and each racer is counted once, by what became of it."""
    good = await make_upstream(says("Hi"))
    slow = await make_upstream([HEAD, ...])
    bad = await make_upstream(answers(500, {}))
    me = await serve(good.table("Good"), slow.table("Slow"), bad.table("Bad"))
    for stream in (True, False):
        assert (await me.chat("Good Slow", stream=stream)).status == 200
        assert (await me.chat("Bad", stream=stream)).status == 502
    assert (await me.get("/nowhere/at/all")).status == 404

    samples = await scraped(me)

    for name, number, labels in COUNTED:
        assert value(samples, name, **labels) == number, (name, labels)
    assert value(samples, "tokens_total", provider="Good", kind="output") > 0


async def test_who_may_scrape(serve: Serve, make_upstream: MakeUpstream) -> None:
    """On loopback anybody; what clients say becomes no label's value."""
    upstream = await make_upstream(says("Hi"))
    me = await serve(upstream.table("One"))
    for name in ("gpt-9", "x" * 100):
        await me.chat("One", model=name)
        await me.get(f"/v1/{name}")

    text = (await me.get("/metrics")).body.decode()

    assert "gpt-9" not in text
    assert "xxx" not in text
    families = list(text_string_to_metric_families(text))
    named = {f"{PREFIX}{metric.name}".removesuffix("_total") for metric in METRICS}
    assert {family.name for family in families} <= named | {f"{PREFIX}build_info"}
    wanted = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = await me.get("/metrics", headers=wanted)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")


@pytest.mark.parametrize("public", [False, True])
async def test_keys_where_others_reach_it(
    serve: Serve, make_upstream: MakeUpstream, public: bool
) -> None:
    """Beyond loopback an admin's key is needed, unless the metrics are public."""
    upstream = await make_upstream(says("Hi"))
    admin, user = NewKey("admin"), NewKey("user")
    tables = f"{admin.table()}admin = true\n{user.table()}requests_per_minute = 1\n"
    me = await serve(
        f"[metrics]\npublic = {str(public).lower()}\n{tables}",
        upstream.table("One"),
        arguments=["--host", "0.0.0.0"],
    )
    keys = [None, {"X-API-Key": user.secret}, {"X-API-Key": admin.secret}]

    seen = [(await me.get("/metrics", headers=key)).status for key in keys]

    assert seen == ([200] * 3 if public else [401, 403, 200])
    for _ in range(2):
        await me.request("POST", CHAT, json=hello("One"), headers=keys[1])
    text = (await me.get("/metrics", headers=keys[2])).body.decode()
    refused = value(parsed(text), "rate_limited_total", limit="requests_per_minute")
    assert refused == 1


async def test_streams_that_end_badly_are_closed(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """An interrupted stream and a client that left are not open any more."""
    broken = await make_upstream([HEAD, delta(content="Hi"), None])
    endless = await make_upstream([HEAD, delta(content="Hi"), ...])
    me = await serve(broken.table("Broken"), endless.table("Endless"))
    await me.chat("Broken", stream=True)
    async with me.open_chat("Endless") as answer:
        await answer.content.readline()
        assert value(await scraped(me), "streams_open") == 1
        answer.close()
    async with asyncio.timeout(10):
        while value(await scraped(me), "streams_open"):
            pass

    samples = await scraped(me)
    assert value(samples, "races_total", outcome="client_left") == 1


@pytest.mark.timeout(300)
async def test_sums_survive_a_killed_worker(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """
    Of 2,000 races at four workers, one of which is killed among them, all that were
    answered are counted, none twice, and no counter ever falls.
    """
    upstream = await make_upstream(says("Hi"))
    server = await start_server(upstream.table("One"), arguments=["--workers", "4"])
    await server.logged("serving", times=4)
    crowd, seen = Crowd(server.url), Samples()
    for part in range(4):
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(crowd.chat(50))
            if part == 1:
                os.kill(min(children(server.process.pid)), signal.SIGKILL)
        async with client(server.url) as me:
            now = await scraped(me)
        assert not fallen(seen, now)
        seen = now

    assert len(crowd.ids) + crowd.lost == 2000
    assert crowd.lost <= 10  # what the killed one had in hand
    races = value(seen, "races_total", outcome="won")
    assert len(crowd.ids) <= races <= len(upstream.requests)
    assert value(seen, "racers_total", provider="One", outcome="won") == races
    async with client(server.url) as me:
        listed = (await me.get("/v1/races?limit=1000")).json["data"]
    assert set(crowd.ids[-900:]) <= {race["id"] for race in listed}


@needs_promtool
async def test_promtool_finds_no_fault(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """A scrape is as Prometheus advises, and the alerts do what they say."""
    upstream = await make_upstream(says("Hi"))
    me = await serve(upstream.table("One"))
    await me.chat("One")
    text = (await me.get("/metrics")).body.decode()

    promtool("check", "metrics", stdin=text)
    promtool("check", "rules", "alerts.yaml")
    promtool("test", "rules", "alerts_test.yaml")


def _expressions() -> list[str]:
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text("utf-8"))
    alerts = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    shown = [line.expression for panel in PANELS for line in panel.lines]
    return [*alerts, *shown]


def test_dashboards_and_alerts_name_what_there_is() -> None:
    """Each name in an expression is a metric's, and the dashboard is made anew."""
    parts = {"histogram": ("_bucket",), "counter": ("",), "gauge": ("",)}
    known = {
        f"{PREFIX}{metric.name}{part}"
        for metric in METRICS
        for part in parts[metric.kind]
    }
    for expression in _expressions():
        names = set(NAME.findall(expression))
        assert names <= known, expression
    written = json.loads((DEPLOY / "dashboard.json").read_text("utf-8"))
    assert written == dashboard()
    shown = {n for line in _expressions() for n in NAME.findall(line)}
    assert known == shown


@needs_promtool
def test_expressions_are_promql(tmp_path: Path) -> None:
    """Prometheus can read every expression of the dashboard."""
    rules = [
        {"record": "x", "expr": line.replace("$__rate_interval", "5m")}
        for line in _expressions()
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "x", "rules": rules}]}))
    promtool("check", "rules", str(path))


def test_what_containers_are_given_is_there() -> None:
    """Each file that compose mounts, but for what its reader makes, is in deploy/."""
    composed = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    mounted = [
        volume.split(":")[0]
        for service in composed["services"].values()
        for volume in service.get("volumes", ())
        if volume.startswith("./")
    ]
    missing = {path for path in mounted if not (DEPLOY / path).exists()}
    assert missing == {"./config.toml"}
    scraped_job = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))
    (job,) = scraped_job["scrape_configs"]
    assert job["authorization"]["credentials_file"] == "/run/secrets/metrics_key"
