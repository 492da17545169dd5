"""What is composed without a template is what a template gives, of anything that a record can hold."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from factories import (
    CASE,
    make_artifact,
    make_broken,
    make_case,
    make_environment,
    make_import,
    make_record,
    make_replicate,
    sha,
)
from jinja2 import Environment
from site_entries import HOSTILE, entry, judged, later, series, slow

from regress.artifact import Kernel
from regress.decision import Decision
from regress.recipe import FLAGS
from regress.record import Package
from regress.replicate import Discarded
from regress.site import parts
from regress.site.facts import Said
from regress.site.render import _FILTERS, _GLOBALS
from regress.site.rows import rows
from regress.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regress.site.series import Series

PACKAGES = """\
{% for package in found %}
          <tr><th scope="row">{{ package.name }}</th><td>{{ package.version }}</td><td>\
{% for sha256 in package.sha256 %}{{ sha256 | digest }} {% else %}{{ nothing }}{% endfor %}</td></tr>
{% endfor %}
"""
KERNELS = """\
{% for kernel in found %}
        <li><code>{{ kernel.name }}</code> {{ kernel.sha256 | digest }}</li>{% if not loop.last %}{{ "\n" }}{% endif %}
{% endfor %}
"""
SETTINGS = """\
{% for name, setting in found | dictsort %}\
<code>{{ name }}={{ setting }}</code>{% if not loop.last %} {% endif %}\
{% endfor %}"""
SAID = """\
{% if found.metric is not none and found.loss is not none and found.tolerance is not none %}\
{{ found.metric | metric_label }} {{ found.loss | change }}\
{% if found.outcome == "inconclusive" %}, {{ found.reason | replace("_", " ") }}{% endif %} \
<span class="note">tolerance {{ found.tolerance | percent }}\
{% if found.visible_loss is not none %}, smallest visible loss {{ found.visible_loss | percent }}{% endif %}</span>\
{% else %}{{ found.text }}{% endif %}"""
VERDICTS = """\
{% for verdict in found %}
      <li>{{ badge(verdict.outcome) }} <span>{{ verdict.text }}
{% set decision = verdict.decision %}
{% if decision %}
<span class="note">{{ decision.form | replace("_", " ") }}, {{ decision.replicates }} replicates\
{% if decision.confirming %} and {{ decision.confirming }} to confirm{% endif %}\
{% if decision.baseline_replicates %} against {{ decision.baseline_replicates }} of {{ decision.sessions }} sessions\
{% endif %}\
{% if decision.sd is not none %}, standard deviation {{ decision.sd | percent }}{% endif %}\
{% if decision.session_sd %}, {{ decision.session_sd | percent }} between sessions{% endif %}\
{% if decision.p_value is not none %}, p = {{ "%.2g" | format(decision.p_value) }}{% endif %}</span>
{% endif %}
</span></li>{% if not loop.last %}{{ "\n" }}{% endif %}
{% endfor %}
"""
ROWS = """\
{% for point in found.points %}
        <tr{% if point.case.fault %} class="failed"{% endif %}>
          <th scope="row">{% if point.run.id in paged %}<a href="../../{{ point.run | run_url }}">{{ point.label }}</a>\
{% else %}{{ point.label }}{% endif %} <span class="note">{{ time(point.run.recorded_at) }}</span>\
{% if not point.usual %}<span class="note">other build flags: {{ settings(found.other_flags(point)) }}</span>\
{% endif %}\
{% if point.segment != found.newest.segment and not point.run.imported %}\
<span class="note">another machine, harness or weights than now</span>{% endif %}\
{% if point.run.reference_run %}<span class="note">in turn with its reference</span>{% endif %}</th>
{% if point.case.fault %}
          <td colspan="5">{{ badge("broken") }} \
<span class="cause">{{ point.case.fault.stage }} failed, {{ point.case.fault.how }}</span> \
<code>{{ point.case.fault.cause }}</code></td>
{% else %}
{% for metric in ("prefill_tokens_per_s", "decode_tokens_per_s") %}
          <td class="number">{{ (alone if point.run.imported else value)(point.value(metric)) }}</td>
{% endfor %}
          <td class="number">{% set energy = point.value("energy_per_token_j") %}\
{% if energy %}{{ energy.median | cell("J") }}{% else %}{{ nothing }}{% endif %}</td>
          <td class="number">{% set roofline = point.value("roofline_fraction") %}\
{% if roofline %}{{ roofline.median | percent }}{% else %}{{ nothing }}{% endif %}\
{% if point.case.discarded %}<span class="note">{{ point.case.discarded }}</span>{% endif %}</td>
          <td>{% if point.outcome %}<ul class="verdicts">{% for verdict in point.case.said %}\
{% if verdict.outcome != "pass" or verdict.metric %}<li>{{ badge(verdict.outcome) }} <span>{{ said(verdict) }}</span>\
</li>{% endif %}{% endfor %}</ul>\
{% elif point.run.imported %}<span class="quiet">imported, not judged</span> \
<span class="note">{{ point.run.imported }}</span>{% else %}<span class="quiet">not judged</span>{% endif %}</td>
{% endif %}
        </tr>{% if not loop.last %}{{ "\n" }}{% endif %}
{% endfor %}
"""


@cache
def environment() -> Environment:
    """The site's, but for where its templates are."""
    made = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    made.filters.update(_FILTERS)
    made.globals.update(_GLOBALS)
    return made


def templated(template: str, found: Any, **more: object) -> str:  # noqa: ANN401  # what the template takes
    """What the template gives of something."""
    return environment().from_string(template).render(found=found, **more)


def test_packages_are_written_as_by_a_template() -> None:
    wheels = (sha("one"), sha("two"))
    found = (Package(name=HOSTILE, version=HOSTILE, sha256=(HOSTILE, *wheels)), Package(name="numpy", version="2"))

    assert parts.packages(found) == templated(PACKAGES, found)
    assert parts.packages(()) == ""


def test_kernels_are_written_as_by_a_template() -> None:
    found = (Kernel(name=HOSTILE, sha256=sha("one")), Kernel(name="matmul", sha256=sha("two")))

    assert parts.kernels(found) == templated(KERNELS, found)


def test_lists_that_differ_in_one_digest_are_told_apart() -> None:
    """What was written once is written again for the same list alone."""
    one, other = ((Kernel(name="matmul", sha256=sha(text)),) for text in ("one", "other"))

    assert parts.kernels(one) == parts.kernels(msgspec.json.decode(msgspec.json.encode(one), type=tuple[Kernel, ...]))
    assert sha("other") in parts.kernels(other)
    assert sha("one") not in parts.kernels(other)


def test_flags_are_written_as_by_a_template() -> None:
    for flags in ({"b": HOSTILE, "A": "1", HOSTILE: "0", "a": "2"}, {"b": "1"}, {}):
        assert parts.settings(flags) == templated(SETTINGS, flags)


def said(**changes: Any) -> Said:  # noqa: ANN401  # whatever the fields hold
    """Of a rate that was lost, with all numbers."""
    numbers = {"metric": "decode_tokens_per_s", "loss": 0.2, "tolerance": 0.05, "visible_loss": 0.03}
    return Said(**{"outcome": "regressed", "reason": "slower", "text": HOSTILE, **numbers, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": -0.1, "outcome": "improved"},
        {"visible_loss": None},
        {"outcome": "inconclusive", "reason": f"too_noisy_{HOSTILE}"},
        {"metric": HOSTILE},
        {"metric": None},
        {"loss": None},
        {"tolerance": None},
    ],
)
def test_what_was_said_is_written_as_by_a_template(changes: dict[str, Any]) -> None:
    assert parts.said(said(**changes)) == templated(SAID, said(**changes))


def decisions() -> Iterator[Decision | None]:
    """With all numbers, without each, and none."""
    numbers = {
        "confirming": 4,
        "baseline_replicates": 9,
        "sessions": 3,
        "sd": 0.01,
        "session_sd": 0.02,
        "p_value": 1e-9,
    }
    known = {"form": "against_runs", "outcome": "pass", "reason": "decided", "tolerance": 0.05, "replicates": 5}
    for left_out in (None, *numbers):
        kept = {name: value for name, value in numbers.items() if name != left_out}
        yield Decision(**known, **kept)  # type: ignore[arg-type]
    yield None


def test_verdicts_are_written_as_by_a_template() -> None:
    found = [
        Verdict(case=CASE, outcome="pass", reason="no_loss", text=HOSTILE, decision=each)  # type: ignore[arg-type]
        for each in decisions()
    ]

    assert parts.verdicts(found) == templated(VERDICTS, found)


def every_kind_of_run() -> Series:
    """A series with a run of each kind that a row tells apart."""
    elsewhere = make_environment(fingerprint=sha("elsewhere"))
    tried = make_artifact(flags={**FLAGS, "cuda_graph": HOSTILE})
    full = {
        "prefill_tokens_per_s": (1000.0,),
        "decode_tokens_per_s": (50.0,),
        "energy_per_token_j": (0.5,),
        "roofline_fraction": (0.6,),
    }
    measured = msgspec.structs.replace(make_replicate(1, 1), samples=full)
    held = Discarded(started_at=measured.started_at, reason="throttled", text=HOSTILE)
    broken = make_broken(stage="bench", cause=HOSTILE, how=HOSTILE)
    return series(
        entry(later(0, environment=elsewhere)),
        entry(later(1)),
        judged(later(2)),
        judged(later(3, slow())),
        judged(later(4, broken)),
        entry(later(5, make_case(artifact=tried))),
        entry(later(6, make_case(replicates=(measured,), discarded=(held,)))),
        entry(make_record(at=later(7).recorded_at, toolchain="tvm-0.28.0")),
        make_import(at=later(8).recorded_at),
    )


def test_rows_are_written_as_by_a_template() -> None:
    found = every_kind_of_run()
    hostile = [msgspec.structs.replace(point, label=HOSTILE) for point in found.points]
    paged = {point.run.id for point in found.points[::2]}

    for each in (found, replace(found, points=tuple(hostile))):
        assert rows(each, each.points, paged, "../../") == templated(ROWS, each, paged=paged)


def test_the_rows_have_all_kinds_in_them() -> None:
    """Else the test above would compare less than it says."""
    text = rows(every_kind_of_run(), every_kind_of_run().points, (), "../../")

    for kind in (
        "another machine",
        "in turn with",
        "not judged</span>",
        "✓",
        "▼",
        'class="failed"',
        "other build flags",
        "60%",
        "0.5 J",
        "throttled",
        "imported, not judged",
    ):
        assert kind in text, kind
