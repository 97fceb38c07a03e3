# SPDX-License-Identifier: Apache-2.0
"""The generated ``Verdict`` is the header's enum, and the generator refuses a header that breaks its form."""

from pathlib import Path

import pytest

from build_steps import verdicts as generator
from cloudfabric._fastpath.verdicts import VERDICT_COUNT, Category, Verdict

ROOT = Path(__file__).parents[2]


def test_verdicts_are_dense_and_counted() -> None:
    assert [verdict.value for verdict in Verdict] == list(range(VERDICT_COUNT))


@pytest.mark.parametrize(
    ("verdict", "category", "text"),
    [
        (Verdict.PASS, Category.PASS, "not the fabric's, left to the host's own stack"),
        (Verdict.SENT_DIRECT, Category.FORWARD, "encapsulated to the learnt host"),
        (Verdict.LEARNT, Category.EVENT, "a direct path was learnt or changed"),
        (Verdict.DROP_NO_ROUTE, Category.DROP, "no subnet of the VPC holds the destination"),
    ],
)
def test_category_and_text_are_the_header_comment(verdict: Verdict, category: Category, text: str) -> None:
    assert (verdict.category, verdict.text) == (category, text)


def test_every_drop_is_named_so() -> None:
    for verdict in Verdict:
        assert (verdict.category is Category.DROP) == verdict.name.startswith("DROP_")


def test_installed_module_is_what_the_header_generates() -> None:
    header = (ROOT / generator.HEADER).read_text(encoding="utf-8")
    parsed = {entry.name: entry.value for entry in generator.parse(header)}
    assert parsed == {verdict.name: verdict.value for verdict in Verdict}


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ("CF_PASS = 0,", "must be `CF_NAME = number"),
        ("CF_PASS = 0, /* lost: x */\nCF_VERDICT_COUNT = 1,", "category must be one of"),
        ("CF_PASS = 1, /* pass: x */\nCF_VERDICT_COUNT = 1,", "values are dense: expected 0"),
        ("CF_PASS = 0, /* pass: x */\nCF_VERDICT_COUNT = 2,", "must be the number of verdicts, 1"),
        ("CF_PASS = 0, /* pass: x */", "missing"),
    ],
)
def test_header_that_breaks_the_form_is_refused(body: str, rule: str) -> None:
    with pytest.raises(generator.HeaderError, match=rule):
        generator.parse(f"enum cf_verdict {{\n{body}\n}};")


def test_header_without_the_enum_is_refused() -> None:
    with pytest.raises(generator.HeaderError, match=r"enum cf_verdict.*not found"):
        generator.parse("enum other { A };")
