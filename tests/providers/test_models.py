"""An upstream's list of models, had or not had."""

import pytest

from providers import (
    ModelList,
    ProviderError,
    ProviderProtocolError,
    ProviderRefusedRequest,
    ProviderTimeout,
)
from providers.errors import ProviderDenied, ProviderFailed, ProviderUnreachable
from providers.upstream import Waits
from tests.conftest import MakeUpstream
from tests.rig.chat_calls import OVERLOADED
from tests.rig.upstream import HEAD, Step, answers, chunked

from .conftest import Connect


async def test_list_models(make_upstream: MakeUpstream, connect: Connect) -> None:
    """The upstream's models are those that it lists."""
    upstream = await make_upstream(models=("a", "b/c"))

    assert (await connect(upstream.url).list_models()).names == ("a", "b/c")


LISTINGS: dict[str, tuple[list[Step], type[ProviderError]]] = {
    "denied": (answers(401, {"error": {"message": "No"}}), ProviderDenied),
    "none": (answers(404, raw=b"404 page not found"), ProviderRefusedRequest),
    "failed": (answers(500, raw=b"<html>"), ProviderFailed),
    "redirect": (answers(302, headers=["Location: /login"]), ProviderFailed),
    "HTML": (answers(200, raw=b"<html>"), ProviderProtocolError),
    "error with 200": (answers(200, OVERLOADED), ProviderProtocolError),
    "closed": ([b""], ProviderUnreachable),
    "cut": ([HEAD, chunked(b"["), b""], ProviderUnreachable),
    "hanging": ([...], ProviderTimeout),
    "hanging later": ([HEAD, chunked(b"["), ...], ProviderTimeout),
}


@pytest.mark.parametrize(("listing", "error"), LISTINGS.values(), ids=LISTINGS)
async def test_list_models_fails(
    listing: list[Step],
    error: type[ProviderError],
    make_upstream: MakeUpstream,
    connect: Connect,
) -> None:
    """A list that can't be had fails as a call does, in its own time."""
    upstream = await make_upstream()
    upstream.listing = listing
    with pytest.raises(error):
        await connect(upstream.url, waits=Waits(models=0.15)).list_models()


async def test_model_list_keeps_the_old(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """What was listed stays listed while the upstream does not answer."""
    upstream = await make_upstream(models=("a", "b"))
    models = ModelList(connect(upstream.url))
    assert await models.refresh()
    upstream.models, upstream.listing = ("c",), answers(500, OVERLOADED)

    assert not await models.refresh()
    assert models.models == ("a", "b")


async def test_model_list_follows(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """What the upstream lists later takes the place of what it listed before."""
    upstream = await make_upstream(models=("a", "b"))
    models = ModelList(connect(upstream.url))
    assert models.models == ()
    await models.refresh()
    upstream.models = ("c",)
    await models.refresh()

    assert list(models.models) == ["c"]
