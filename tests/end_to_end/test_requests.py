"""What a client may ask, and what it is told when it asks wrongly: contract §3."""

import gzip
from hashlib import sha256
from typing import Any

import pytest

from tests.conftest import MakeUpstream, Serve, StartServer
from tests.rig.client import CHAT, Answer, hello
from tests.rig.client import client as connect
from tests.rig.raw_client import raw_client
from tests.rig.upstream import answers, says

PAGE = "http://localhost:5173"


def key(name: str, **more: str) -> str:
    """Return the table of an API key, which is NAME-key."""
    digest = sha256(f"{name}-key".encode()).hexdigest()
    lines = ["[[auth.keys]]", f'name = "{name}"', f'sha256 = "{digest}"']
    return "\n".join([*lines, *(f"{k} = {v}" for k, v in more.items())])


def assert_error(answer: Answer, status: int, code: str, param: str | None) -> None:
    error = answer.error
    assert (answer.status, error["code"], error["param"]) == (status, code, param)
    assert set(error) >= {"message", "type", "param", "code"}
    assert error["message"].endswith(".")
    assert answer.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("body", "status", "code", "param", "says_"),
    [
        (b"", 400, "invalid_json", None, "empty"),
        (b'{"model": ', 400, "invalid_json", None, "not valid JSON"),
        (b"[1]", 400, "invalid_json", None, "object"),
        ({"model": "m"}, 400, "invalid_request", "messages", "missing"),
        (hello(messages=[]), 400, "invalid_request", "messages", "empty"),
        ({"messages": [{"role": "user"}]}, 400, "invalid_request", "model", "missing"),
        (hello(model=7), 400, "invalid_request", "model", "a string"),
        (hello(stream="yes"), 400, "invalid_request", "stream", "true or false"),
        (hello(temperature=3), 400, "invalid_request", "temperature", "<= 2"),
        (
            hello(messages=[{"role": "king", "content": "x"}]),
            400,
            "invalid_request",
            "messages[0].role",
            "one of",
        ),
        (hello("Nobody"), 404, "provider_not_found", "provider", "/v1/providers"),
        (hello("http://evil/"), 404, "provider_not_found", "provider", "no provider"),
        (hello("Off"), 404, "provider_not_found", "provider", "X_KEY is not set"),
        (hello(7), 400, "invalid_request", "provider", "ids"),
        (hello("A B C"), 400, "too_many_providers", "provider", "at most 2"),
        (hello("A", race={"x": 1}), 400, "invalid_request", "race.x", "unknown"),
        (hello("Strict"), 404, "model_not_found", "model", "/v1/providers/Strict"),
    ],
    ids=repr,
)
async def test_mistakes_are_explained(
    serve: Serve, body: Any, status: int, code: str, param: str | None, says_: str
) -> None:
    """Each mistake gets its status, its code, the field to blame, and a sentence."""
    url = 'kind = "openai"\nbase_url = "http://127.0.0.1:9/v1"'
    client = await serve(
        "[race]\nmax_racers = 2",
        *(f"[providers.{name}]\n{url}" for name in "ABC"),
        f'[providers.Off]\n{url}\napi_key = "env:X_KEY"',
        f'[providers.Strict]\n{url}\nunknown_model = "reject"',
    )

    options = {"data": body} if isinstance(body, bytes) else {"json": body}
    answer = await client.request("POST", CHAT, **options)

    assert_error(answer, status, code, param)
    assert says_ in answer.error["message"]


async def test_wrong_paths_methods_and_sizes(serve: Serve) -> None:
    """404, 405 and 413 have the same shape as every other error."""
    client = await serve("[server]\nmax_body_bytes = 1000")

    assert_error(await client.get("/v1/nothing"), 404, "not_found", None)
    wrong_method = await client.get(CHAT)
    assert_error(wrong_method, 405, "method_not_allowed", None)
    assert wrong_method.headers["Allow"] == "POST"
    large = await client.request("POST", CHAT, data=b"x" * 1001)
    assert_error(large, 413, "body_too_large", None)
    nobody = await client.chat()
    assert_error(nobody, 404, "model_not_found", "model")


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/images/generate"])
async def test_compressed_bodies(serve: Serve, path: str) -> None:
    """A body may be compressed; one that is not, but says so, is the client's fault."""
    client = await serve()
    says_gzip = {"Content-Encoding": "gzip", "Content-Type": "application/json"}

    good = await client.request(
        "POST", path, data=gzip.compress(b"[]"), headers=says_gzip
    )
    bad = await client.request("POST", path, data=b"[]", headers=says_gzip)

    assert (good.status, bad.status) == (400, 400)
    assert "must be a JSON object" in good.error["message"]
    assert "Content-Encoding" in bad.error["message"]


async def test_keys_open_the_api_and_nothing_else_does(serve: Serve) -> None:
    """With a key configured, /v1 and /api want it, in either header; probes do not."""
    client = await serve(key("frontend"))

    for headers in ({}, {"Authorization": "Bearer wrong"}, {"x-api-key": "wrong"}):
        answer = await client.get("/v1/models", headers=headers)
        assert_error(answer, 401, "invalid_api_key", None)
    refused = await client.request("POST", "/api/A/chat/completions", json=hello())
    assert refused.status == 401
    for headers in (
        {"Authorization": "Bearer frontend-key"},
        {"x-api-key": "frontend-key"},
    ):
        assert (await client.get("/v1/models", headers=headers)).status == 200
    assert (await client.get("/healthz")).status == 200


async def test_key_is_held_to_its_providers(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """A key that may use one provider neither sees nor reaches another."""
    upstream = await make_upstream(says("Hi"))
    client = await serve(
        upstream.table("Mine"), upstream.table("Other"), key("k", providers='["mine"]')
    )
    options: dict[str, Any] = {"headers": {"Authorization": "Bearer k-key"}}

    seen = await client.get("/v1/providers", **options)
    allowed = await client.request("POST", CHAT, json=hello("Mine"), **options)
    refused = await client.request("POST", CHAT, json=hello("Mine Other"), **options)

    assert [row["id"] for row in seen.json] == ["Mine"]
    assert allowed.status == 200
    assert_error(refused, 403, "provider_not_allowed", "provider")


async def test_pages_of_allowed_origins_may_read_answers_and_errors(
    serve: Serve,
) -> None:
    """A preflight is answered, and each answer, errors too, names the page's origin."""
    client = await serve()
    ask = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }

    preflight = await client.request("OPTIONS", CHAT, headers=ask)
    found = await client.get("/v1/models", headers={"Origin": PAGE})
    missing = await client.get("/v1/nothing", headers={"Origin": PAGE})

    assert preflight.status == 204
    allowed = preflight.headers["Access-Control-Allow-Headers"]
    assert allowed == "authorization,content-type"
    for answer in (preflight, found, missing):
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert answer.headers["Timing-Allow-Origin"] == PAGE
        assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]


async def test_pages_of_other_origins_may_not(serve: Serve) -> None:
    """No header lets them read; what needs no preflight is refused outright."""
    client = await serve()
    evil = {"Origin": "http://evil.example"}
    ask = {**evil, "Access-Control-Request-Method": "POST"}

    preflight = await client.request("OPTIONS", CHAT, headers=ask)
    read = await client.get("/v1/models", headers=evil)
    simple = {**evil, "Content-Type": "text/plain"}
    posted = await client.request("POST", CHAT, data=b"{}", headers=simple)

    assert_error(preflight, 403, "origin_not_allowed", None)
    assert_error(posted, 403, "origin_not_allowed", None)
    for answer in (preflight, read, posted):
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:1337", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("box.lan:80", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
    ],
)
async def test_names_of_others_are_refused_without_a_key(
    serve: Serve, host: str, status: int
) -> None:
    """A page that points its own name at this machine (DNS rebinding) gets nothing."""
    client = await serve('[server]\nallowed_hosts = ["box.lan"]')

    answer = await client.get("/v1/models", headers={"Host": host})

    assert answer.status == status


async def test_with_a_key_any_name_will_do(serve: Serve) -> None:
    """Whoever has the key is no page that guesses: behind a proxy, names differ."""
    client = await serve(key("k"))
    headers = {"Host": "api.example", "Authorization": "Bearer k-key"}

    assert (await client.get("/v1/models", headers=headers)).status == 200


async def test_request_id_is_the_clients_own_if_it_is_one(serve: Serve) -> None:
    """A well-formed x-request-id comes back; anything else is replaced."""
    client = await serve()

    kept = await client.get("/healthz", headers={"X-Request-ID": "abc-123"})
    replaced = await client.get("/healthz", headers={"X-Request-ID": "a b"})

    assert kept.headers["X-Request-ID"] == "abc-123"
    assert replaced.headers["X-Request-ID"] not in ("", "a b")


async def test_what_aiohttp_refuses_has_an_id_too(serve: Serve) -> None:
    """An expectation that nobody can meet is an error of the client's, not ours."""
    server = await serve()
    head = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nExpect: the impossible\r\n"
    async with raw_client(server.url) as client:
        await client.send(f"{head}X-Request-ID: mine\r\n\r\n".encode())
        await client.until(b"\r\n\r\n")

    assert client.received.startswith(b"HTTP/1.1 417 ")
    assert b"X-Request-ID: mine\r\n" in client.received


async def test_lists_show_what_is_usable(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """Providers that are off are not listed; models name who serves them."""
    upstream = await make_upstream(models=("live-model",))
    models = {"small": "upstream/small"}
    server = await start_server(
        '[models.fast]\nproviders = ["One"]',
        upstream.table("One", default_model="big", label="Number One", url="http://x"),
        f'[providers.Two]\nkind = "openai"\nbase_url = "{upstream.url}"',
        *(f'[providers.Two.models]\n"{k}" = "{v}"' for k, v in models.items()),
        upstream.table("Off", enabled=False),
        arguments=["--log-level", "debug"],
    )
    await server.logged("models listed provider=One")

    async with connect(server.url) as client:
        providers = (await client.get("/v1/providers")).json
        listed = {
            m["id"]: m["providers"]
            for m in (await client.get("/v1/models")).json["data"]
        }
        details = (await client.get("/v1/providers/ONE")).json
        model = await client.get("/v1/models/live-model")
        missing = await client.get("/v1/models/none")

    assert [row["id"] for row in providers] == ["One", "Two"]
    assert providers[0] == {
        "id": "One",
        "object": "provider",
        "created": 0,
        "url": "http://x",
        "label": "Number One",
    }
    assert next(iter(listed)) == "fast"
    assert (listed["big"], listed["small"]) == (["One"], ["Two"])
    assert details["models"] == ["big", "live-model"]
    assert "temperature" in details["params"]
    assert model.json["object"] == "model"
    assert_error(missing, 404, "model_not_found", "model")


async def test_path_names_whose_models_are_listed(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """A client that knows a base URL alone finds there what it may ask for there."""
    one, two = await make_upstream(), await make_upstream()
    client = await serve(
        one.table("One", default_model="big"), two.table("Two", default_model="small")
    )

    listed = (await client.get("/api/two/models")).json["data"]
    found = await client.get("/api/Two+One/models/big")
    elsewhere = await client.get("/api/Two/models/big")
    nobody = await client.get("/api/Nobody/models")

    assert [(m["id"], m["providers"]) for m in listed] == [("small", ["Two"])]
    assert found.json["providers"] == ["One"]
    assert_error(elsewhere, 404, "model_not_found", "model")
    assert_error(nobody, 404, "provider_not_found", "provider")


async def test_record_of_a_provider_shows_in_its_details(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """Wins, losses and failures are counted, and the last error is told."""
    good, bad = await make_upstream(says("Hi")), await make_upstream(answers(500, {}))
    client = await serve(good.table("Good"), bad.table("Bad"))
    await client.chat("Good")
    await client.chat("Bad")

    won = (await client.get("/v1/providers/Good")).json["stats"]
    failed = (await client.get("/v1/providers/Bad")).json["stats"]

    assert (won["requests"], won["wins"], won["failures"]) == (1, 1, 0)
    assert won["ttft_ms"]["p50"] > 0
    assert (failed["wins"], failed["failures"]) == (0, 1)
    assert "500" in failed["last_error"]


async def test_secrets_of_a_provider_are_not_passed_on(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """An upstream that echoes our key in its error does not give it to the client."""
    echo = {"error": {"message": "Incorrect API key provided: sk-very-secret-key"}}
    upstream = await make_upstream(answers(401, echo))
    client = await serve(upstream.table("One", api_key="sk-very-secret-key"))

    answer = await client.chat("One")
    details = await client.get("/v1/providers/One")

    assert b"Incorrect API key" in answer.body
    assert b"sk-very-secret-key" not in answer.body + details.body


LISTS = {
    "anthropic": {
        "data": [
            {"type": "model", "id": "m", "max_input_tokens": 9000, "max_tokens": 800}
        ]
    },
    "gemini": {
        "models": [
            {
                "name": "models/m",
                "inputTokenLimit": 9000,
                "outputTokenLimit": 800,
                "supportedGenerationMethods": ["generateContent"],
            }
        ]
    },
    "openai": {
        "data": [
            {
                "id": "m",
                "context_length": 9000,
                "top_provider": {"max_completion_tokens": 800},
            },
            {"id": "n", "context_length": None, "top_provider": None},
        ]
    },
}


@pytest.mark.parametrize("kind", LISTS)
async def test_models_have_the_limits_that_their_vendor_lists(
    make_upstream: MakeUpstream, serve: Serve, kind: str
) -> None:
    """What fits into a model's context and its answers is told as its vendor says."""
    upstream = await make_upstream()
    upstream.listing = answers(200, LISTS[kind])
    table = upstream.table("One").replace('kind = "openai"', f'kind = "{kind}"')
    client = await serve(table)
    await upstream.listed.wait()

    listed = (await client.request("GET", "/v1/models")).json["data"]

    limits = [(m.get("context_length"), m.get("max_output_tokens")) for m in listed]
    assert limits[0] == (9000, 800)
    assert limits[1:] in ([], [(None, None)])
