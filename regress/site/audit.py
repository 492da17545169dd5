"""Whether a built site holds together: no dead link, no damaged data, nothing from elsewhere, pages that stay small."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST_VIEW_BYTES = 120_000
"""Largest first view, compressed: `index.html` and what it loads, without Plotly, which is loaded once."""
DATA_BYTES = 60_000
"""Largest script of data that a page loads, compressed."""

_LOADS = {"script": "src", "img": "src", "source": "src", "iframe": "src", "link": "href"}
"""Tag to the attribute with what a page loads by itself.

What its script loads, at once or where it is chosen, stands in `data-src` of any other tag.
"""
_LOADED = {"stylesheet", "icon", "preload", "modulepreload", "manifest"}
"""Relations of a `link` that is loaded; others, such as a feed, are there to be followed."""


@dataclass
class Page:
    """What a page links to.

    Attributes:
        path: Where it is.
        loads: Addresses that it or its script loads.
        links: Addresses that a visitor can go to.
        places: Ids of its elements.
        policy: Its Content-Security-Policy; empty where it has none.
    """

    path: Path
    loads: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    places: set[str] = field(default_factory=set)
    policy: str = ""

    def files(self) -> list[Path]:
        """The files that it or its script loads, each once."""
        found = [self.target(address) for address in self.loads if not urlsplit(address).scheme]
        return list(dict.fromkeys(path for path in found if path.is_file()))

    def target(self, address: str) -> Path:
        """The file that a relative address leads to."""
        path = unquote(urlsplit(address).path)
        return (self.path.parent / path).resolve() if path else self.path


class _Reader(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes what a tag says of addresses."""
        named = {name: value or "" for name, value in attrs}
        if "id" in named:
            self._page.places.add(named["id"])
        followed = tag == "a" or (tag == "link" and not _LOADED & set(named.get("rel", "").split()))
        if followed and "href" in named:
            self._page.links.append(named["href"])
        elif address := named.get(_LOADS.get(tag, "data-src")):
            self._page.loads.append(address)
        elif tag == "meta" and named.get("http-equiv") == "Content-Security-Policy":
            self._page.policy = named.get("content", "")


def read_page(path: Path) -> Page:
    """What a page links to, loads and declares."""
    page = Page(path.absolute())
    reader = _Reader(page)
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    return page


def sent_bytes(path: Path) -> int:
    """Size of a file as a server sends it, compressed."""
    return len(gzip.compress(path.read_bytes(), compresslevel=6, mtime=0))


def first_view(root: Path) -> list[Path]:
    """The files that a visitor of the site loads first, but for Plotly."""
    index = root / "index.html"
    return [index, *(path for path in read_page(index).files() if not _is_plotly(path))]


def _is_plotly(path: Path) -> bool:
    return path.name.startswith("plotly-")


class Audit:
    """All that is wrong with a built site.

    Args:
        root: The web root.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._unreadable: list[str] = []

    @cached_property
    def pages(self) -> dict[Path, Page]:
        """Every page that can be read, by its path."""
        return {path: page for path in sorted(self._root.rglob("*.html")) if (page := self._page(path))}

    def _page(self, path: Path) -> Page | None:
        try:
            return read_page(path)
        except (OSError, UnicodeDecodeError) as error:
            self._unreadable.append(f"{self._name(path)}: cannot be read: {error}")
            return None

    def problems(self) -> Iterator[str]:
        """What is wrong, each with the file it is wrong with; none where all is well."""
        if self._root / "index.html" not in self.pages:
            yield "index.html: there is no site"
            return
        yield from self._unreadable
        for page in self.pages.values():
            yield from (f"{self._name(page.path)}: {problem}" for problem in self._problems_of(page))
        for path in self._data():
            yield from (f"{self._name(path)}: {problem}" for problem in _problems_of_data(path))
        if (size := sum(map(sent_bytes, first_view(self._root)))) > FIRST_VIEW_BYTES:
            yield f"index.html: the first view is {size:,} bytes compressed, more than {FIRST_VIEW_BYTES:,}"

    def _data(self) -> list[Path]:
        """The scripts of data: those that pages load, and those of runs, which the comparison loads once chosen."""
        loaded = {path for page in self.pages.values() for path in page.files() if path.suffix == ".js"}
        own = {path for path in loaded if path.is_relative_to(self._root) and path.parent != self._root / "assets"}
        return sorted(own | set(self._root.glob("runs/*/*.js")))

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _problems_of(self, page: Page) -> Iterator[str]:
        if not page.policy:
            yield "no Content-Security-Policy"
        for address in page.loads:
            if urlsplit(address).scheme or urlsplit(address).netloc:
                yield f"loads {address} from elsewhere"
        for address in dict.fromkeys(page.loads + page.links):
            split = urlsplit(address)
            if not (split.scheme or split.netloc) and not self._is_there(page, address, split.fragment):
                yield f"dead link to {unquote(address)}"

    def _is_there(self, page: Page, address: str, fragment: str) -> bool:
        target = page.target(address)
        if not (target.is_file() and target.is_relative_to(self._root)):
            return False
        # Fragments with an equals sign are the state of a page, and name no place in it.
        names_place = fragment and "=" not in fragment and target in self.pages
        return not names_place or unquote(fragment) in self.pages[target].places


def _problems_of_data(path: Path) -> Iterator[str]:
    """A script of data is one call with one JSON value."""
    text = path.read_bytes()
    try:
        msgspec.json.decode(text[text.index(b"(") + 1 : text.rindex(b")")])
    except (ValueError, msgspec.DecodeError) as error:
        yield f"damaged data: {error}"
    if (size := sent_bytes(path)) > DATA_BYTES:
        yield f"{size:,} bytes of data compressed, more than {DATA_BYTES:,}"
