"""Parts that come interleaved are shown one after another."""

from collections.abc import Sequence

import pytest
from attrs import define, field

from server.wire.frames import TEXT_MARK, cut
from server.wire.ordering import Ordering, is_whole_object


@define(eq=False)
class Part:
    """A part that is named and whole as a test wants it."""

    index: int
    has_name: bool = True
    whole: bool = True


@define(eq=False)
class Shown:
    """What was shown: (index, pieces, whether it was over by that)."""

    order: Ordering[Part, str] = field(factory=Ordering)

    def after(
        self, *added: tuple[Part, str], ended: bool = False
    ) -> list[tuple[int, str, bool]]:
        for part, piece in added:
            self.order.add(part, piece)
        steps = self.order.advance(ended=ended)
        return [(part.index, "".join(pieces), over) for part, pieces, over in steps]


def test_the_first_part_is_shown_as_it_grows() -> None:
    """It is not over while it is alone, though it may be whole already."""
    shown, part = Shown(), Part(0)

    assert shown.after((part, "a")) == [(0, "a", False)]
    assert shown.after((part, "b")) == [(0, "b", False)]
    assert shown.after(ended=True) == [(0, "", True)]


def test_a_later_part_waits_for_a_call_that_is_not_whole() -> None:
    """What comes of it is kept, and shown at once when it is its turn."""
    shown, call, text = Shown(), Part(0, whole=False), Part(1)

    assert shown.after((call, "{"), (text, "x")) == [(0, "{", False)]
    assert shown.after((text, "y")) == [(0, "", False)]
    call.whole = True
    assert shown.after((call, "}")) == [(0, "}", True), (1, "xy", False)]


def test_a_part_without_its_name_is_not_shown() -> None:
    """Neither it nor what is behind it, unless nothing more comes."""
    shown, call, text = Shown(), Part(0, has_name=False, whole=False), Part(1)

    assert shown.after((call, "{}"), (text, "x")) == []
    assert shown.after(ended=True) == [(0, "{}", True), (1, "x", True)]


def test_what_comes_of_a_part_that_is_over_is_not_shown() -> None:
    """Its client has been told that it has ended."""
    shown, first, second = Shown(), Part(0), Part(1)

    assert shown.after((first, "a"), (second, "b")) == [(0, "a", True), (1, "b", False)]
    assert shown.after((first, "late")) == [(1, "", False)]


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        ([], False),
        (["{"], False),
        (["{}"], True),
        (["{", '"a": 1}'], True),
        (['{"a": {}'], False),
        (['{"a": "}'], False),
        (["{}", " \n"], True),
        (["{}} "], False),
        (["[1]"], False),
    ],
)
def test_whole_objects(pieces: Sequence[str], whole: bool) -> None:
    """A call's arguments are whole when they are a JSON object."""
    assert is_whole_object(pieces) is whole


def test_a_frame_is_cut_around_its_marks() -> None:
    """In their order; what stands between them is as it was."""
    frame = b'data: {"n":7,"text":%b}' % TEXT_MARK

    assert cut(frame, b"7", TEXT_MARK) == [b'data: {"n":', b',"text":', b"}"]
