"""What is nobody's failure: calls that were never made, for a reason of ours."""

import errno

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from providers.calls.call import mapped

KEY = ConnectionKey(
    host="host",
    port=80,
    is_ssl=False,
    ssl=True,
    proxy=None,
    proxy_auth=None,
    proxy_headers_hash=None,
)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_no_more_files(number: int) -> None:
    """Who can't be called since this server has no descriptor left has not failed."""
    lack = OSError(number, "Too many open files")

    assert mapped(lack, "").ours
    assert mapped(aiohttp.ClientConnectorError(KEY, lack), "").ours
    assert "no file descriptors" in mapped(lack, "").message


def test_others_are_failures() -> None:
    """A refused connection is its provider's failure."""
    refused = OSError(errno.ECONNREFUSED, "Connection refused")

    assert not mapped(refused, "").ours
    assert not mapped(aiohttp.ClientConnectorError(KEY, refused), "").ours
