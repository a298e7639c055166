"""What clients try before they ask: base URLs, lists of models, keys of all kinds."""

import json
from importlib.metadata import version
from typing import Any

import anthropic
import pytest
from yarl import URL

from tests.conftest import MakeUpstream, Serve
from tests.rig.client import CHAT, hello
from tests.rig.upstream import says

from .test_requests import assert_error, key

OFF = 'kind = "openai"\nbase_url = "http://127.0.0.1:9/v1"'
TABLE = f'[providers.Up]\n{OFF}\n[providers.Up.models]\n"a/b:c" = "x"\n"gpt-9" = "y"'
BASES = ("/", "/v1", "/v1/", "/api/Up", "/api/Up/", "/api/Up+Up", "/api/Up/v1")
LISTS = ("/v1/models", "/api/Up/models", "/api/Up/v1/models")
ANTHROPIC = {"anthropic-version": "2023-06-01"}


async def test_base_urls_answer(serve: Serve) -> None:
    """HEAD and GET of each find something; one of nobody finds nothing."""
    client = await serve(TABLE)
    address = client.url.removeprefix("http://")

    for path in BASES:
        assert (await client.request("HEAD", path)).status == 200, path
        told = await client.get(path)
        assert told.status == 200, path
        assert address in told.json["openai_base_url"], path
    assert (await client.get("/v1")).json["openai_base_url"] == f"{client.url}/v1"
    assert (await client.get("/v1")).json["anthropic_base_url"] == client.url
    assert_error(await client.get("/api/No"), 404, "provider_not_found", "provider")
    root = (await client.get("/")).json
    assert root["docs"] == f"{client.url}/docs"
    assert root["version"] == version("interference")


async def test_head_answers_wherever_get_does(serve: Serve) -> None:
    """With the same status, and no body: streams of events have an end then, too."""
    client = await serve(TABLE)

    for path in (
        *LISTS,
        *(f"{path}/a/b:c" for path in LISTS),
        *("/v1/providers", "/v1/providers/Up", "/v1/races", "/v1/races/events"),
        *("/healthz", "/readyz", "/openapi.json", "/docs", "/docs/page.js"),
        *("/v1/models/none", "/v1/races/none", "/v1/nothing", "/media/none"),
    ):
        async with client.session.head(client.url + path) as head:
            assert await head.read() == b"", path
        if path != "/v1/races/events":
            assert head.status == (await client.get(path)).status, path


async def test_one_list_of_models_for_all_clients(serve: Serve) -> None:
    """Whatever the headers and the query, with the fields of both families."""
    client = await serve(TABLE)

    for path in LISTS:
        listed = (await client.get(f"{path}?limit=1000", headers=ANTHROPIC)).json
        assert listed == (await client.get(path)).json
        first, last = listed["data"][0], listed["data"][-1]
        assert listed["object"] == "list"
        assert listed["has_more"] is False
        assert (listed["first_id"], listed["last_id"]) == (first["id"], last["id"])
        assert {"a/b:c", "gpt-9"} <= {model["id"] for model in listed["data"]}
        for model in listed["data"]:
            assert (model["object"], model["type"]) == ("model", "model")
            assert isinstance(model["created"], int)
            assert model["display_name"]
            assert model["created_at"] == "1970-01-01T00:00:00Z"
            alone = await client.get(f"{path}/{model['id']}", headers=ANTHROPIC)
            assert alone.json == model


async def test_empty_list_names_no_ids(serve: Serve) -> None:
    """Where nobody is usable, there is no first one and no last one."""
    listed = (await (await serve()).get("/v1/models")).json

    assert listed["data"] == []
    assert (listed["first_id"], listed["last_id"]) == (None, None)


async def test_anthropics_package_lists_models(serve: Serve) -> None:
    """At either base URL, with every field that its type has."""
    server = await serve(TABLE)

    for base in (server.url, f"{server.url}/api/Up"):
        async with anthropic.AsyncAnthropic(base_url=base, api_key="k") as client:
            models = [model async for model in client.models.list(limit=1000)]
            one = await client.models.retrieve("gpt-9")
        assert one in models
        assert {model.display_name for model in models} >= {"a/b:c", "gpt-9"}
        assert one.created_at.year == 1970


WRONG = {
    "/chat/completions": "/v1",
    "//v1/chat/completions": "/v1",
    "/v1//chat/completions": "/v1",
    "/v1/v1/chat/completions": "/v1",
    "/v1/chat/completions/": "/v1",
    "/v1/responses/": "/v1",
    "/models": "/v1",
    "/openai/v1/embeddings": "/v1",
    "/v1/nothing": "/v1",
    "/api/Up/v1/chat/completions": "/api/Up",
    "/api/Up//chat/completions": "/api/Up",
    "/api/Up/chat/completions/": "/api/Up",
    "/api/Up+Other/v1/responses": "/api/Up+Other",
    "/v1/api/Up/chat/completions": "/api/Up",
    "/messages": "",
    "/v1/v1/messages": "",
    "/v1/messages/": "",
    "/v1//messages": "",
    "/api/Up/v1/v1/messages": "/api/Up",
}


async def test_wrong_base_urls_are_put_right(serve: Serve) -> None:
    """A 404 names the base URL that the client should have been given, by its Host."""
    client = await serve("[server]\nallowed_hosts = ['gateway.example']", TABLE)

    for path, right in WRONG.items():
        for method in ("GET", "POST"):
            async with client.session.request(
                method,
                URL(client.url + path, encoded=True),
                headers={"Host": "gateway.example:81"},
                data=b"{}" if method == "POST" else None,
            ) as got:
                told = json.loads(await got.read())["error"]
            assert got.status == 404, path
            assert told["message"].endswith(f" http://gateway.example:81{right}."), path


GOOD, BAD = "k-key", "sk-ant-oat01-of-somebody-else"
LET_IN: list[dict[str, str]] = [
    {"Authorization": f"Bearer {GOOD}"},
    {"Authorization": f"bEARER   {GOOD} "},
    {"x-api-key": f" {GOOD} "},
    {"Api-Key": GOOD},
    {"Authorization": f"Bearer {BAD}", "x-api-key": GOOD},
    {"Authorization": f"Bearer {BAD}", "api-key": GOOD},
    {"Authorization": f"Bearer {GOOD}", "x-api-key": BAD, "api-key": BAD},
    {"Authorization": "Basic Zm9v", "api-key": GOOD},
    {"x-api-key": BAD, "api-key": GOOD},
]
KEPT_OUT: list[dict[str, str]] = [
    {},
    {"Authorization": GOOD},
    {"Authorization": f"Basic {GOOD}"},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"x-api-key": ""},
    {"Authorization": f"Bearer {BAD}", "x-api-key": BAD, "api-key": BAD},
]


async def test_one_known_key_is_enough(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """Whichever header it comes in: it is that key's request. None goes upstream."""
    upstream = await make_upstream(says("Hi"))
    client = await serve(key("k"), key("z"), upstream.table("One"))

    for headers in LET_IN:
        assert (await client.get("/v1/models", headers=headers)).status == 200, headers
    for headers in KEPT_OUT:
        for path in ("/v1/models", "/api/One/v1/models", "/api/One", "/v1"):
            refused = await client.get(path, headers=headers)
            assert_error(refused, 401, "invalid_api_key", None)
            for way in ("Authorization: Bearer", "x-api-key", "api-key"):
                assert way in refused.error["message"]
    assert (await client.get(f"/v1/models?key={GOOD}")).status == 401
    assert (await client.request("HEAD", "/")).status == 200

    two = {"Authorization": "Bearer z-key", "api-key": GOOD}
    answer = await client.request("POST", CHAT, json=hello("One"), headers=two)
    sent = upstream.requests[0]
    assert not {"x-api-key", "api-key", "cookie"} & sent.headers.keys()
    assert GOOD not in str(sent)
    assert (await client.race(answer, headers=two))["key"] == "z"


def chat(content: str) -> bytes:
    return (
        '{"model": "m", "provider": "One", "max_tokens": 9, "messages":'
        f' [{{"role": "user", "content": "{content}"}}]}}'
    ).encode()


READ: dict[str, tuple[bytes, str]] = {
    "high": (chat(r"a\ud83d"), "a\ufffd"),
    "low": (chat(r"\uDE00a"), "\ufffda"),
    "twice": (chat(r"\ud83d\ud83d"), "\ufffd\ufffd"),
    "wrong order": (chat(r"\ude00\ud83d"), "\ufffd\ufffd"),
    "half and pair": (chat(r"\uD83D\uD83D\uDE00"), "\ufffd😀"),
    "pair": (chat(r"\ud83d\ude00 \ud83d"), "😀 \ufffd"),
    "backslash before": (chat(r"\\ud83d \ud83d"), "\\ud83d \ufffd"),
    "two backslashes": (chat(r"\\\ud83d"), "\\\ufffd"),
    "before an escape": (chat(r"\ud83d\n"), "\ufffd\n"),
    "before another": (chat(r"\ud83dA\udc00"), "\ufffdA\ufffd"),
    "byte order mark": (b"\xef\xbb\xbf" + chat("a"), "a"),
    "both": (b"\xef\xbb\xbf" + chat(r"\udfff"), "\ufffd"),
    "sound": (chat(r"\ud83d\ude00\\ud83d"), "😀\\ud83d"),
    "NUL": (chat(r"\u0000"), "\0"),
}
UNREADABLE = [
    chat(r"\ud83"),
    chat("\\ud83d") + b"}",
    b'{"model": NaN, "x": "\\ud83d"}',
    b'{"model": "\xe9"}',
    b"model=m&x=\\ud83d",
    b"\xef\xbb\xbf",
    b"\xef\xbb\xbf\xef\xbb\xbf{}",
]


async def test_halves_of_characters_are_read(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """Lone surrogates become U+FFFD, and a byte order mark is no part of the body."""
    upstream = await make_upstream(says("Hi"))
    client = await serve(upstream.table("One"))
    headers = {"Content-Type": "application/json"}

    for name, (body, said) in READ.items():
        for path in (CHAT, "/v1/messages", "/api/One/v1/messages"):
            upstream.requests.clear()
            answer = await client.request("POST", path, data=body, headers=headers)
            assert answer.status == 200, (name, path)
            assert upstream.requests[0].json["messages"][0]["content"] == said, name
    for body in UNREADABLE:
        answer = await client.request("POST", CHAT, data=body, headers=headers)
        assert_error(answer, 400, "invalid_json", None)


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/audio/speech"),
        *("/v1/images/generations", "/v1/messages/count_tokens", "/v1/messages"),
    ],
)
async def test_every_route_reads_them(serve: Serve, path: str) -> None:
    """No route that takes JSON says that it is none."""
    client = await serve(TABLE)
    body: Any = b'\xef\xbb\xbf{"model": "\\ud83d", "provider": 1}'

    answer = await client.request(
        "POST", path, data=body, headers={"Content-Type": "application/json"}
    )

    assert answer.error["param"] == "provider"
