"""Every client before every upstream, case by case: what `make matrix` prints."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.matrix.cells import CASES, Bench, Cell, bench, every_cell

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with bench(tmp_path_factory.mktemp("matrix") / "config.toml") as made:
        yield made


@pytest.mark.parametrize("cell", [*every_cell()], ids=str)
async def test_cell(played: Bench, cell: Cell) -> None:
    """What the upstream says reaches the client in its own words, and back."""
    await CASES[cell.case](played, cell)
