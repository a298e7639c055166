"""Secrets are found in whatever encoding an upstream repeats them."""

import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest

from providers.http.masking import Secrets

KEY = "sk-Ab9/x+Q_7~zz?é-long=1"
SECRETS = Secrets.of([KEY, "close"])
ENCODED = {
    "as it is": KEY,
    "another case": KEY.upper(),
    "percent": quote(KEY, safe=""),
    "percent, lower": quote(KEY, safe="").lower(),
    "percent, twice": quote(quote(KEY, safe=""), safe=""),
    "percent, every byte": "".join(f"%{b:02X}" for b in KEY.encode()),
    "JSON": json.dumps(KEY)[1:-1],
    "JSON, slashes": json.dumps(KEY)[1:-1].replace("/", r"\/"),
    "JSON, every character": "".join(f"\\u{ord(c):04x}" for c in KEY),
    "JSON, twice": "".join(f"\\\\u{ord(c):04X}" for c in KEY),
    "\\x": "".join(f"\\x{ord(c):02x}" for c in KEY),
    "HTML": "".join(f"&#{ord(c)};" for c in KEY),
    "HTML, hexadecimal": "".join(f"&#x{ord(c):X};" for c in KEY),
    "hex": KEY.encode().hex(),
    "hex, with colons": KEY.encode().hex(":").upper(),
    "wrapped": f"{KEY[:7]}\n{KEY[7:]}",
    **{
        f"base64, {shift} before": b64encode(
            b"user:" + b"x" * shift + KEY.encode()
        ).decode()
        for shift in range(3)
    },
    "base64, for URLs": urlsafe_b64encode(KEY.encode()).decode(),
    "base64, percent": quote(b64encode(KEY.encode()).decode(), safe=""),
}


@pytest.mark.parametrize("encoded", ENCODED.values(), ids=ENCODED)
def test_encoding_is_masked(encoded: str) -> None:
    """What stands around it stays, but for what base64 has put into the same digits."""
    masked = SECRETS.masked(f"key {encoded} is bad; connection: close")

    assert masked.startswith("key ")
    assert "***" in masked
    assert masked.endswith(" is bad; connection: close")
    # No run of the secret's own encoding is left over.
    rest = masked.removeprefix("key ").removesuffix(" is bad; connection: close")
    assert all(encoded[i : i + 12] not in rest for i in range(8, len(encoded) - 12))


@pytest.mark.parametrize("length", [6, 12, len(KEY) - 1])
def test_part_is_masked_where_a_text_is_cut_off(length: int) -> None:
    """An error's text may have ended, or begun, in the middle of the key."""
    assert SECRETS.masked(f"bad key {KEY[:length]}") == "bad key ***"
    assert SECRETS.masked(f"{KEY[-length:]} is bad") == "*** is bad"


def test_other_text_is_left_alone() -> None:
    """Also what looks like it, and what is too short to be a secret."""
    text = "sk-Ab9 and close, sk-Ab9/x+Q_7~zz?é-long=2 %41%42 \\u0041 QUJD"

    assert SECRETS.masked(text) == text
    assert Secrets.of(["short"]).masked("short") == "short"
