"""The faults of `make mutants` still fit the code, so that the long run tries every one."""

from __future__ import annotations

from tests.mutants import MUTANTS, ROOT


def test_every_fault_has_its_text_once_in_the_code_and_a_test_to_notice_it():
    for fault in MUTANTS:
        assert (ROOT / fault.file).read_text(encoding="utf-8").count(fault.old) == 1, f"{fault.file}: {fault.old!r}"
        assert (ROOT / fault.tests.split()[0]).exists(), fault.tests
