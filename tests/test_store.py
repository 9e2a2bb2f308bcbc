import json
from dataclasses import replace
from functools import reduce
from pathlib import Path

import numpy as np
import pytest

from results.analysis.frames import runs_frame
from results.store.files import write_atomic
from results.store.planned_grid import read_plan, write_plan
from results.store.record import SCHEMA
from results.store.run_key import Address, folder_name
from results.store.store import ResultStore, StoreError
from tests.record_factory import ARRAYS, curve, fill, make_record


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path / "out")


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_saved_record_reads_back_equal_with_its_arrays(store):
    record = make_record(curves=curve(16), history=[{"nt_xent": 1.5, "kl": 2}])
    path = store.save(record, ARRAYS)
    assert path == store.locate(record)
    assert store.read(path) == record
    arrays = store.arrays(path)
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def test_arrays_with_gaps_and_other_order_keep_their_values(store):
    wide = np.arange(24, dtype=np.int64).reshape(4, 6)
    path = store.save(make_record(), {"every_other": wide[:, ::2], "turned": wide.T})
    np.testing.assert_array_equal(store.arrays(path)["every_other"], wide[:, ::2])
    np.testing.assert_array_equal(store.arrays(path)["turned"], wide.T)


def test_the_path_follows_the_contract(store):
    record = make_record(backbone="timm:vgg16@224", method="nsh(tau=1)", digest="c0ffee12" * 8)
    expected = store.root / "runs/digits/300-1497/timm_vgg16@224/nsh/16-0-c0ffee12.json"
    assert store.locate(record) == expected


@pytest.mark.parametrize("name", ["..", ".", "", "../../etc", "a/b", "a\\b", "a\nb"])
def test_no_name_leaves_its_folder(name):
    safe = folder_name(name)
    assert Path(safe).parts == (safe,)
    assert safe not in ("", ".", "..")


def test_a_stored_cell_is_not_overwritten_and_both_ways_out_are_named(store):
    record = make_record()
    path = store.save(record, ARRAYS)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"--force.*--out"):
        store.save(replace(record, metrics={"mAP": 0.9}), ARRAYS)
    assert path.read_bytes() == before
    store.save(replace(record, metrics={"mAP": 0.9}), ARRAYS, force=True)
    assert store.read(path).metrics == {"mAP": 0.9}


def test_has_needs_a_readable_record_of_the_same_digest_and_its_arrays(store):
    record = make_record()
    assert not store.has(record)
    path = store.save(record, ARRAYS)
    assert store.has(record)
    assert not store.has(replace(record, digest=record.digest[:8] + "0" * 56))
    path.with_suffix(".safetensors").rename(store.root / "elsewhere")
    assert not store.has(record)


def test_a_record_that_cannot_be_read_is_replaced(store):
    record = make_record()
    path = store.save(record, ARRAYS)
    path.write_text("{")
    assert not store.has(record)
    store.save(record, ARRAYS)
    assert store.read(path) == record


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"metrics": {"mAP": 0.1, "P@100": float("nan")}}, r"metrics\['P@100'\].*nan"),
        ({"metrics": {"mAP": float("inf")}}, r"metrics\['mAP'\]"),
        ({"metrics": {"mAP": np.float32(0.5)}}, r"metrics\['mAP'\]"),
        ({"metrics": {"mAP": True}}, r"metrics\['mAP'\]"),
        ({"metrics": {"mAP": 10**400}}, r"metrics\['mAP'\]: expected a finite number, got 10"),
        ({"history": [{"a": 1e308, "b": 1e308}]}, r"epoch 1\['a'\]: expected a finite number"),
        ({"bits": 2**63, "curves": {}}, "bits: expected a whole number from 0 to"),
        ({"seed": 2**63}, "seed: expected a whole number from 0 to"),
        ({"method": "m\ud800"}, "method: expected text"),
        ({"method": "m\x1b[2J"}, "method: expected text"),
        ({"dataset": "x" * 501}, "dataset: expected text of up to 500"),
        ({"metrics": {"\ud800": 1.0}}, r"metrics\['\\ud800'\]"),
        ({"history": [{"\ud800": 1.0}]}, r"history of epoch 1\['\\ud800'\]"),
        ({"settings": {"x": "\ud800"}}, "settings.x: expected text"),
        ({"settings": {"x": reduce(lambda x, _: {"a": x}, range(30), 1)}}, "at most 20 levels"),
        ({"curves": {"bits": {}}}, "curves.bits.bit: expected 16 points, got 0"),
        ({"curves": {"distances": {"pairs": [1.0] * 17}}}, "distances.relevant: expected 17"),
        ({"curves": {"cutoffs": {"n": [1.0], "precision": [1.0]}}}, "cutoffs.recall: expected"),
        ({"curves": {"loss": {"x": [10**400]}}}, r"curves.loss\['x'\]"),
        ({"metrics": {}}, "at least one"),
        ({"timings": {"fit": None}}, r"timings\['fit'\]"),
        ({"cpu_timings": {"fit": None}}, r"cpu_timings\['fit'\]"),
        ({"history": [{"loss": 1.0}, {"loss": float("nan")}]}, r"epoch 2\['loss'\]"),
        ({"history": {"loss": 1.0}}, "history: expected a list"),
        ({"curves": {"loss": {"x": [1.0, float("nan")]}}}, r"curves.loss\['x'\]"),
        ({"curves": {"loss": {"x": [1.0, "2"]}}}, r"curves.loss\['x'\]"),
        ({"curves": {"loss": {"x": [1.0], "y": []}}}, "differ in length"),
        ({"curves": curve(8)}, "expected 17 points"),
        ({"curves": {"loss": [1.0]}}, r"curves\['loss'\]"),
        ({"settings": {"lr": [0.1, float("nan")]}}, r"settings.lr\[1\]"),
        ({"settings": {"net": {"width": np.int64(3)}}}, "settings.net.width"),
        ({"settings": {1: 2}}, "settings: expected names"),
        ({"settings": []}, "settings: expected a dict"),
        ({"protocol_info": {"n_query": 1}}, "protocol_info.n_train"),
        ({"versions": {"numpy": 2}}, r"versions\['numpy'\]"),
        ({"peak_memory_mib": float("nan")}, "peak_memory_mib"),
        ({"digest": "xyz"}, "digest"),
        ({"digest": "A" * 64}, "digest"),
        ({"bits": 0}, "bits"),
        ({"bits": 16.0}, "bits"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**53 + 1}, "seed: expected a whole number from 0 to 9007199254740992, got 9"),
        ({"bits": 10**20}, "bits: expected a whole number from 0 to"),
        ({"trained_with": [0, 2**53 + 1]}, "trained_with"),
        ({"method": " "}, "method"),
        ({"kind": "other"}, "kind"),
        ({"device": None}, "device"),
        ({"created": "yesterday"}, "created"),
        ({"created": "2026-01-02T03:04:05"}, "created.*UTC"),
        ({"created": "2026-01-02T03:04:05+02:00"}, "created.*UTC"),
        ({"schema": SCHEMA + 1}, "schema"),
    ],
)
def test_a_record_that_breaks_the_schema_is_refused_by_name_and_leaves_nothing(
    store, changes, named
):
    record = make_record(**changes)
    with pytest.raises(StoreError, match=named) as caught:
        store.save(record, ARRAYS)
    assert "\n" not in str(caught.value)
    assert not list(store.root.rglob("*.*"))


def test_nan_in_a_file_is_refused(store):
    path = store.save(make_record(), ARRAYS)
    path.write_text(path.read_text().replace("0.3", "NaN"))
    with pytest.raises(StoreError, match="NaN"):
        store.read(path)


def test_a_failure_of_an_unknown_kind_is_left_out(store):
    store.mark_failed(make_record(), kind="other", error="broken")
    assert "kind: expected one of method, captions" in store.scan().skipped[0]


def test_a_record_in_the_folder_of_another_cell_is_refused(store):
    path = store.save(make_record(), ARRAYS)
    moved = path.with_name(path.name.replace("16-0", "32-0"))
    path.rename(moved)
    with pytest.raises(StoreError, match=r"belongs at .*16-0"):
        store.read(moved)


def test_a_seed_that_no_table_holds_keeps_no_other_record_from_being_read(store):
    good = store.save(make_record(seed=2**53), ARRAYS)
    huge = good.with_name(good.name.replace(str(2**53), str(10**20)))
    huge.write_text(good.read_text().replace(str(2**53), str(10**20)))
    assert [record.seed for record in store.records()] == [2**53]
    (reason,) = store.scan().skipped
    assert "seed: expected a whole number from 0 to 9007199254740992, got 1e+20" in reason
    failed = store.mark_failed(make_record(seed=3), kind="method", error="broken")
    edit(failed, seed=10**20)
    assert store.failures() == []
    assert set(runs_frame(store.records())["seed"]) == {2**53}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"bits": "16"}, "bits: got '16'"),
        ({"digest": 7}, "digest: got 7"),
        ({"method": None}, "method: got None"),
        ({"more": 1}, "more"),
    ],
)
def test_a_plan_that_was_edited_is_refused_in_one_line(store, damage, words):
    cell = Address("digits", "300-1497", "pixels", "lsh", 16, 0, "ab" * 32)
    write_plan(store, [cell])
    assert read_plan(store) == [cell]
    (store.root / "plan.json").write_text(json.dumps([vars(cell) | damage]))
    with pytest.raises(StoreError, match=rf"plan\.json: damaged .*{words}"):
        read_plan(store)
    (store.root / "plan.json").write_text("[" * 100_000)
    with pytest.raises(StoreError, match=r"plan\.json: damaged"):
        read_plan(store)


def test_bad_files_are_named_and_the_others_are_read(store):
    good, *bad = fill(store, [make_record(seed=seed) for seed in range(7)])
    bad[0].write_text("{")
    edit(bad[1], schema="0")
    edit(bad[2], metrics={"mAP": "high"})
    bad[3].write_bytes(b"\xff\xfe\x00")
    bad[4].write_text("[" * 100_000)
    data = json.loads(bad[5].read_text())
    data["extra"] = 1
    bad[5].write_text(json.dumps(data))
    records, skipped, failures, outdated = store.scan()
    assert [store.locate(record) for record in records] == [good]
    assert (failures, outdated) == ([], [])
    assert len(skipped) == len(bad)
    for path, reason in zip(sorted(bad), sorted(skipped), strict=True):
        assert reason.startswith(path.relative_to(store.root).as_posix())
        assert "\n" not in reason
    assert any(f"schema: expected {SCHEMA}, got '0'" in reason for reason in skipped)
    assert any("'extra' is unknown" in reason for reason in skipped)


def test_an_absent_store_is_empty(store):
    assert not any(store.scan())
    assert store.records() == []


def test_missing_and_corrupt_arrays_are_named(store):
    path = store.save(make_record(), ARRAYS)
    path.with_suffix(".safetensors").write_bytes(b"broken")
    with pytest.raises(StoreError, match=r"16-0-\w+\.safetensors"):
        store.arrays(path)
    path.with_suffix(".safetensors").unlink()
    with pytest.raises(StoreError, match="No such file"):
        store.arrays(path)


def test_a_crash_before_the_commit_point_leaves_no_record(store, monkeypatch):
    def crash(path, content):
        if path.suffix == ".json":
            raise OSError(28, "No space left on device")
        write_atomic(path, content)

    monkeypatch.setattr("results.store.store.write_atomic", crash)
    record = make_record()
    with pytest.raises(StoreError, match="No space left"):
        store.save(record, ARRAYS)
    assert store.locate(record).with_suffix(".safetensors").exists()
    assert not store.has(record)
    assert not any(store.scan())


def test_an_interrupted_write_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch):
    target = tmp_path / "file"
    write_atomic(target, b"old")

    def crash(number):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_unwritable_folder_is_one_line_with_the_way_out(tmp_path):
    (tmp_path / "out").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"cannot be written.*--out") as caught:
        ResultStore(tmp_path / "out").check_writable()
    assert "\n" not in str(caught.value)


def test_check_writable_leaves_no_file(store):
    store.check_writable()
    assert list(store.runs.iterdir()) == []


def test_a_failed_cell_is_listed_until_it_is_saved(store):
    record = make_record(method="nsh(tau=1)")
    path = store.mark_failed(record, kind="method", error="loss is\nnot finite", traceback="Trace")
    assert path.name == f"16-0-{record.digest[:8]}.failed.json"
    (failure,) = store.failures()
    assert (failure.error, failure.traceback) == ("loss is not finite", "Trace")
    assert failure.method == "nsh(tau=1)"
    assert store.records() == []
    store.save(record, ARRAYS)
    assert not path.exists()


def test_a_stored_cell_has_not_failed(store, monkeypatch):
    record = make_record()
    store.save(record, ARRAYS)
    assert not store.mark_failed(record, kind="method", error="broken").exists()

    def save_meanwhile(path, content):
        write_atomic(path, content)
        monkeypatch.undo()
        store.save(other, ARRAYS)

    other = make_record(seed=1)
    monkeypatch.setattr("results.store.store.write_atomic", save_meanwhile)
    assert not store.mark_failed(other, kind="method", error="broken").exists()
    assert store.failures() == []


def test_a_later_record_of_another_digest_clears_a_failure(store):
    old = make_record(settings={"source": "old"})
    store.mark_failed(old, kind="method", error="broken")
    before = make_record(settings={"source": "older"}, created="2000-01-01T00:00:00+00:00")
    store.save(before, ARRAYS)
    assert len(store.failures()) == 1
    store.save(make_record(created="2999-01-01T00:00:00+00:00"), ARRAYS)
    assert store.failures() == []


def test_a_corrupt_failure_is_skipped_by_name(store):
    path = store.mark_failed(make_record(), kind="method", error="broken")
    edit(path, bits="16")
    assert store.failures() == []
    assert "bits" in store.scan().skipped[0]
    path.write_text(f'{{"schema": {SCHEMA}}}')
    assert "missing" in store.scan().skipped[0]


def test_records_and_failures_of_other_schemas_are_refused_in_one_line(store):
    fill(store, [make_record(seed=seed) for seed in range(4)])
    for seed, schema in ((1, 3), (2, 2), (3, SCHEMA + 1)):
        edit(store.locate(make_record(seed=seed)), schema=schema, metrics="of another form")
    old = store.mark_failed(make_record(seed=4), kind="method", error="broken")
    data = json.loads(old.read_text())
    del data["schema"], data["kind"]  # as failures were up to schema 3
    old.write_text(json.dumps(data))
    records, skipped, failures, outdated = store.scan()
    assert [record.seed for record in records] == [0]
    assert (skipped, failures) == ([], [])
    (line,) = outdated
    assert line.startswith(f"4 records of schema 2 and 3 and {SCHEMA + 1} under {store.runs}: ")
    assert f"--out, or remove {store.runs}" in line
    assert "\n" not in line
