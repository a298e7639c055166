"""Who is let in, by how many connections are open."""

import pytest
from structlog.testing import capture_logs

from server.config.server_settings import ServerSettings
from server.process.doors import Doors

SETTINGS = ServerSettings(max_connections=9, max_connections_per_address=2)


@pytest.mark.parametrize(
    ("address", "most"),
    [("192.0.2.7", 2), ("2001:db8::7", 2), ("127.0.0.1", 9), ("::1", 9)],
)
def test_address_has_its_share(address: str, most: int) -> None:
    """
    Loopback has all: whoever serves here, or proxies, comes from it. Those that were
    refused take no place from others.
    """
    doors = Doors()

    refused = [bool(doors.enter(address, SETTINGS)) for _ in range(12)]

    assert refused == [n >= most for n in range(12)]
    assert bool(doors.enter("192.0.2.8", SETTINGS)) == (most == 9)


def test_place_is_free_again_when_a_connection_ends() -> None:
    doors = Doors()
    for _ in range(2):
        doors.enter("192.0.2.7", SETTINGS)

    doors.leave("192.0.2.7")

    assert doors.enter("192.0.2.7", SETTINGS) == ""


def test_zero_is_no_limit_of_an_address() -> None:
    doors = Doors()
    settings = ServerSettings(max_connections_per_address=0)

    assert not any(doors.enter("192.0.2.7", settings) for _ in range(2000))


def test_refusals_of_a_second_are_one_line() -> None:
    doors = Doors()

    with capture_logs() as lines:
        for _ in range(100):
            doors.tell("full")

    assert [line["event"] for line in lines] == ["connections refused"]
