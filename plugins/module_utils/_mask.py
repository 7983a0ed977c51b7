# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Taking what looks like a secret out of objects and logs. Values in, values out; no I/O.

What is collected from a cluster is sent on to people. So Secrets are left out as a whole, and everything else is masked
by what it looks like; it is better to mask too much than too little.
"""

from __future__ import annotations

import json
import re
import typing as t

MASK = "<masked>"
_PART, _LINES = 65536, 128

# Names whose value is a secret. Names of names are none: secretName, pullSecretRef, secretKeyRef, tokenExpiration.
_SECRET_NAME = re.compile(
    r"""(?ix) (?: pass(?:word|wd|phrase)? | (?:api|access|secret|private|encryption|account|signing)[_.-]?key
        | (?:access|auth|bearer|bootstrap|id|refresh|session|service[_.-]?account)?[_.-]?token
        | (?:client)?[_.-]?secret | (?:client[_.-]?)key[_.-]?data | credentials? | authorization
        | dockerconfig(?:json)? | \.dockercfg | kubeconfig | ignition[_.-]?config
        ) (?:[_.-]?(?:data|value|b64|base64))? $"""
)
# ... and those in which the words only look so.
_NAME_OF_NAME = re.compile(r"(?i)(?:name|ref|id|namespace|path|file|expiration|seconds|count|type|kind)$")
# Fields that the API server writes for itself, and copies of the object that would have to be masked again.
_NOISE = ("managedFields",)
_COPIES = ("kubectl.kubernetes.io/last-applied-configuration",)
_DROPPED_KINDS = frozenset({"Secret", "SecretList"})

# A key in PEM form; it has many lines.
_PEM = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_PEM_WORD = "PRIVATE KEY-----"

# What may be masked in one line: a word that has to be there in lower case, since looking for it costs next to nothing;
# the pattern; and what takes its place.
_Patterns = tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...]
_PATTERNS: _Patterns = (
    (("bearer", "basic"), re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{8,}"), rf"\1\2{MASK}"),
    # Tokens of the API server.
    (("eyj",), re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"), MASK),
    (("sha256~",), re.compile(r"\bsha256~[A-Za-z0-9_-]{16,}"), MASK),
    # Access keys of object stores, and what signs an address for whoever has it.
    (("akia", "asia"), re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"), MASK),
    (
        ("x-amz-", "x-goog-", "sig=", "signature=", "accesskeyid="),
        re.compile(
            r"(?i)\b(X-Amz-(?:Signature|Credential|Security-Token)|Signature|sig|AWSAccessKeyId|"
            r"X-Goog-(?:Signature|Credential))=[^&\s\"'<>]+"
        ),
        rf"\1={MASK}",
    ),
    # Users and passwords in addresses.
    (("@",), re.compile(r"(://)[^/\s:@\"']+:[^/\s@\"']+@"), rf"\1{MASK}@"),
    # Registry credentials as a pull secret has them.
    (("auth",), re.compile(r"(\\?\"auth\\?\"\s*:\s*\\?\")[^\"\\]+"), rf"\1{MASK}"),
    # NAME=VALUE and NAME: VALUE with a telling name, in quotes or not. The value ends where the quotes or the word do.
    (
        (
            "password",
            "passwd",
            "passphrase",
            "secret",
            "token",
            "dockerconfigjson",
            *(f"{word}{dash}key" for word in ("api", "access", "private") for dash in ("", "-", "_")),
            *(f"key{dash}data" for dash in ("", "-", "_")),
        ),
        re.compile(
            r"""(?ix) ( (?: password | passwd | passphrase | secret | token | (?:api|access|private)[_-]?key
                  | key[_-]?data | dockerconfigjson ) (?:[_-]?(?:id|data))? \\?["']? [ \t]* [=:] [ \t]* )
                (?: (\\?["']) (?!<masked>) [^"'\\\n]+ | (?!<masked>) [^\s"'\\,;&{}\[\]()<>]+ )"""
        ),
        rf"\1\2{MASK}",
    ),
)


def is_secret_name(name: object) -> bool:
    """True for the name of a field or variable whose value is not to be shown."""
    text = str(name)
    return not _NAME_OF_NAME.search(text) and bool(_SECRET_NAME.search(text))


def masked_text(text: str) -> str:
    """A text without what looks like a secret."""
    if _PEM_WORD in text:
        text = _PEM.sub(rf"\1{MASK}\2", text)
    # In a long text most lines have nothing to do with secrets: narrow it down twice, first what, then where.
    return "".join(_masked_part(part) for part in _parts(text, _PART))


def _masked_part(text: str) -> str:
    candidates = _candidates(text, _PATTERNS)
    if not candidates:
        return text
    return "".join(_masked_lines(lines, candidates) for lines in _parts(text, _LINES))


def _masked_lines(text: str, candidates: _Patterns) -> str:
    for _words, pattern, mask in _candidates(text, candidates):
        text = pattern.sub(mask, text)
    return text


def _candidates(text: str, patterns: _Patterns) -> _Patterns:
    """The patterns that can match at all."""
    low = text.lower()
    found = []
    for entry in patterns:
        for word in entry[0]:
            if word in low:
                found.append(entry)
                break
    return tuple(found)


def _parts(text: str, size: int) -> t.Iterator[str]:
    """The text in pieces of whole lines, of about this size."""
    start = 0
    while start < len(text):
        end = text.find("\n", min(start + size, len(text)) - 1) + 1 or len(text)
        yield text[start:end]
        start = end


def masked(value: t.Any) -> t.Any:
    """An object, or a part of one, without what looks like a secret, and without what only the API server needs."""
    if isinstance(value, dict):
        return _masked_mapping(value)
    if isinstance(value, list):
        return [masked(item) for item in value if not is_secret(item)]
    return masked_text(value) if isinstance(value, str) else value


def is_secret(value: t.Any) -> bool:
    """True for a Secret, which is left out as a whole."""
    return isinstance(value, dict) and value.get("kind") in _DROPPED_KINDS


def _masked_mapping(value: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    # An environment variable says in one field what the other one is.
    named_secret = "value" in value and is_secret_name(value.get("name", ""))
    result: dict[str, t.Any] = {}
    for key, item in value.items():
        if key in _NOISE:
            continue
        if key in _COPIES and isinstance(item, str):
            result[key] = _masked_copy(item)
        elif item is not None and _is_plain(item) and (is_secret_name(key) or (named_secret and key == "value")):
            result[key] = MASK
        else:
            result[key] = MASK if is_secret(item) else masked(item)
    return result


def _is_plain(value: t.Any) -> bool:
    """True for a value that can be a secret itself: a list or mapping only has some in it."""
    return isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != ""


def _masked_copy(text: str) -> str:
    try:
        document = json.loads(text)
    except ValueError:
        return MASK
    return MASK if is_secret(document) else json.dumps(masked(document))
