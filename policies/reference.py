"""Every control as words: the page `docs/reference/controls.md`, and one control for `slipway explain`."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from policies import pack
from policies.control import FAMILIES, Control
from policies.example import python

PATH: Final = Path(__file__).parents[1] / "docs" / "reference" / "controls.md"
_INTRO: Final = """\
# Controls

Generated from `policies/controls` by `make schema`; do not edit. `slipway explain ID` says the same.

Each control answers *pass*, *fail* or *undecided*: what a preview cannot know yet is never taken for a pass.
In the examples the resource that is judged is called `it`; the bad one fails and the good one passes in the
tests of the pack, as they are written here, and so do variants with each input left out, unknown or secret.
"""
_CATALOGUES: Final = ("security_hub", "cis", "cdk_nag", "checkov")


def find(word: str) -> list[Control]:
    """The controls that a word means: an id, or an id of another catalogue (`RDS.3`, `CKV_AWS_16`)."""
    wanted = word.casefold().removeprefix("security hub ").removeprefix("cis aws ")
    found: list[Control] = []
    for control in pack.controls():
        ids = [control.id, *(each for ids in control.frameworks.by_name().values() for each in ids)]
        if wanted in (each.casefold() for each in ids):
            found.append(control)
    return found


def nearest(word: str) -> list[Control]:
    """The controls whose ids look most like a word that is none, or whose titles hold it."""
    controls = {control.id: control for control in pack.controls()}
    titled = [control for control in controls.values() if word.casefold() in control.title.casefold()]
    ids = difflib.get_close_matches(word.upper(), list(controls), n=3, cutoff=0.7)
    return [*(controls[each] for each in ids), *titled][:5]


def document(control: Control) -> dict[str, Any]:
    """All of a control, for a script."""
    return {
        "id": control.id,
        "title": control.title,
        "severity": control.severity,
        "family": control.family,
        "frameworks": control.frameworks.by_name(),
        "applies_to": list(control.applies_to),
        "waivable": control.waivable,
        "absent": control.absent,
        "rationale": control.rationale,
        "remediation": control.remediation,
        "bad": snippet(control.bad),
        "good": snippet(control.good),
        "references": list(control.references),
    }


def snippet(examples: Sequence[Any]) -> str:
    """The first example, as a program."""
    return python(examples[0]) if examples else ""


def page() -> str:
    """The whole page."""
    controls = pack.controls()
    lines = [_INTRO, f"There are {len(controls)}.", ""]
    lines += ["| control | title | severity | family | Security Hub | CIS AWS | cdk-nag | checkov |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    lines += [_row(control) for control in sorted(controls, key=_order)]
    for control in sorted(controls, key=_order):
        lines += ["", *_section(control)]
    return "\n".join(lines) + "\n"


def _order(control: Control) -> tuple[int, str]:
    return FAMILIES.index(control.family), control.id


def _row(control: Control) -> str:
    names = control.frameworks.by_name()
    cells = ["<br>".join(names.get(catalogue, [])) for catalogue in _CATALOGUES]
    link = f"[{control.id}](#{control.id.lower()})"
    return f"| {' | '.join([link, control.title, control.severity, control.family, *cells])} |"


_ABSENT: Final = {
    "fail": "fails",
    "pass": "passes: AWS's default is what the control asks for",
    "undecided": "is undecided",
    "silent": "is not judged",
}


def _section(control: Control) -> list[str]:
    lines = [f"## {control.id}", "", f"**{control.title}** ({control.severity}, {control.family})", ""]
    lines += [control.rationale, "", f"Fix: {control.remediation}.", ""]
    if not control.waivable:
        lines += ["This control cannot be waived.", ""]
    for title, examples in (("Bad", control.bad), ("Good", control.good)):
        if examples:
            lines += [f"{title}:", "", "```python", snippet(examples), "```", ""]
    lines += [f"A resource that says nothing about it {_ABSENT[control.absent]}.", ""]
    if control.applies_to:
        lines += ["Applies to " + ", ".join(f"`{type_}`" for type_ in control.applies_to) + ".", ""]
    if control.references:
        lines += [f"- <{reference}>" for reference in control.references] + [""]
    return lines[:-1]


def main() -> int:
    """Write the page."""
    PATH.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"docs/reference/{PATH.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
