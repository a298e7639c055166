"""Keys that are managed while the server runs, and what each of them may use."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import Client, client
from tests.rig.keys import ask, auth, bearer
from tests.rig.upstream import says


async def command(config: Path, *arguments: str) -> tuple[int | None, str]:
    """Run a command of the server's; return its status, and what it prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", "--config", str(config), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    return process.returncode, printed.decode()


async def test_an_administrator_makes_a_key_and_revokes_it(
    start_server: StartServer, make_upstream: MakeUpstream, tmp_path: Path
) -> None:
    """A key that is made lets in at once; it is never shown again; revoked, it ends."""
    upstream = await make_upstream(says("Hi"))
    tables = auth(tmp_path / "keys.db", root="admin = true", user="")
    server = await start_server(tables, upstream.table("One"))
    root = bearer("sk-root")
    async with client(server.url) as me:
        made = await me.request(
            "POST",
            "/v1/keys",
            json={"name": "team", "models": ["m*"], "requests_per_minute": 9},
            **root,
        )
        assert made.status == 200
        key = made.json["key"]
        assert key.startswith(f"{made.json['prefix']}-")
        assert (await ask(me, key)).said == "Hi"

        listed = await me.get("/v1/keys", **root)
        assert key.encode() not in listed.body
        (row,) = listed.json["data"]
        assert row == {k: v for k, v in made.json.items() if k != "key"}

        gone = await me.request("DELETE", f"/v1/keys/{row['id']}", **root)
        assert gone.json == {"id": row["id"], "object": "key", "deleted": True}
        assert (await ask(me, key)).status == 401
    assert (tmp_path / "keys.db").stat().st_mode & 0o777 == 0o600
    assert key not in "\n".join(server.log)


async def test_what_is_wrong_with_a_request_for_a_key(
    start_server: StartServer, make_upstream: MakeUpstream, tmp_path: Path
) -> None:
    """Each mistake is told by its name, and only administrators get that far."""
    upstream = await make_upstream(says("Hi"))
    tables = auth(tmp_path / "keys.db", root="admin = true", user="")
    server = await start_server(tables, upstream.table("One"))

    async def post(me: Client, body: dict[str, Any], key: str = "sk-root") -> Any:
        return await me.request("POST", "/v1/keys", json=body, **bearer(key))

    async with client(server.url) as me:
        assert (await post(me, {"name": "team"})).status == 200
        twice = await post(me, {"name": "team"})
        assert (twice.status, twice.error["code"]) == (409, "key_name_taken")
        mistakes: list[tuple[dict[str, Any], str]] = [
            ({"name": "x", "title": "y"}, "title"),
            ({"name": "x", "expires": "tomorrow"}, "expires"),
            ({"name": "x", "streams": -1}, "streams"),
            ({"name": "x", "sha256": "ab" * 32}, "sha256"),
        ]
        for wrong, param in mistakes:
            refused = await post(me, wrong)
            assert (refused.status, refused.error["param"]) == (400, param)
        refused = await post(me, {"name": "mine"}, "sk-user")
        assert (refused.status, refused.error["code"]) == (403, "admin_only")
        gone = await me.request("DELETE", "/v1/keys/nobody", **bearer("sk-root"))
        assert (gone.status, gone.error["code"]) == (404, "key_not_found")


async def test_the_command_line_manages_keys_of_a_running_server(
    start_server: StartServer, make_upstream: MakeUpstream, tmp_path: Path
) -> None:
    """It lets in, and keeps out, with no reload, at all workers."""
    upstream = await make_upstream(says("Hi"))
    server = await start_server(
        auth(tmp_path / "keys.db"),
        upstream.table("One"),
        arguments=["--workers", "2"],
    )
    status, printed = await command(
        server.config, "keys", "create", "cli", "--tokens-per-day", "500"
    )
    assert status == 0
    key = printed.split()[0]
    for _ in range(6):
        async with client(server.url) as me:
            assert (await ask(me, key)).said == "Hi"
    status, printed = await command(server.config, "keys", "list")
    assert "500 tokens a day" in printed
    assert key not in printed
    assert (await command(server.config, "keys", "revoke", "cli"))[0] == 0
    async with asyncio.timeout(10):
        for _ in range(6):
            async with client(server.url) as me:
                while (await ask(me, key)).status != 401:
                    pass  # for as long as a worker may not know
    status, printed = await command(server.config, "keys", "revoke", "cli")
    assert status == 1
    assert "no key 'cli'" in printed


async def test_without_a_store_there_is_nothing_to_manage(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    upstream = await make_upstream(says("Hi"))
    server = await start_server(auth(root="admin = true"), upstream.table("One"))
    async with client(server.url) as me:
        told = await me.get("/v1/keys", **bearer("sk-root"))
    assert (told.status, told.error["code"]) == (404, "key_not_found")
    assert "[auth] store" in told.error["message"]
    status, printed = await command(server.config, "keys", "list")
    assert status == 1
    assert "[auth] store" in printed


async def test_a_key_with_models_sees_and_uses_those_alone(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """`models` filters the list, and refuses all other names, also a default."""
    upstream = await make_upstream(says("Hi"), models=("big", "small-1", "small-2"))
    server = await start_server(
        auth(few='models = ["small*"]', all=""),
        upstream.table("One", default_model="big"),
    )
    few = "sk-few"
    async with client(server.url) as me:
        listed = (await me.get("/v1/models", **bearer(few))).json["data"]
        assert [model["id"] for model in listed] == ["small-1", "small-2"]
        assert (await ask(me, few, model="small-2")).said == "Hi"
        for model in ("big", "unheard-of"):
            refused = await ask(me, few, model=model)
            assert (refused.status, refused.error["code"]) == (403, "model_not_allowed")
            assert refused.error["param"] == "model"
        missing = await me.get("/v1/models/big", **bearer(few))
        assert missing.status == 404
        assert (await ask(me, "sk-all", model="big")).said == "Hi"


async def test_a_key_expires(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """From that instant on it is a wrong key, and the answer says since when."""
    upstream = await make_upstream(says("Hi"))
    soon = datetime.now(UTC) + timedelta(hours=1)
    server = await start_server(
        auth(
            old='expires = "2020-01-01T00:00:00Z"',
            new=f'expires = "{soon.isoformat()}"',
        ),
        upstream.table("One"),
    )
    async with client(server.url) as me:
        assert (await ask(me, "sk-new")).said == "Hi"
        expired = await ask(me, "sk-old")
    assert (expired.status, expired.error["code"]) == (401, "invalid_api_key")
    assert "2020-01-01T00:00:00Z" in expired.error["message"]
    assert len(upstream.requests) == 1
