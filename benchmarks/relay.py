"""The bare relay: what an aiohttp gateway costs before it does anything of its own.

`python -m benchmarks.relay URL PORT`: a handler that passes a request on and its answer
back. No log, no key, no parsing, no error handling.
"""

import asyncio
import sys

import aiohttp
import uvloop
from aiohttp import web

SESSION = web.AppKey("SESSION", aiohttp.ClientSession)
UPSTREAM = web.AppKey("UPSTREAM", str)


async def relay(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    url = request.app[UPSTREAM] + request.path.removeprefix("/v1")
    headers = {"Content-Type": "application/json"}
    async with request.app[SESSION].post(url, data=body, headers=headers) as answer:
        response = web.StreamResponse(status=answer.status)
        response.content_type = answer.content_type
        await response.prepare(request)
        while part := await answer.content.readany():
            await response.write(part)
        await response.write_eof()
        return response


async def main(upstream: str, port: int) -> None:
    app = web.Application(client_max_size=16 * 1024 * 1024)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        app[SESSION] = session
        app[UPSTREAM] = upstream
        app.router.add_post("/v1/chat/completions", relay)
        app.router.add_post("/v1/responses", relay)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], int(sys.argv[2])))
