"""Generated images, kept for a while under the SHA-256 of their bytes."""

import os
import re
import tempfile
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from providers import Image
from server.config.settings import MediaSettings

NAME = re.compile(r"[0-9a-f]{64}\.(png|jpg|webp|gif|avif)")
TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "avif": "image/avif",
}


class MediaStore:
    """
    A folder of images, bounded in bytes and in age; several processes may share it.

    Its methods read and write files: not for the event loop.
    """

    def __init__(self, settings: MediaSettings, environ: Mapping[str, str]) -> None:
        self._folder = folder(settings, environ)
        self._max_bytes = settings.max_bytes
        self._max_age = settings.max_age

    def put(self, image: Image) -> str:
        """Keep *image*; return its name, which says what it is and what is in it."""
        name = f"{sha256(image.data).hexdigest()}.{image.extension}"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Whoever reads the name finds the whole file, or none.
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as part:
            part.write(image.data)
        Path(part.name).replace(self._folder / name)
        self._prune(keep=name)
        return name

    def find(self, name: str) -> Path | None:
        """Return the file of that name, if it is there and not too old."""
        path = self._folder / name
        if not NAME.fullmatch(name) or not path.is_file():
            return None
        too_old = time.time() - path.stat().st_mtime > self._max_age
        return None if too_old else path

    def _prune(self, keep: str) -> None:
        """Remove what is too old, and the oldest while there is too much."""
        now = time.time()
        left = self._max_bytes
        entries = [(e.stat(), e.path, e.name) for e in os.scandir(self._folder)]
        for stat, path, name in sorted(entries, key=lambda e: -e[0].st_mtime):
            left -= stat.st_size
            if name != keep and (left < 0 or now - stat.st_mtime > self._max_age):
                Path(path).unlink(missing_ok=True)


def folder(settings: MediaSettings, environ: Mapping[str, str]) -> Path:
    """Return the configured folder, or one in the user's cache."""
    if settings.directory:
        return Path(settings.directory).expanduser()
    cache = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "interference" / "media"
