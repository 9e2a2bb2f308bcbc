from benchmarks.features.backbones import backbone
from benchmarks.grid.cells import expand
from benchmarks.grid.forecast import forecast
from benchmarks.grid.method_settings import method_spec
from benchmarks.grid.tasks import Task
from datasets import load
from tests.record_factory import make_record

TASK = Task(load("synthetic"), backbone("pixels"))  # 300 training images, 550 in the database
INFO = {"n_query": 10, "n_train": 600, "n_database": 1100, "cutoff": 10}
INFO |= dict.fromkeys(("rule", "relevance", "source", "digest"), "")


def cells(*names, epochs=None, bits=(16,), seeds=1):
    return expand([TASK], [method_spec(name, epochs=epochs) for name in names], bits, seeds)


def measured(method, epochs, fit, rest, bits=16, dataset="synthetic", backbone=TASK.label):
    """A run on twice the data of ours."""
    return make_record(
        dataset=dataset,
        backbone=backbone,
        method=method,
        bits=bits,
        protocol_info=INFO,
        history=[{"loss": 1.0}] * epochs,
        timings={"features": 1e6, "fit": fit, "encode": rest / 2, "evaluate": rest / 2},
    )


def test_a_training_grows_with_epochs_and_images_and_the_rest_with_the_database():
    runs = [measured("cibhash", 10, 400.0, 20.0)]
    todo = cells("cibhash", epochs=30, seeds=2)
    assert "about 20 min of training" in forecast(todo, runs)  # 2 (400 x 3 / 2 + 20 / 2) s
    assert "without extraction" in forecast(todo, runs)


def test_the_closest_kin_is_asked():
    runs = [measured("lsh", 0, 20.0, 0.0), measured("lsh", 0, 200.0, 0.0, bits=32)]
    assert "about 10 s" in forecast(cells("lsh"), runs)
    assert "about 100 s" in forecast(cells("lsh", bits=(32,)), runs)
    assert "about 100 s" in forecast(cells("lsh", bits=(64,)), runs)  # the nearest length
    assert "about 100 s" in forecast(cells("lsh", bits=(24,)), runs)  # of two the longer one
    assert "about 10 s" in forecast(
        cells("lsh"), [*runs, measured("lsh", 0, 9.0, 0.0, dataset="x")]
    )


def test_features_of_another_width_say_nothing_of_ours():
    unknown = "time unknown until the first of them is stored"
    assert forecast(cells("lsh"), [measured("lsh", 0, 20.0, 0.0, backbone="net@128")]) == unknown
    assert forecast(cells("lsh"), [measured("lsh", 0, 20.0, 0.0, dataset="digits")]) == unknown


def test_another_data_set_through_the_same_network_has_features_as_wide():
    net = Task(load("synthetic"), backbone("efficientnet_lite0", 64))
    (cell,) = expand([net], [method_spec("lsh")], (16,), 1)
    run = measured("lsh", 0, 20.0, 0.0, dataset="digits", backbone=net.label)
    assert "about 10 s" in forecast([cell], [run])


def test_what_nobody_has_measured_is_said_and_not_guessed():
    runs = [measured("lsh", 0, 20.0, 0.0)]
    line = forecast(cells("lsh", "nsh", "wch", seeds=2), runs)
    assert "about 20 s" in line
    assert line.endswith("; not measured yet: 4 cells (nsh, wch)")
    assert forecast(cells("nsh"), runs) == "time unknown until the first of them is stored"
