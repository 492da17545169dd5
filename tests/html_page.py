"""Pages and pictures read back: HTML strictly, so that it is checked by meaning and not by its text, and XML."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}


class Node:
    """An element of a parsed page."""

    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.children: list[Node | str] = []

    def walk(self) -> Iterator[Node]:
        """Every element below, in order of appearance."""
        for child in self.children:
            if isinstance(child, Node):
                yield child
                yield from child.walk()

    def all(self, tag: str, css_class: str | None = None) -> list[Node]:
        """Every element of that tag (and class) below, in order of appearance."""
        return [node for node in self.walk() if node.tag == tag and (css_class is None or css_class in node.classes)]

    def one(self, tag: str, css_class: str | None = None) -> Node:
        """The only element of that tag (and class) below."""
        (found,) = self.all(tag, css_class)
        return found

    def get(self, name: str) -> str:
        """The attribute's value; empty where there is none."""
        return self.attributes.get(name) or ""

    @property
    def elements(self) -> list[Node]:
        """The elements right below."""
        return [child for child in self.children if isinstance(child, Node)]

    @property
    def classes(self) -> list[str]:
        return self.get("class").split()

    @property
    def text(self) -> str:
        """The words in it, separated by single spaces, none of them before a comma or the like."""
        parts = (child if isinstance(child, str) else child.text for child in self.children)
        return re.sub(" ([.,;:])(?= |$)", r"\1", " ".join(" ".join(parts).split()))

    @property
    def source(self) -> str:
        """Its text as it is written, as for a script."""
        return "".join(child if isinstance(child, str) else child.source for child in self.children)


class _Reader(HTMLParser):
    """A strict reading: an end tag that does not match its start is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.root = Node("", {})
        self._open = [self.root]
        self.feed(html)
        self.close()
        assert [node.tag for node in self._open] == [""]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute: {names}"
        node = Node(tag, dict(attrs))
        self._open[-1].children.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def read_html(html: str) -> Node:
    """The page, or a part of one; an end tag that does not match its start is an error."""
    return _Reader(html).root


def read_xml(text: str | bytes) -> ET.Element:
    """The root element of an XML document; what is not well-formed raises."""
    return ET.fromstring(text)  # noqa: S314  # what the tests themselves had written
