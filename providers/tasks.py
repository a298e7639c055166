"""The words of all that is no chat: images, speech, transcriptions, embeddings."""

from io import BytesIO
from typing import ClassVar

from attrs import evolve, field, fields, frozen
from attrs.validators import ge, in_, le, matches_re, min_len, optional

from .chat import Usage
from .errors import ProviderProtocolError
from .json_types import JSON, JSONMapping

# Image formats that browsers show, by Pillow's names: extension and media type.
FORMATS = {
    "PNG": ("png", "image/png"),
    "JPEG": ("jpg", "image/jpeg"),
    "WEBP": ("webp", "image/webp"),
    "GIF": ("gif", "image/gif"),
    "AVIF": ("avif", "image/avif"),
}
MAX_SIDE = 4096
MAX_IMAGES = 10
# Decoded, it takes four bytes a pixel, whatever few bytes it was sent in.
MAX_PIXELS = 64_000_000


def side() -> int | None:
    """Declare a width or a height, in pixels."""
    return field(default=None, validator=optional([ge(16), le(MAX_SIDE)]))


@frozen(kw_only=True)
class ImageRequest:
    """
    Images to be made from a prompt.

    *size* is OpenAI's "WIDTHxHEIGHT"; *width* and *height*, in pixels, go before it.
    *body* is the whole JSON object, less what speaks to the gateway alone.
    """

    prompt: str = field(validator=min_len(1))
    model: str | None = None
    n: int | None = field(default=None, validator=optional([ge(1), le(MAX_IMAGES)]))
    size: str | None = field(
        default=None,
        validator=optional(matches_re(r"auto|[1-9]\d{1,3}x[1-9]\d{1,3}")),
        metadata={"means": "'auto', or a width and a height in pixels as '1024x1024'"},
    )
    width: int | None = side()
    height: int | None = side()
    seed: int | None = None
    negative_prompt: str | None = None
    response_format: str | None = field(
        default=None, validator=optional(in_(("url", "b64_json")))
    )
    body: JSONMapping = field(factory=dict, repr=False)
    task: ClassVar[str] = "images"

    @property
    def count(self) -> int:
        return self.n or 1

    @property
    def pixels(self) -> tuple[int | None, int | None]:
        """Width and height, as far as the client has said."""
        width = height = None
        if self.size and self.size != "auto":
            width, height = map(int, self.size.split("x"))
        return self.width or width, self.height or height

    def needs(self) -> frozenset[str]:
        return frozenset({self.task})


IMAGE_FIELDS = tuple(name.name for name in fields(ImageRequest) if name.name != "body")


@frozen(kw_only=True)
class SpeechRequest:
    """A text to be spoken."""

    input: str = field(validator=min_len(1))
    model: str = field(validator=min_len(1))
    voice: str | JSONMapping
    body: JSONMapping = field(factory=dict, repr=False)
    task: ClassVar[str] = "speech"

    def needs(self) -> frozenset[str]:
        return frozenset({self.task})


@frozen(kw_only=True)
class TranscriptionRequest:
    """A recording to be written down; *fields* are the form's other fields."""

    model: str = field(validator=min_len(1))
    file: bytes = field(repr=False)
    filename: str
    content_type: str
    fields: tuple[tuple[str, str], ...] = ()
    task: ClassVar[str] = "transcription"

    def needs(self) -> frozenset[str]:
        return frozenset({self.task})


@frozen(kw_only=True)
class EmbeddingsRequest:
    """Texts, or lists of token ids, to be embedded."""

    input: str | tuple[JSON, ...] = field(validator=min_len(1))
    model: str = field(validator=min_len(1))
    encoding_format: str | None = field(
        default=None, validator=optional(in_(("float", "base64")))
    )
    dimensions: int | None = field(default=None, validator=optional(ge(1)))
    body: JSONMapping = field(factory=dict, repr=False)
    task: ClassVar[str] = "embeddings"

    def needs(self) -> frozenset[str]:
        return frozenset({self.task})


TaskRequest = ImageRequest | SpeechRequest | TranscriptionRequest | EmbeddingsRequest


@frozen(kw_only=True)
class Image:
    """One image: its bytes, and what they have proved to be."""

    data: bytes = field(repr=False)
    extension: str = ""
    media_type: str = ""
    revised_prompt: str | None = None


@frozen(kw_only=True)
class Images:
    """The images of one answer."""

    images: tuple[Image, ...]
    model: str
    has_token: ClassVar[bool] = True
    says_nothing: ClassVar[bool] = False

    def verified(self) -> "Images":
        """
        Return these images with their types, each decoded to its last pixel.

        Raises ProviderProtocolError for bytes that are no image. It takes a while: not
        for the event loop.
        """
        return evolve(self, images=tuple(_verified(image) for image in self.images))


@frozen(kw_only=True)
class Blob:
    """
    A piece of an answer that is passed on as it comes: sound, text, JSON. *usage* is
    what its upstream says that it took.
    """

    data: bytes = field(repr=False)
    content_type: str
    usage: Usage | None = None

    says_nothing: ClassVar[bool] = False

    @property
    def has_token(self) -> bool:
        return bool(self.data)


@frozen(kw_only=True)
class TokenCount:
    """How many tokens a chat has, by the count of a provider that would answer it."""

    input_tokens: int
    has_token: ClassVar[bool] = True
    says_nothing: ClassVar[bool] = False


def _verified(image: Image) -> Image:
    # Slow to import, and for this alone.
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        with Pillow.open(BytesIO(image.data), formats=list(FORMATS)) as opened:
            extension, media_type = FORMATS[opened.format or ""]
            bearable = opened.width * opened.height <= MAX_PIXELS
            if bearable:
                opened.load()
    except (UnidentifiedImageError, Pillow.DecompressionBombError) as exc:
        raise ProviderProtocolError("what it sent is no image") from exc
    except Exception as exc:
        # Each format fails in its own way: struct.error, RuntimeError, IndexError ...
        raise ProviderProtocolError("the image that it sent is broken") from exc
    if not bearable:
        raise ProviderProtocolError("what it sent is no image")
    return evolve(image, extension=extension, media_type=media_type)
