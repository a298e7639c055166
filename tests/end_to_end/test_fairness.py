"""No place in a client's list is favoured by a real server."""

import asyncio
import random
from collections import Counter

from tests.conftest import MakeUpstream, Serve
from tests.rig.chi_square import CRITICAL, chi_square
from tests.rig.upstream import says

NAMES, RACES = "ABCDEFGH", 320


async def test_winners_are_evenly_spread(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """
    Of eight equal providers in a list that is shuffled for each race, each place in the
    list wins as often as the others, and no provider is left behind.
    """
    tables = [(await make_upstream(says(name))).table(name) for name in NAMES]
    me = await serve(*tables)
    winners: Counter[str] = Counter()
    places: Counter[int] = Counter()
    chance = random.Random(8)

    async def race() -> None:
        order = chance.sample(NAMES, 8)
        answer = await me.chat(" ".join(order))
        winner = answer.headers["X-Provider"]
        winners[winner] += 1
        places[order.index(winner)] += 1

    for _ in range(RACES // 4):
        await asyncio.gather(*(race() for _ in range(4)))

    assert winners.total() == RACES
    assert chi_square(places, range(8)) < CRITICAL, places
    # Not as evenly: there are eight sockets, and one process that serves them all.
    assert min(winners[name] for name in NAMES) > RACES / 8 / 4, winners
