# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Texts of several YAML documents, with the line of everything in them. No I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

try:
    import yaml

    HAS_YAML = True
    _LOADER: t.Any = type("_Loader", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {})
    # A date stays the text that it is: the agent reads YAML into JSON, which has no dates.
    _LOADER.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in _LOADER.yaml_implicit_resolvers.items()
    }
except ImportError:
    HAS_YAML = False

Path = t.Sequence[t.Union[str, int]]  # noqa: UP007


class NotYaml(Exception):
    """The text of a file, or the rest of it, cannot be read. ``documents`` are those before the place.

    ``tab``: the line is indented with a tab, which may well be why.
    """

    tab = False

    def __init__(self, file: str, document: int, line: int, problem: str, documents: list[Document]) -> None:
        super().__init__(problem)
        self.file = file
        self.document = document
        self.line = line
        self.documents = documents


@dataclass(frozen=True)
class Document:
    """One document. ``index`` and ``line`` (of its beginning, in the file) count from 1.

    ``inside``: it stands in this ConfigMap, as ``NAMESPACE/NAME KEY``. ``repeated``: keys that stand twice in one
    mapping, with the line of the second.
    """

    file: str
    index: int
    line: int
    value: t.Any
    inside: str = ""
    lines: t.Mapping[tuple[str | int, ...], int] = field(default_factory=dict, repr=False, compare=False)
    repeated: tuple[tuple[str, int], ...] = ()

    def line_of(self, path: Path = ()) -> int:
        """The line of a field; of the closest one above it where there is no such field."""
        for length in range(len(path), 0, -1):
            found = self.lines.get(tuple(path[:length]))
            if found is not None:
                return found
        return self.line


def read_documents(text: str, file: str) -> list[Document]:
    """Every document of a text that is not empty. Raises NotYaml."""
    return _read(text, file, 0, "", 0)


def _read(text: str, file: str, above: int, inside: str, before: int) -> list[Document]:
    """``above``: lines of the file before the text, ``before``: documents of the file before its first."""
    found: list[Document] = []
    index = before
    loader: t.Any = None
    try:
        loader = _LOADER(text)
        while loader.check_node():
            index += 1
            node = loader.get_node()
            value = loader.construct_document(node)
            if value is None:
                continue
            placed = list(_lines(node, above, (), set()))
            repeated = tuple(_repeated(placed))
            found.append(Document(file, index, _begin(node) + above, value, inside, dict(placed), repeated))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotYaml(
            file, max(index, before + 1), above + (mark.line + 1 if mark else 1), _words(error), found
        ) from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise NotYaml(file, max(index, before + 1), above + 1, str(error).splitlines()[0], found) from None
    finally:
        if loader is not None:
            loader.dispose()
    return found


def readable(text: str, file: str) -> tuple[list[Document], list[NotYaml]]:
    """The documents that can be read, and what is wrong with the others."""
    return _readable(text, file, 0, "", 0)


def _readable(text: str, file: str, above: int, inside: str, before: int) -> tuple[list[Document], list[NotYaml]]:
    """Goes on at the separator below whatever cannot be read."""
    found: list[Document] = []
    broken: list[NotYaml] = []
    lines = text.splitlines(keepends=True)
    start = 0
    while True:
        try:
            return [*found, *_read("".join(lines[start:]), file, above + start, inside, before)], broken
        except NotYaml as error:
            found += error.documents
            at = error.line - above - 1
            indent = lines[at][: -len(lines[at].lstrip())] if 0 <= at < len(lines) else ""
            error.tab = "\t" in indent
            broken.append(error)
            below = range(max(at, start + 1), len(lines))
            separator = next((n for n in below if lines[n].rstrip() == "---" or lines[n].startswith("--- ")), None)
            if separator is None:
                return found, broken
            start, before = separator, error.document


def _repeated(placed: t.Iterable[tuple[tuple[str | int, ...], int]]) -> t.Iterator[tuple[str, int]]:
    seen: set[tuple[str | int, ...]] = set()
    for path, line in placed:
        if path in seen and path[-1] != "<<":
            yield ".".join(map(str, path)), line
        seen.add(path)


def _words(error: yaml.MarkedYAMLError) -> str:
    return ": ".join(filter(None, (error.context, error.problem)))


def _begin(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _lines(
    node: yaml.Node, above: int, path: tuple[str | int, ...], seen: set[int]
) -> t.Iterator[tuple[tuple[str | int, ...], int]]:
    """The line of every field, that of its key where it has one. What stands behind an alias is looked at once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            yield here, _begin(key) + above
            yield from _lines(value, above, here, seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*path, index), _begin(value) + above
            yield from _lines(value, above, (*path, index), seen)


def is_wrapper(document: Document) -> bool:
    """True for a ConfigMap whose values are manifests themselves, and not the settings of some application."""
    value = document.value
    if not isinstance(value, dict) or value.get("kind") != "ConfigMap" or not isinstance(value.get("data"), dict):
        return False
    texts = [text for text in value["data"].values() if isinstance(text, str) and text.strip()]
    return bool(texts) and all("kind:" in text or '"kind"' in text for text in texts)


def config_map_name(value: t.Mapping[str, t.Any]) -> str:
    """NAMESPACE/NAME, as far as it has them."""
    found = value.get("metadata")
    meta = found if isinstance(found, dict) else {}
    return "/".join(filter(None, (str(meta.get("namespace") or ""), str(meta.get("name") or ""))))


def unwrapped(document: Document) -> list[Document]:
    """The documents in the values of a ConfigMap, in the order of its keys. Raises NotYaml.

    Lines are those of the file: a block of text begins below its key.
    """
    name = config_map_name(document.value)
    found: list[Document] = []
    for key, text in document.value["data"].items():
        if isinstance(text, str):
            begin = document.line_of(("data", str(key)))
            found += _read(text, document.file, begin, f"{name} {key}", len(found))
    return found


def readable_inside(document: Document) -> tuple[list[Document], list[NotYaml]]:
    """The documents in the values of a ConfigMap that can be read, and what is wrong with the others."""
    found: list[Document] = []
    broken: list[NotYaml] = []
    name = config_map_name(document.value)
    for key, text in document.value["data"].items():
        if isinstance(text, str):
            begin = document.line_of(("data", str(key)))
            more, wrong = _readable(text, document.file, begin, f"{name} {key}", len(found) + len(broken))
            found += more
            broken += wrong
    return found, broken


def as_yaml(value: t.Any) -> str:
    """A document as people write it."""
    return str(yaml.safe_dump(value, sort_keys=False, default_flow_style=False, width=120))
