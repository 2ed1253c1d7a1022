"""a value -> whether it can be a credential: what it looks like, apart from its name.

A name alone does not make a secret: ``"password": "Password"`` is a label, ``"token": "STRING"`` a
type, ``"key": "flux1-dev-fp8.safetensors"`` a file. These functions look at the value.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

__all__ = [
    "UUID",
    "is_distinctive",
    "is_nothing",
    "is_number",
    "is_random",
    "looks_like_credential",
    "stands_out",
]

UUID: Final = re.compile(rb"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Prompts and clients are named so."""
_RANDOM_BYTES_MIN: Final = 8
_LEARN_BYTES_MIN: Final = 8
_LEARN_BYTES_MAX: Final = 16384
"""A private key of 8192 bits in PEM form has about 6500 bytes."""

_PLACEHOLDERS: Final = frozenset(
    b"none null nil undefined true false yes no on off auto default unset empty disabled enabled "
    b"required optional missing invalid unknown any all basic bearer digest negotiate oauth oauth2 "
    b"apikey api_key api-key token password secret credentials session cookie jwt string number "
    b"boolean object hidden redacted removed omitted text email username random fixed same-origin "
    b"include omit mean length increment decrement changeme change-me change_me placeholder "
    b"example dummy todo".split()
)
"""In lower case: what stands where a credential could, and says that there is none."""
_TYPE_NAME: Final = re.compile(rb"[A-Z][A-Z_,]*")
_MASK: Final = re.compile(rb"[x*.\-_#\xe2\x80\xa2]+")
_REFERENCE: Final = re.compile(
    rb"\$\{[^{}]*\}|\$\(?[A-Za-z_]\w*\)?|\$env:\w+|%[A-Za-z_]\w*%|\{\{.*\}\}|<[A-Za-z][^<>]*>"
    rb"|\$\{\{.*\}\}|(?i:env|secret|file|vault)[:.](?://)?[A-Za-z_/.-]+"
    rb"|(?:os\.environ|os\.getenv|process\.env|import\.meta\.env|getenv|env)\b[\w.\[\]()\"'\\-]*"
)
"""Where a credential is to be taken from: a variable, a template, a slot to fill in."""
_INVITATION: Final = re.compile(
    rb"(?i)[\[<(]?(?:your|insert|enter|paste|add|replace)[-_ ].*"
    rb"(?:key|token|secret|password|here).*"
)
_MASKED: Final = re.compile(
    rb"[\w-]{0,16}(?:\*{4,}|(?:\xe2\x80\xa2|\\u2022){4,}|x{8,}|X{8,}|\.{3})[\w-]{0,6}"
)
"""All but a few letters of a credential is hidden."""
_FILE: Final = re.compile(
    rb"(?i)[^\s\"'<>]*\.(?:png|jpe?g|webp|gif|svg|ico|mp4|webm|mov|mkv|wav|mp3|flac|ogg|safetensors|ckpt"
    rb"|pth?|bin|gguf|onnx|json|jsonl|ya?ml|toml|txt|md|html?|m?js|ts|css|map|vue|py|sh|zip|gz|latent"
    rb"|woff2?|ttf|glb|obj|ply|csv|exr|hdr|cube|log|ini|cfg|crec|har)"
)
_LABEL_WORDS: Final = re.compile(
    rb"(?i)key|token|secret|pass|pwd|auth|cookie|credential|session|signature|login|log in|sign in"
)
_FOREIGN_LABEL: Final = re.compile(
    "(?i)schlüssel|contraseña|código|clés?$|secrète|passwörter|sécurité|şifre|hasło|lösenord".encode()
)
_FIELD_WORDS: Final = frozenset(
    b"api key keys token tokens secret secrets pass password passwords passphrase pwd auth oauth "
    b"authentication authorization cookie cookies credential credentials session signature login "
    b"access refresh client id user username name value input output field header bearer basic "
    b"default node widget type text string your the enter env var variable private public counter "
    b"loader save load get set has is no with for and or of new old current confirm repeat forgot "
    b"reset change show hide required manager provider service org comfy passwort kennwort "
    b"schluessel contrasena clave senha chave parola chiave heslo haslo wachtwoord sleutel "
    b"losenord salasana sifre".split()
)
"""What the names of fields and classes about credentials are made of."""
_PROSE: Final = re.compile(
    rb"[A-Za-z][A-Za-z'\x80-\xff]*(?:[ ,.:;!?()/&-]+[A-Za-z0-9'\x80-\xff]*)*"
)
_SENTENCE: Final = re.compile(rb"[A-Z][a-z']*[ ,].*|.*[a-z][.?!]|.*\\n.*")
_NUMBER: Final = re.compile(rb"[-+]?[0-9]+(?:\.[0-9]+)?(?:@[0-9]+)?")
"""Also a model with its version, as Civitai writes them: ``civitai:4384@128713``."""
_SPACE: Final = re.compile(rb"\s|\\[ntr]")
_PIECE: Final = re.compile(rb"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
"""A word of CamelCase, or a number in it."""
_DIGIT: Final = re.compile(rb"[0-9]")
_ODD_DIGIT: Final = re.compile(rb"[A-Za-z][0-9](?!d|x|k|p|b|img|vid|text|to)[a-z]{2}")
"""A digit in the middle of a word, as people write passwords; not as in img2img or 3d."""
_CHUNK_MIN: Final = 8
_PIECE_MEAN_MAX: Final = 2.5
"""Names have pieces of four to six letters, keys of one to two."""
_LONG_LIMITS: Final = (32, 3.8), (20, 3.2), (16, 2.8)
"""The same of longer ones, whose mean says more: a key of capitals and digits has pieces of 2.5 in
the mean, now and then of three."""
_WORD_MIN: Final = 4
_DIGITS_MIN: Final = 9
"""No version, size or date has so many digits without a sign between them."""
_ODD_MIN: Final = 12
_LETTERS_MIN: Final = 20
_BETWEEN_WORDS: Final = re.compile(rb"[^A-Za-z0-9]+")


def is_nothing(value: bytes) -> bool:
    """Whether a value says that there is no credential: empty, a placeholder, a mask, a type."""
    value = value.strip()
    return (
        not value
        or value.lower() in _PLACEHOLDERS
        or _MASK.fullmatch(value) is not None
        or _TYPE_NAME.fullmatch(value) is not None
        or _is_said_otherwise(value)
    )


def _is_said_otherwise(value: bytes) -> bool:
    """Whether a value stands for a credential that is somewhere else, hidden or still to come."""
    if _REFERENCE.fullmatch(value) or _MASKED.fullmatch(value):
        return True
    return _INVITATION.fullmatch(value) is not None and _DIGIT.search(value) is None


def is_number(value: bytes) -> bool:
    """Whether a value is nothing but a number."""
    return _NUMBER.fullmatch(value.strip()) is not None


def _is_random_chunk(chunk: bytes) -> bool:
    """Whether letters and digits without a sign between them are neither words nor a version."""
    pieces = _PIECE.findall(chunk)
    if not pieces:
        return False
    if len(max(pieces, key=len)) >= _DIGITS_MIN and any(
        len(piece) >= _DIGITS_MIN and piece.isdigit() for piece in pieces
    ):
        return True
    mean = len(chunk) / len(pieces)
    if _DIGIT.search(chunk) is None:
        return len(chunk) >= _LETTERS_MIN and mean < _PIECE_MEAN_MAX
    if len(chunk) >= _ODD_MIN and _ODD_DIGIT.search(chunk):
        return True
    limit = next((limit for size, limit in _LONG_LIMITS if len(chunk) >= size), 0.0)
    if mean < limit and not _is_made_of_words(chunk, pieces):
        return True
    return len(chunk) >= _CHUNK_MIN and mean < _PIECE_MEAN_MAX


def _is_made_of_words(chunk: bytes, pieces: list[bytes]) -> bool:
    """Whether half of a name in CamelCase are words: ``EmptyMiniMaxH3LatentAV``."""
    if chunk.islower() or chunk.isupper():
        return False
    words = [piece for piece in pieces if len(piece) >= _WORD_MIN and piece[1:].islower()]
    return 2 * sum(map(len, words)) >= len(chunk)


@lru_cache(maxsize=4096)
def is_random(value: bytes) -> bool:
    """Whether a value is what a machine makes up, and no person names a thing."""
    if len(value) < _RANDOM_BYTES_MIN or _SPACE.search(value):
        return False
    if is_number(value) or _FILE.fullmatch(value) or is_nothing(value):
        return False
    return any(map(_is_random_chunk, _BETWEEN_WORDS.split(value)))


def _is_label(value: bytes) -> bool:
    """Whether a value speaks of a credential in words, of any language: what a form or a help text
    says."""
    if is_random(value) or _DIGIT.search(value):
        return False
    if not value.isascii() and (
        _SPACE.search(value)
        or not any(64 < one < 123 for one in value)
        or _FOREIGN_LABEL.search(value)
    ):
        return True
    if _SENTENCE.fullmatch(value) and _SPACE.search(value):
        return True
    if _SPACE.search(value):
        return _LABEL_WORDS.search(value) is not None and _PROSE.fullmatch(value) is not None
    return _is_identifier(value)


def _is_identifier(value: bytes) -> bool:
    """Whether a value is the name of a field, a variable or a class, and nobody's own words.

    ``api_key`` and ``accessToken`` are made of words for credentials only; ``my-secret-key`` and
    ``supersecret`` are not, and people do use such passwords.
    """
    words = [word.lower() for word in _PIECE.findall(value)]
    if words and all(word in _FIELD_WORDS for word in words):
        return True
    is_class = value[:1].isupper() and len(words) > 1 and value.isalpha()
    is_variable = value.isupper() and b"_" in value
    return (is_class or is_variable) and _LABEL_WORDS.search(value) is not None


@lru_cache(maxsize=1024)
def looks_like_credential(value: bytes) -> bool:
    """Whether a value that stands under the name of a credential is one.

    Every text is, but for what says that there is none, for labels and for names of files.
    """
    return not (is_nothing(value) or _is_label(value) or _FILE.fullmatch(value))


def stands_out(value: bytes) -> bool:
    """Whether a bare word behind a name and a sign, in a text, is a credential: letters together
    with digits or signs, or no word at all."""
    if len(value) < 6 or is_nothing(value) or is_number(value) or _FILE.fullmatch(value):
        return False
    if is_random(value):
        return True
    has_digit = _DIGIT.search(value) is not None
    return has_digit and len(value) >= 8 and not _is_label(value) and b"(" not in value


def is_distinctive(value: bytes, *, certain: bool) -> bool:
    """Whether a value may be blanked wherever it occurs without hitting ordinary words.

    Args:
        certain: it stood where nothing but a credential stands (an authentication header).
    """
    if not _LEARN_BYTES_MIN <= len(value) <= _LEARN_BYTES_MAX:
        return False
    if is_nothing(value) or _FILE.fullmatch(value) or is_number(value):
        return False
    if is_random(value):
        return True
    if not certain or _SPACE.search(value):
        return False
    has_digit = _DIGIT.search(value) is not None
    kinds = sum(
        bool(re.search(kind, value)) for kind in (rb"[a-z]", rb"[A-Z]", rb"[0-9]", rb"[^\w]")
    )
    return (has_digit and kinds >= 3) or (len(value) >= 20 and _BETWEEN_WORDS.search(value) is None)
