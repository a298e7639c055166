"""A secret in every field that may hold one is in nothing that the server puts out."""

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import CHAT, client, hello
from tests.rig.race_listener import AUTH, key_of
from tests.rig.upstream import HEAD, Step, answers, chunked

KEY, HEADER, QUERY = "canary-Key/1+1", "canary-Header-22", "canary-Query-33"
CLIENT = "canary-Client-44"
SECRETS = (KEY, HEADER, QUERY, CLIENT)


def encodings(secret: str) -> Iterator[str]:
    yield secret
    yield secret.upper()
    yield quote(secret, safe="")
    yield "".join(f"\\u{ord(c):04x}" for c in secret)
    yield secret.encode().hex()
    yield b64encode(f"x:{secret}".encode()).decode()
    yield f"{secret[:7]}\n{secret[7:]}"


ECHO = " ".join(
    f"<{encoding}>" for secret in SECRETS[:3] for encoding in encodings(secret)
)


def echoes() -> Iterator[list[Step]]:
    """Yield what upstreams answer that repeat what they were sent."""
    error = {"error": {"message": ECHO, "code": KEY}}
    for status in (400, 401, 429, 500):
        yield answers(status, error)
    yield answers(503, raw=ECHO.encode(), headers=["Content-Type: text/plain"])
    yield [HEAD, chunked(b"data: %b\n\n" % json.dumps(error).encode()), b""]
    half = json.dumps({"error": {"message": f"{ECHO} {KEY}"}}).encode()
    yield [HEAD, chunked(b"event: error\ndata: %b\n\n" % half[:-8]), b""]
    yield [HEAD, chunked(b"data: {%b\n\n" % ECHO.encode()), b""]


async def test_no_secret_is_in_any_output(
    start_server: StartServer, make_upstream: MakeUpstream, tmp_path: Path
) -> None:
    """Not in answers, streams, races, lists of providers, the log, nor the file."""
    tables = []
    for i, script in enumerate(echoes()):
        upstream = await make_upstream(script)
        table = upstream.table(f"P{i}", api_key=KEY)
        url = f"{upstream.url}?key={QUERY}"
        assert f'"{upstream.url}"' in table
        table = table.replace(f'"{upstream.url}"', f'"{url}"')
        tables.append(f'{table}\nheaders = {{ "X-Team" = "{HEADER}" }}')
    races = tmp_path / "races.jsonl"
    server = await start_server(AUTH, f'[log]\nraces_file = "{races}"', *tables)
    seen = []

    async with client(server.url) as asked:
        for i in range(len(tables)):
            for stream in (False, True):
                for path in (CHAT, "/v1/messages", "/v1/responses"):
                    body = {"max_tokens": 9, "input": "a", "stream": stream}
                    sent = hello(f"P{i}", **body)
                    async with asked.session.post(
                        server.url + path, json=sent, headers=key_of("mine")
                    ) as got:
                        seen.append(f"{got.headers} {(await got.read()).decode()}")
        wrong = {"Authorization": f"Bearer {CLIENT}", "x-api-key": CLIENT}
        refused = await asked.request("POST", CHAT, json=hello("P0"), headers=wrong)
        seen.append(refused.body.decode())
        for path in ("/v1/providers", "/v1/races", "/v1/models", "/readyz"):
            told = await asked.get(path, headers=key_of("admin"))
            seen.append(told.body.decode())
    await server.stop()
    seen += [*server.log, races.read_text()]

    everything = "\n".join(seen)
    for secret in SECRETS:
        for encoding in encodings(secret):
            assert encoding.lower() not in everything.lower(), encoding
