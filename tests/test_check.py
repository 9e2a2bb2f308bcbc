"""Every check of the contract is tripped by a method that breaks it, and says so to its author."""

import pytest

from benchmarks.contract import CODES, DECLARATIONS, LOSS, checks_of, fault_of, title
from benchmarks.grid.find_method import load_class
from methods.check import main
from methods.lsh import LSH
from tests.broken_methods import BROKEN

CHECKS = {check.__name__: check for check in DECLARATIONS + LOSS + CODES}


@pytest.mark.parametrize(("check", "cls", "words"), BROKEN)
def test_broken_method_is_told_what_fails(check, cls, words):
    assert CHECKS[check] in checks_of(cls)
    fault = fault_of(CHECKS[check], cls)
    assert fault is not None
    assert "\n" not in fault
    for word in words:
        assert word in fault


def test_every_check_is_tripped_by_something():
    tripped = {case.values[0] for case in BROKEN}
    assert set(CHECKS) - tripped == {"no_data_set_is_imported"}  # below


@pytest.mark.parametrize(
    "line",
    [
        "import datasets",
        "from datasets.sources.cifar import load_cifar10",
        "def late(): import datasets.base",
    ],
)
def test_a_file_that_imports_data_sets_is_told(tmp_path, line):
    source = "from methods.lsh import LSH\nclass X(LSH):\n    pass\n"
    check = CHECKS["no_data_set_is_imported"]
    (tmp_path / "mine.py").write_text(source)
    assert fault_of(check, load_class(f"{tmp_path}/mine.py:X")) is None
    (tmp_path / "mine.py").write_text(source + line)
    fault = fault_of(check, load_class(f"{tmp_path}/mine.py:X"))
    assert fault.startswith("the file imports datasets; take what fit is given")


@pytest.mark.parametrize("name", ["lsh", "cibhash", "methods.kl_hash:KLHashCaptions"])
def test_methods_of_ours_pass_with_one_line_a_check(capsys, name):
    assert main([name]) == 0
    head, *lines, last = capsys.readouterr().out.splitlines()
    assert head.startswith(f"{name}, called ")
    assert all(line.startswith("ok      ") for line in lines)
    assert last == f"{len(lines)} checks passed"
    assert len(lines) >= 17


LEAVES = """
from methods.cibhash import CIBHash
class Leaves(CIBHash):
    def {part}(self, *given, **named):
        exit(0)
"""


@pytest.mark.parametrize("part", ["__init__", "loss", "project"])
def test_a_method_that_ends_the_process_fails_and_the_other_checks_go_on(tmp_path, capsys, part):
    (tmp_path / "leaves.py").write_text(LEAVES.format(part=part))
    assert main([f"{tmp_path}/leaves.py:Leaves"]) == 1
    out = capsys.readouterr().out
    assert "ExitError: raised SystemExit(0), which would end the whole process" in out
    assert "(leaves.py, line 5)" in out
    assert out.splitlines()[-1].endswith(" checks failed")


def test_failures_are_counted_and_set_the_exit_code(capsys):
    assert main(["tests.broken_methods:ReturnsNothing", "lsh"]) == 1
    out = capsys.readouterr().out
    assert "FAILED  fit returns the method itself: fit returned NoneType" in out
    assert "1 of 19 checks failed" in out
    assert "19 checks passed" in out


def test_a_method_that_cannot_be_had_is_one_line_and_exit_code_2(capsys):
    assert main(["absent.py:X"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: absent.py: No such file")
    assert error.count("\n") == 1


def test_errors_of_the_method_carry_its_line():
    class Fails(LSH):
        def project(self, x):
            return x @ x

    fault = fault_of(CHECKS["chunks_do_not_change_codes"], Fails)
    assert fault.startswith("RuntimeError: ")
    assert "(test_check.py, line " in fault


def test_names_of_checks_read_as_sentences():
    assert title(DECLARATIONS[0]) == "paper is named with a link"


def test_device_check_leaves_operations_on_numbers_to_a_real_device():
    class Counts(LSH):
        def project(self, x):
            return super().project(x) + x.new_zeros(len(x[:, 0].unique()) * 0 or 1)

    assert fault_of(CHECKS["nothing_stays_behind_on_a_device_move"], Counts) is None
