"""Reading a folder of records again: what has not changed is remembered, and every change seen."""

import json
import os
import time

import pytest

from results.store import scan as scan_module
from results.store.store import ResultStore
from tests.record_factory import ARRAYS, fill, make_record


@pytest.fixture
def read(monkeypatch):
    """Names of the records that are read from disk, as they are."""
    names = []
    real = scan_module.read_record
    monkeypatch.setattr(scan_module, "read_record", lambda p: (names.append(p.name), real(p))[1])
    return names


@pytest.fixture
def settled(monkeypatch):
    """Two changes of a file count as told apart by their times at once."""
    monkeypatch.setattr(scan_module, "_SETTLED", -(10**18))


@pytest.fixture
def store(tmp_path):
    store = ResultStore(tmp_path / "out")
    fill(store, [make_record(seed=seed) for seed in range(3)])
    return store


def test_a_second_scan_reads_nothing_that_is_as_it_was(store, read, settled):
    first = store.scan()
    assert len(read) == 3
    assert store.scan() == first
    assert len(read) == 3


def test_a_file_of_this_moment_is_read_again(store, read):
    store.scan()
    store.scan()
    assert len(read) == 6


def in_place(path):
    """Another value of the same length, under the old date."""
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b'"mAP": 0.3', b'"mAP": 0.7'))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def replaced(path):
    other = path.with_name("other")
    other.write_bytes(path.read_bytes().replace(b'"mAP": 0.3', b'"mAP": 0.7'))
    other.replace(path)


@pytest.mark.parametrize("change", [in_place, replaced])
def test_a_record_that_was_changed_is_read_anew(store, settled, change):
    assert [record.metrics["mAP"] for record in store.records()] == [0.3] * 3
    time.sleep(0.02)  # a tick of the clock of files
    change(store.locate(make_record(seed=1)))
    assert [record.metrics["mAP"] for record in store.records()] == [0.3, 0.7, 0.3]


def test_records_come_go_break_and_heal(store, read, settled):
    paths = [store.locate(record) for record in store.records()]
    whole = paths[0].read_bytes()
    paths[0].write_text("{")
    paths[1].unlink()
    store.save(make_record(seed=7), ARRAYS)
    records, (reason,), *_ = store.scan()
    assert [record.seed for record in records] == [2, 7]
    assert paths[0].name in reason
    assert store.scan().skipped == [reason]
    assert len(read) == 3 + 2
    paths[0].write_bytes(whole)
    assert [record.seed for record in store.records()] == [0, 2, 7]


def test_failures_and_other_schemas_are_noticed_too(store, settled):
    failed = store.mark_failed(make_record(seed=5), kind="method", error="broken")
    assert [failure.error for failure in store.failures()] == ["broken"]
    failed.write_text(json.dumps(json.loads(failed.read_text()) | {"error": "worse"}))
    assert [failure.error for failure in store.failures()] == ["worse"]
    failed.unlink()
    old = store.locate(make_record(seed=0))
    old.write_text(json.dumps(json.loads(old.read_text()) | {"schema": 1}))
    scan = store.scan()
    assert (scan.failures, len(scan.records)) == ([], 2)
    assert scan.outdated == store.scan().outdated
    assert "1 record of schema 1" in scan.outdated[0]


def test_a_disk_that_failed_once_is_asked_again(store, settled, monkeypatch):
    def fails(path):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(scan_module, "read_record", fails)
        assert [reason.split(": ")[1] for reason in store.scan().skipped] == [
            "Input/output error"
        ] * 3
    assert len(store.records()) == 3


def test_a_scan_of_some_tables_keeps_what_cannot_be_read(store):
    fill(store, [make_record(dataset="other")])
    store.mark_failed(make_record(dataset="other", bits=8), kind="method", error="broken")
    store.locate(make_record(seed=2)).write_text("{")
    scan = store.scan()
    table = make_record().table
    records, skipped, failures, _ = scan.of({table})
    assert [record.seed for record in records] == [0, 1]
    assert (skipped, failures) == (scan.skipped, [])
    assert len(scan.failures) == 1
