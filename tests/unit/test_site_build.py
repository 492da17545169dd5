"""The files of the site: all that a page names is there, nothing is fetched from elsewhere, nothing is deleted."""

from __future__ import annotations

import itertools
import json
import os
import re
import stat
import sys
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec
import pytest
from factories import (
    CASE,
    NOON,
    make_artifact,
    make_broken,
    make_case,
    make_environment,
    make_record,
    make_replicate,
    make_report,
    make_toolchain,
    sha,
)
from html_page import Node, read_html, read_xml
from site_entries import (
    ASSETS,
    HOSTILE,
    OTHER,
    TEMPLATES,
    Entry,
    built,
    entry,
    judged,
    later,
    make_baseline,
    slow,
)
from site_sample import wide_history

from regress.artifact import Kernel, Model
from regress.errors import HistoryError
from regress.recipe import FLAGS
from regress.record import Package, decode_record
from regress.replicate import Discarded
from regress.site import build, plotly
from regress.telemetry import Telemetry
from regress.verdict import Verdict

if TYPE_CHECKING:
    from regress.baseline import Baseline

SOURCES = Path(sys.modules[build.__module__].__file__ or "").parent
LANDMARKS = {"section", "nav", "form"}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@cache
def read_page(text: str) -> Node:
    return read_html(text)


def pages(folder: Path) -> dict[str, Node]:
    """Every page of the site, parsed, by its path."""
    return {name: read_page(data.decode()) for name, data in sorted(contents(folder).items()) if name.endswith(".html")}


def links(root: Node) -> list[str]:
    """All that the page names: what it loads, and where it leads."""
    return [node.get(name) for node in root.walk() for name in ("src", "href") if name in node.attributes]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a history as a user would have it, with a baseline."""
    folder = tmp_path_factory.mktemp("sample")
    entries = wide_history()
    orin = next(each.record for each in entries if each.record.runner == "orin")
    baseline = msgspec.structs.replace(make_baseline(orin, key=orin.cases[0].key), runner="orin")
    built(folder, entries, baselines={"orin": baseline})
    return folder


# Every page


def test_there_is_a_page_for_every_run_and_every_series(sample: Path) -> None:
    names = set(pages(sample))

    assert {"index.html", "regressions.html", "method.html"} <= names
    assert {name for name in names if name.startswith("runs/")} == {
        f"runs/{each.record.runner}/{each.record.id}.html" for each in wide_history()
    }
    # Two runners of three cases each, one of four and one of two, none of which any run lacks.
    assert len([name for name in names if name.startswith("series/")]) == 12


def test_there_is_a_page_for_every_model_with_several_prompt_lengths(sample: Path) -> None:
    assert {name for name in pages(sample) if name.startswith("lengths/")} == {
        "lengths/processor/llama-2-7b~q4f32_1~llvm.html",
        "lengths/server/llama-2-7b~q4f16_1~cuda.html",
    }


def test_every_link_leads_to_a_file_and_a_place_that_are_there(sample: Path) -> None:
    """As a browser goes: relative to the page, percent signs decoded, from disk as from a web server."""
    for name, root in pages(sample).items():
        assert links(root)
        for link in links(root):
            parts = urlsplit(link)
            assert (parts.scheme, parts.netloc, parts.query) == ("", "", ""), f"{name}: {link}"
            target = (sample / name).parent / unquote(parts.path) if parts.path else sample / name
            assert target.is_file(), f"{name}: {link}"
            assert sample in target.resolve().parents
            if parts.fragment and "=" not in parts.fragment:  # what a script reads names no place
                ids = {node.get("id") for node in pages(sample)[str(target.resolve().relative_to(sample))].walk()}
                assert unquote(parts.fragment) in ids, f"{name}: {link}"


def test_the_links_of_the_feed_lead_to_files_that_are_there(sample: Path) -> None:
    root = read_xml((sample / "regressions.atom").read_bytes())
    targets = [link.attrib["href"] for link in root.iter("{http://www.w3.org/2005/Atom}link")]

    assert len(targets) > 2
    assert [target for target in targets if not (sample / unquote(target)).is_file()] == []


def test_nothing_on_a_page_is_fetched_from_elsewhere(sample: Path) -> None:
    """The policy forbids it too, and any script in the page itself."""
    for name, root in pages(sample).items():
        assert [link for link in links(root) if re.match(r"[a-z]+:|//", link)] == [], name
        (policy,) = [meta.get("content") for meta in root.all("meta") if "http-equiv" in meta.attributes]
        rules = dict(rule.strip().split(" ", maxsplit=1) for rule in policy.split(";"))
        assert rules["default-src"] == "'none'"
        assert rules["script-src"] == "'self'"
        assert (rules["base-uri"], rules["form-action"]) == ("'none'", "'none'")
        assert "connect-src" not in rules
        assert [script for script in root.all("script") if "src" not in script.attributes] == []
        assert [attribute for node in root.walk() for attribute in node.attributes if attribute.startswith("on")] == []


def test_headers_have_scopes_and_landmarks_have_names(sample: Path) -> None:
    for name, root in pages(sample).items():
        ids = {node.get("id") for node in root.walk() if "id" in node.attributes}
        assert {cell.get("scope") for cell in root.all("th")} <= {"col", "row", "rowgroup"}, name
        for node in root.walk():
            if node.tag in LANDMARKS or node.get("role") in {"region", "search", "img"}:
                named = node.get("aria-labelledby")
                assert node.get("aria-label") or named in ids, f"{name}: <{node.tag}>"
        assert [node.get("lang") for node in root.all("html")] == ["en"]
        assert len(root.all("main")) == len(root.all("h1")) == len(root.all("title")) - titles_in_pictures(root) == 1
        assert root.one("head").one("title").text


def titles_in_pictures(root: Node) -> int:
    return sum(len(picture.all("title")) for picture in root.all("svg"))


def test_the_skip_link_leads_to_the_content(sample: Path) -> None:
    for root in pages(sample).values():
        assert root.one("a", "skip").get("href") == f"#{root.one('main').get('id')}"


def test_ids_are_unique(sample: Path) -> None:
    for name, root in pages(sample).items():
        ids = [node.get("id") for node in root.walk() if "id" in node.attributes]
        assert len(ids) == len(set(ids)), name


def test_headings_leave_no_level_out(sample: Path) -> None:
    for name, root in pages(sample).items():
        levels = [int(node.tag[1]) for node in root.walk() if re.fullmatch(r"h[1-6]", node.tag)]
        assert levels[0] == 1, name
        assert [pair for pair in itertools.pairwise(levels) if pair[1] > pair[0] + 1] == [], name


def test_the_page_that_is_open_is_marked_in_the_navigation(sample: Path) -> None:
    for name, root in pages(sample).items():
        (navigation,) = [node for node in root.all("nav") if node.get("aria-label") == "Site"]
        current = [link.get("href") for link in navigation.all("a") if "aria-current" in link.attributes]
        assert current == ([name] if "/" not in name else [])


# Hostile text


def history(text: str, record_id: str) -> list[Entry]:
    """That text wherever a record or a report holds free text."""
    key = "a/b/c/p1+1"
    toolchain = make_toolchain(
        text, packages=(Package(name="apache-tvm", version=text), Package(name=text, version=text))
    )
    environment = make_environment(
        device=text,
        driver=text,
        cpu=text,
        system=text,
        kernel=text,
        machine=text,
        power_mode=text,
        settings={text: text},
    )
    artifact = make_artifact(
        key,
        model=Model(source=text, name=text, digest=sha("model")),
        quantization=text,
        target=text,
        flags={**FLAGS, text: text},
        planned_memory_bytes={text: 1},
        kernels=(Kernel(name=text, sha256=sha("kernel")),),
    )
    telemetry = Telemetry(device="cpu", samples=1, reasons={text: 0.5})
    replicate = msgspec.structs.replace(make_replicate(1000.0, 50.0), telemetry=telemetry)
    discarded = Discarded(started_at=NOON, reason="throttled", text=text)
    cases = (
        make_case(key, artifact=artifact, replicates=(replicate,), discarded=(discarded,), gave_up="throttled"),
        make_broken(OTHER, cause=text, how=text, log=text),
        make_case(key.replace("p1+1", "p2+1"), artifact=artifact),
    )
    first = make_record(*cases, toolchain=make_toolchain("tvm-0.25.0"), environment=environment, regress=text)
    record = later(1, *cases, toolchain=toolchain, environment=environment, regress=text, id=record_id)
    verdict = Verdict(
        case=key,
        outcome="regressed",
        reason="slower_than_tolerance",
        text=text,
        metric="decode_tokens_per_s",
        loss=0.2,
        tolerance=0.1,
    )
    about_all = Verdict(case=key, outcome="missing", reason="no_reference", text=text)
    report = make_report(record, make_record(toolchain=toolchain), verdicts=[verdict, about_all])
    return [entry(first), entry(record, msgspec.structs.replace(report, baseline=text))]


def baselines(record_id: str, text: str) -> dict[str, Baseline]:
    """A baseline that took an earlier run for its reference, for that reason."""
    record = make_record(make_case(), toolchain=make_toolchain(text), id=record_id)
    return {"bench": make_baseline(record, reason=text)}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a history with markup wherever there can be text, and with an id of dots."""
    folder = tmp_path_factory.mktemp("hostile") / "out"
    built(folder, history(HOSTILE, ".."), title=HOSTILE, baselines=baselines("..", HOSTILE))
    return folder


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same history with words in the same places."""
    folder = tmp_path_factory.mktemp("harmless") / "out"
    built(folder, history("zwords", "z"), title="words", baselines=baselines("z", "zwords"))
    return folder


def kinds(folder: Path) -> dict[str, list[list[str]]]:
    """Folder to the elements of each page in it."""
    found: dict[str, list[list[str]]] = {}
    for name, root in pages(folder).items():
        kind = name if "/" not in name else name.split("/")[0]
        found.setdefault(kind, []).append(sorted(node.tag for node in root.walk()))  # equal times: in order of names
    return {kind: sorted(tags) for kind, tags in found.items()}


def test_hostile_text_stays_text_on_every_page(hostile: Path, harmless: Path) -> None:
    """Page by page the elements are those that harmless words give; and the text is there, whole."""
    assert kinds(hostile) == kinds(harmless)
    for root in pages(hostile).values():
        attributes = [name for node in root.walk() for name in node.attributes]
        assert [name for name in attributes if name.startswith("on")] == []
        assert {script.get("src").rpartition(".")[2] for script in root.all("script")} <= {"js"}
    index = pages(hostile)["index.html"]
    assert index.one("h1").text == index.one("title").text == HOSTILE
    (lengths,) = [root for name, root in pages(hostile).items() if name.startswith("lengths/")]
    assert HOSTILE in {field.get("value") for field in lengths.all("input")}
    devices = pages(hostile)["devices.html"]
    assert HOSTILE in devices.one("main").text
    run = pages(hostile)["runs/bench/...html"]
    assert HOSTILE in run.one("details", "log").one("pre").text


def test_hostile_text_stays_text_in_the_badge(hostile: Path) -> None:
    badges = [read_xml(path.read_bytes()) for path in (hostile / "badges").rglob("*.svg")]

    assert {badge.attrib["aria-label"].split(" p")[0] for badge in badges} == {"a", "tiny"}
    tags = {element.tag.rpartition("}")[2] for badge in badges for element in badge.iter()}
    assert tags == {"svg", "title", "clipPath", "rect", "g", "text"}


def test_hostile_text_stays_text_in_the_feed(hostile: Path) -> None:
    root = read_xml((hostile / "regressions.atom").read_bytes())

    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert "script" not in tags
    assert "img" not in tags
    assert HOSTILE in "".join(root.itertext())


def test_hostile_text_stays_text_in_the_data_scripts(hostile: Path) -> None:
    """Each is one call with one object, and could stand in a page."""
    scripts = [path for folder in ("series", "lengths", "runs", "data") for path in (hostile / folder).rglob("*.js")]
    assert scripts
    for path in scripts:
        text = path.read_text(encoding="utf-8")
        match = re.fullmatch(r"(regress[A-Za-z]+)\((.*)\);\n", text, re.DOTALL)
        assert match is not None, path.name
        assert json.loads(match[2])
        assert "<" not in text


def test_every_link_of_a_hostile_site_leads_to_a_file_inside_it(hostile: Path) -> None:
    for name, root in pages(hostile).items():
        for link in links(root):
            parts = urlsplit(link)
            target = ((hostile / name).parent / unquote(parts.path)) if parts.path else hostile / name
            assert target.is_file(), f"{name}: {link}"
            assert hostile in target.resolve().parents


def test_an_id_of_dots_stays_inside_the_site(hostile: Path) -> None:
    assert {path.name for path in hostile.parent.iterdir()} == {"out", "out-history", "out-cache"}
    assert (hostile / "data" / "bench" / "...json").is_file()
    assert (hostile / "runs" / "bench" / "...html").is_file()


def test_a_case_key_whose_parts_are_dots_stays_inside_the_site(tmp_path: Path) -> None:
    """The pattern of keys allows it; and a series must not overwrite another page."""
    key = "../../../p1+1"
    built(tmp_path / "out", [judged(later(1, slow(key=key)), make_record(make_case(key)))])

    assert {path.name for path in tmp_path.iterdir()} == {"out", "out-history", "out-cache"}
    assert (tmp_path / "out" / "series" / "bench" / "..~..~..~p1+1.html").is_file()
    (link,) = [link for link in links(pages(tmp_path / "out")["index.html"]) if ".svg" not in link and "p1" in link][:1]
    assert (tmp_path / "out" / unquote(link)).is_file()


# Files


def test_the_path_of_the_index_is_returned(tmp_path: Path) -> None:
    assert built(tmp_path / "out", []) == tmp_path / "out" / "index.html"


def test_an_empty_history_has_pages_without_dead_links(tmp_path: Path) -> None:
    built(tmp_path, [])

    for name, root in pages(tmp_path).items():
        for link in links(root):
            assert link.startswith("#") or (tmp_path / unquote(urlsplit(link).path)).is_file(), f"{name}: {link}"


def test_the_data_beside_the_page_is_the_record(tmp_path: Path) -> None:
    record = make_record()
    built(tmp_path, [entry(record)])

    stored = tmp_path / "data" / "bench" / f"{record.id}.json"
    assert decode_record(stored.read_bytes(), "it") == record


def test_the_same_entries_give_the_same_bytes_in_any_order(tmp_path: Path, sample: Path) -> None:
    entries = wide_history()
    built(tmp_path / "one", entries)
    built(tmp_path / "two", entries[::-1])

    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert one == two
    assert one.keys() == contents(sample).keys()
    written = [data for name, data in one.items() if not name.startswith("assets/")]
    assert [data for data in written if str(tmp_path).encode() in data] == []


def test_building_where_the_assets_live_deletes_and_changes_nothing(tmp_path: Path) -> None:
    """The repository's own `site/` is a destination too."""
    assets = tmp_path / "assets"
    assets.mkdir()
    for path in ASSETS.iterdir():
        (assets / path.name).write_bytes(path.read_bytes())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "kept.json").write_text("{}")
    before = contents(tmp_path)
    built(tmp_path, [entry()], assets=assets)
    built(tmp_path, [entry()], assets=assets)

    after = contents(tmp_path)
    assert {name: after.get(name) for name in before} == before
    assert plotly.packaged().name in {path.name for path in assets.iterdir()}
    assert {name for name in after.keys() - before.keys() if "plotly" in name} <= {f"assets/{plotly.packaged().name}"}


def test_runners_stand_in_order_of_their_names(tmp_path: Path) -> None:
    """Not of their folders' paths, in which a hyphen comes before the slash."""
    index = built(tmp_path, [entry(make_record(runner=runner)) for runner in ("cpu-mlc", "orin", "cpu")])

    sections = read_html(index.read_text(encoding="utf-8")).all("section", "runner")

    assert [section.get("id") for section in sections] == ["runner-cpu", "runner-cpu-mlc", "runner-orin"]


@pytest.mark.parametrize("how", ["no package", "no script"])
def test_without_plotly_the_site_is_not_built(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which `regress run` tells, and ends with its verdict: that stands either way."""
    there = None if how == "no package" else ModuleSpec("plotly", None, origin=str(tmp_path / "plotly" / "__init__.py"))
    monkeypatch.setattr(plotly, "find_spec", lambda _: there)

    with pytest.raises(HistoryError) as error:
        built(tmp_path / "site", [entry()])

    assert error.value.hint == "the site was not built"
    assert "plotly" in str(error.value)
    assert not (tmp_path / "site" / "index.html").exists()


def test_pages_of_an_earlier_build_stay(tmp_path: Path) -> None:
    """A link to a run that somebody kept must not break because the history was moved away."""
    first = make_record()
    built(tmp_path, [entry(first)])
    built(tmp_path, [entry(later(1))])

    assert (tmp_path / "runs" / "bench" / f"{first.id}.html").is_file()


def test_an_old_copy_of_plotly_is_not_a_hand_written_asset(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "plotly-0.0.1.min.js").write_text("old")
    (tmp_path / "assets" / ".hidden").write_text("")
    (tmp_path / "assets" / "site.css").write_text("body {}")

    built(tmp_path / "out", [], assets=tmp_path / "assets")

    names = {path.name for path in (tmp_path / "out" / "assets").iterdir()}
    assert names == {"site.css", plotly.packaged().name}


def test_what_has_not_changed_is_not_written_again(tmp_path: Path) -> None:
    """A copy to a web server then moves what is new alone."""
    built(tmp_path, [entry()])
    first = tmp_path / "runs" / "bench" / f"{make_record().id}.html"
    os.utime(first, (1, 1))

    built(tmp_path, [entry(), entry(later(1))])

    assert first.stat().st_mtime == 1


def test_a_failed_write_leaves_the_old_page_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = built(tmp_path, [entry()])
    before = contents(tmp_path)

    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(HistoryError, match="No space left on device"):
        built(tmp_path, None, title="Another")

    assert index.is_file()
    assert contents(tmp_path) == before


def test_the_index_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it never stands without what it links to, however a build ends."""
    written: list[str] = []
    replace = Path.replace

    def noted(path: Path, target: Path) -> Path:
        if tmp_path in target.parents:  # and not in the cache
            written.append(target.name)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", noted)
    built(tmp_path, [entry()])

    assert written.index("index.html") == len(written) - 1


def test_a_destination_that_cannot_be_a_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(HistoryError, match=r"file.*: (Not a directory|File exists)"):
        built(tmp_path / "file", [entry()])


@pytest.mark.parametrize("missing", ["templates", "assets"])
def test_missing_templates_or_assets_are_one_line(tmp_path: Path, missing: str) -> None:
    folders = {"templates": TEMPLATES, "assets": ASSETS, missing: tmp_path / "nowhere"}

    with pytest.raises(HistoryError) as error:
        built(tmp_path / "out", [], templates=folders["templates"], assets=folders["assets"])

    assert error.value.exit_code == 7
    assert not (tmp_path / "out" / "index.html").exists()


def test_pages_are_readable_by_a_web_server(tmp_path: Path) -> None:
    """Not 0600, as temporary files are wont to be."""
    umask = os.umask(0o022)
    try:
        built(tmp_path, [entry()])
    finally:
        os.umask(umask)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {0o644}


def test_a_baseline_shows_on_the_pages_of_its_runner_alone(tmp_path: Path) -> None:
    elsewhere = later(1, runner="elsewhere")
    built(tmp_path, [entry(), entry(elsewhere)], baselines={"bench": make_baseline(make_record())})

    held = {name.split("/")[1]: "Reference" in root.text for name, root in pages(tmp_path).items() if "series/" in name}
    assert held == {"bench": True, "elsewhere": False}


def test_each_series_has_its_page_data_table_and_badge(tmp_path: Path) -> None:
    built(tmp_path, [entry(make_record(make_case(CASE), make_case(OTHER)))])

    names = [key.replace("/", "~") for key in (CASE, OTHER)]
    found = {path.name for folder in ("series", "badges") for path in (tmp_path / folder / "bench").iterdir()}
    assert found == {f"{name}{suffix}" for name in names for suffix in (".html", ".js", ".csv", ".svg")}


def test_plotly_is_not_imported_to_build() -> None:
    """Its import costs more than the whole site."""
    sources = {path.name: path.read_text(encoding="utf-8") for path in SOURCES.glob("*.py")}

    assert "build.py" in sources
    importing = re.compile(r"^\s*(import|from) plotly", re.MULTILINE)
    assert [name for name, source in sources.items() if importing.search(source)] == []


def test_every_asset_is_in_the_wheel() -> None:
    """They are named one by one, because Plotly's script, which a build writes beside them, must stay out."""
    listed = re.findall(r'"site/assets/([^"]+)" =', (ASSETS.parents[1] / "pyproject.toml").read_text())

    assert sorted(listed) == sorted(path.name for path in ASSETS.iterdir() if not path.match("plotly-*"))


def test_the_theme_is_chosen_before_anything_is_painted(sample: Path) -> None:
    """By a script that nothing stands before, and that is waited for."""
    for name, root in pages(sample).items():
        first = next(node for node in root.one("head").walk() if node.tag in {"script", "link"})
        assert first.get("src").endswith("assets/theme.js"), name
        assert not {"defer", "async"} & first.attributes.keys()
        assert "hidden" in root.one("label", "theme").attributes


def test_a_record_that_lacks_a_rate_is_shown_without_it(tmp_path: Path) -> None:
    """As of a harness that tells the decode rate alone."""
    keys = (CASE, CASE.replace("p64", "p128"))
    kept = [msgspec.structs.replace(make_replicate(1000, 50), samples={"decode_tokens_per_s": (50.0,)})]
    record = make_record(*(make_case(key, replicates=tuple(kept)) for key in keys))

    root = built(tmp_path / "site", [entry(record)]).parent

    for page in (root / "devices.html", *root.glob("lengths/bench/*.html")):
        cells = [cell.text for body in read_html(page.read_text()).all("tbody") for cell in body.all("td")]
        assert "50.00" in " ".join(cells), page
        assert "\N{EN DASH}" in cells, page
    assert [*root.glob("lengths/bench/*.html")]
