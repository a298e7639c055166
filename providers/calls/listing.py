"""The call for an upstream's list of models."""

import asyncio
from collections.abc import Mapping

import aiohttp
from attrs import field, frozen

from providers.dialects import UNREADABLE, Dialect
from providers.dialects.listed import ListedLimits, limits_in
from providers.errors import SUCCESSFUL, ProviderError, ProviderProtocolError
from providers.http.attempt import Attempt
from providers.http.reading import error_of, read_body
from providers.settings import Limits
from providers.upstream import Upstream

from .call import mapped

MAX_LIST_BYTES = 16 * 1024 * 1024


@frozen
class Listing:
    """The ids of an upstream's models, and what it says of the limits of some."""

    names: tuple[str, ...] = ()
    limits: Mapping[str, ListedLimits] = field(factory=dict)


async def list_models(upstream: Upstream, dialect: Dialect, limits: Limits) -> Listing:
    """Return the models that *upstream* has. Raises ProviderError."""
    try:
        async with asyncio.timeout(upstream.waits.models):
            call = dialect.list_models()
            response = await upstream.request("GET", call, limits, Attempt())
            async with response:
                if response.status not in SUCCESSFUL:
                    raise await error_of(response, upstream.waits.error_body)
                body = await read_body(response, MAX_LIST_BYTES)
                return Listing(dialect.read_models(body), limits_in(body))
    except ProviderError as exc:
        raise upstream.cleaned(exc) from None
    except (aiohttp.ClientError, OSError) as exc:
        raise mapped(exc, "no list of models in time") from exc
    except UNREADABLE as exc:
        raise ProviderProtocolError("its list of models can't be read") from exc
