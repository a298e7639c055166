"""Generated images, kept for a while under the SHA-256 of their bytes."""

import re
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from attrs import frozen

from providers import Image
from server.config.store_settings import MediaSettings

NAME = re.compile(r"[0-9a-f]{64}\.(png|jpg|webp|gif|avif)")
TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "avif": "image/avif",
}
# How the names of incomplete files begin, and the seconds after which a process that
# was killed must have left one behind.
PART = "part-"
ABANDONED = 600.0
# Hexadecimal digits in the name of an owner's folder.
OWNER = 32
# The files of this store in the folder: all others are left alone.
OURS = re.compile(rf"([0-9a-f]{{{OWNER}}}/)?({NAME.pattern}|{PART}\w+)")


class MediaStore:
    """
    A folder of images, bounded in bytes and in age; several processes may share it.

    Each owner, the name of an API key, has a folder within it; without keys, the owner
    is "" and has the folder itself. While there are too many bytes, the owner with the
    most loses its oldest image.

    The methods read and write files, so that they are not for the event loop.
    """

    def __init__(self, settings: MediaSettings, environ: Mapping[str, str]) -> None:
        self._folder = folder(settings, environ)
        self._max_bytes = settings.max_bytes
        self._max_age = settings.max_age
        # Why the last image was not kept; "" if it was.
        self.trouble = ""

    def put(self, owner: str, image: Image) -> str:
        """
        Keep *image*; return its name: the hash of its bytes, and its type's extension.
        Raises OSError, and leaves no file behind then.
        """
        try:
            name = self._put(self._folder_of(owner), image)
        except OSError as exc:
            self.trouble = exc.strerror or str(exc)
            raise
        self.trouble = ""
        return name

    def find(self, name: str) -> Path | None:
        """Return the file of that name, if it is there and not too old."""
        if not NAME.fullmatch(name):
            return None
        for path in (self._folder / name, *self._folder.glob(f"*/{name}")):
            if path.is_file() and time.time() - path.stat().st_mtime <= self._max_age:
                return path
        return None

    def _put(self, own: Path, image: Image) -> str:
        name = f"{sha256(image.data).hexdigest()}.{image.extension}"
        own.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Whoever reads the name finds the whole file, or none.
        with tempfile.NamedTemporaryFile(dir=own, prefix=PART, delete=False) as part:
            path = Path(part.name)
            try:
                part.write(image.data)
                part.flush()
                path.replace(own / name)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        self._prune(keep=own / name)
        return name

    def _folder_of(self, owner: str) -> Path:
        if not owner:
            return self._folder
        return self._folder / sha256(owner.encode()).hexdigest()[:OWNER]

    def _prune(self, keep: Path) -> None:
        """Remove files that are too old, and the oldest while they are too many."""
        files = []
        for file in sorted(self._files(), key=lambda file: file.time):
            if file.path != keep and file.age > self._life(file):
                file.path.unlink(missing_ok=True)
            else:
                files.append(file)
        sizes: Counter[Path] = Counter()
        for file in files:
            sizes[file.path.parent] += file.size
        while sizes.total() > self._max_bytes:
            most = max(sizes, key=lambda own: sizes[own])
            oldest = next((f for f in files if f.path.parent == most), None)
            if oldest is None or oldest.path == keep:
                return
            files.remove(oldest)
            sizes[most] -= oldest.size
            oldest.path.unlink(missing_ok=True)

    def _life(self, file: "_File") -> float:
        part = file.path.name.startswith(PART)
        return min(self._max_age, ABANDONED) if part else self._max_age

    def _files(self) -> list["_File"]:
        """Return all files that are there: other processes may remove some."""
        files = []
        for path in (*self._folder.iterdir(), *self._folder.glob("*/*")):
            if not OURS.fullmatch(str(path.relative_to(self._folder))):
                continue
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            files.append(_File(path, stat.st_size, stat.st_mtime))
        return files


@frozen
class _File:
    path: Path
    size: int
    time: float

    @property
    def age(self) -> float:
        return time.time() - self.time


def folder(settings: MediaSettings, environ: Mapping[str, str]) -> Path:
    """Return the configured folder, or one in the user's cache."""
    if settings.directory:
        return Path(settings.directory).expanduser()
    cache = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "interference" / "media"
