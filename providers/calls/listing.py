"""The call for an upstream's list of models."""

import asyncio

import aiohttp

from providers.dialects import UNREADABLE, Dialect
from providers.errors import SUCCESSFUL, ProviderError, ProviderProtocolError
from providers.http.attempt import Attempt
from providers.http.reading import error_of, read_body
from providers.settings import Limits
from providers.upstream import Upstream

from .call import mapped

MAX_LIST_BYTES = 16 * 1024 * 1024


async def list_models(
    upstream: Upstream, dialect: Dialect, limits: Limits
) -> tuple[str, ...]:
    """Return the ids of the models that *upstream* has. Raises ProviderError."""
    try:
        async with asyncio.timeout(upstream.waits.models):
            call = dialect.list_models()
            response = await upstream.request("GET", call, limits, Attempt())
            async with response:
                if response.status not in SUCCESSFUL:
                    raise await error_of(response, upstream.waits.error_body)
                return dialect.read_models(await read_body(response, MAX_LIST_BYTES))
    except ProviderError as exc:
        raise upstream.cleaned(exc) from None
    except (aiohttp.ClientError, OSError) as exc:
        raise mapped(exc, "no list of models in time") from exc
    except UNREADABLE as exc:
        raise ProviderProtocolError("its list of models can't be read") from exc
