"""An OpenTelemetry collector on loopback: it parses what it is sent, as protobuf."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from attrs import define, field
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@define(eq=False)
class Collector:
    """The spans that have come, and where it is."""

    url: str = ""
    spans: list[Span] = field(factory=list)
    resources: list[dict[str, Any]] = field(factory=list)
    _changed: asyncio.Condition = field(factory=asyncio.Condition)

    async def take(self, request: web.Request) -> web.Response:
        data = await request.read()
        if (
            request.headers.get("Content-Encoding") == "gzip"
            and data[:2] == b"\x1f\x8b"
        ):
            data = gzip.decompress(data)
        message = ExportTraceServiceRequest.FromString(data)
        async with self._changed:
            for group in message.resource_spans:
                self.resources.append(attributes(group.resource))
                for scope in group.scope_spans:
                    self.spans += scope.spans
            self._changed.notify_all()
        return web.Response(content_type="application/x-protobuf")

    async def of(self, trace: str, count: int) -> list[Span]:
        """Wait for so many spans of one trace, and return them by their start."""
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(lambda: len(self._of(trace)) >= count)
        return sorted(self._of(trace), key=lambda span: span.start_time_unix_nano)

    def _of(self, trace: str) -> list[Span]:
        return [span for span in self.spans if span.trace_id.hex() == trace]


def attributes(of: Any) -> dict[str, Any]:
    """Return the attributes of a span, or of a resource."""
    return {
        pair.key: getattr(pair.value, str(pair.value.WhichOneof("value")))
        for pair in of.attributes
    }


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    made = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}"
    try:
        yield made
    finally:
        await runner.cleanup()
