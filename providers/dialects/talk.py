"""
What it takes to get something other than a chat: one HTTP call, or several in turn.

A talk is a generator, pure as the dialects are: it yields the calls to be made, is sent
their replies, and returns the result. Whoever drives it owns the sockets.
"""

from collections.abc import Callable, Generator, Mapping
from typing import TypeAlias

from attrs import field, frozen

from providers.errors import SUCCESSFUL, ProviderProtocolError
from providers.settings import ProviderSettings
from providers.tasks import Blob, Images, TaskRequest, TokenCount

from .base import Call
from .upstream_errors import read_error

MAX_REPLY = 64 * 1024 * 1024
Form: TypeAlias = tuple[tuple[str, str | bytes, str | None, str | None], ...]


@frozen(kw_only=True)
class Ask:
    """
    One HTTP call of a talk.

    *call.path* is relative to the base URL, or a whole URL. *foreign*: the URL came out
    of an answer, so it is followed to public addresses only, and without the key.
    *form* is a multipart body: name, value, file name, content type. *listen* is given
    each piece of the reply as it comes, and says when enough has come; the reply then
    has no body.
    """

    call: Call
    method: str = "POST"
    foreign: bool = False
    form: Form = ()
    listen: Callable[[bytes], bool] | None = None
    limit: int = MAX_REPLY


@frozen(kw_only=True)
class Reply:
    status: int
    content_type: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def expect(self, *content_types: str) -> bytes:
        """
        Return the body of a reply that is no error and of one of *content_types*.

        Raises ProviderError; none named: any type will do.
        """
        if self.status not in SUCCESSFUL:
            raise read_error(self.status, self.body)
        if content_types and not self.content_type.startswith(content_types):
            kind = self.content_type or "nothing in particular"
            raise ProviderProtocolError(f"it sent {kind} instead of an answer")
        return self.body


Result: TypeAlias = Images | Blob | TokenCount
Talk: TypeAlias = Generator[Ask, Reply, Result]
# How a kind of provider does a task: the settings, the request, the upstream's model.
Talker: TypeAlias = Callable[[ProviderSettings, TaskRequest, str], Talk]
