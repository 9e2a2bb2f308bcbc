"""The fused CUDA kernel against the oracle: on a GPU, and in Triton's interpreter without one."""

import importlib.util
import sys

import numpy as np
import pytest
import torch

from benchmarks.evaluation.counters.any_device import count_torch
from benchmarks.evaluation.counters.choice import backend
from benchmarks.evaluation.packing import PackedBits
from tests.plain_counts import count_numpy

triton = pytest.importorskip(
    "triton", reason="needs Triton, which comes with a CUDA build of torch"
)

CASES = [(1, 1, 10), (16, 10, 1500), (33, 80, 1025), (128, 1, 0), (1024, 1024, 70)]


def problem(bits, classes, n):
    rng = np.random.default_rng(bits)
    sizes = [(3, bits), (3, classes), (n, bits), (n, classes)]
    problem = [rng.random(size) < 1.5 / min(size[1], 3) for size in sizes]
    problem[2][: min(n, 1)] = ~problem[0][0]  # the farthest that an item can be
    return [PackedBits.of(matrix) for matrix in problem]


@pytest.fixture
def interpreted(monkeypatch):
    """The module with its kernels interpreted on the CPU: a copy, for that is settled on import."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    spec = importlib.util.find_spec("benchmarks.evaluation.counters.cuda")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "interpreted", module)
    spec.loader.exec_module(module)
    module.RUN = 2 * module.BLOCK  # the interpreter is slow
    return module


@pytest.mark.parametrize(("bits", "classes", "n"), [*CASES, (24, 5, 5000)])
def test_interpreted_kernel_counts_the_same(interpreted, bits, classes, n):
    given = problem(bits, classes, n)
    counts = interpreted.count_triton(*given, device="cpu")
    for got, expected in zip(counts, count_numpy(*given), strict=True):
        assert got.dtype == np.int64
        np.testing.assert_array_equal(got, expected)


def test_kernel_is_launched_on_the_device_of_its_tensors(interpreted, monkeypatch):
    entered, device_of = [], torch.cuda.device_of
    monkeypatch.setattr(torch.cuda, "device_of", lambda x: entered.append(x.device) or device_of(x))
    interpreted.count_triton(*problem(16, 2, 5), device="cpu")
    assert entered == [torch.device("cpu")]


def test_longer_codes_are_left_to_the_matrix_product(interpreted):
    interpreted._count = None
    given = problem(2048, 2, 5)
    counts = interpreted.count_triton(*given, device="cpu")
    np.testing.assert_array_equal(counts[0], count_numpy(*given)[0])


def test_cuda_takes_the_kernel_where_there_is_triton(monkeypatch):
    from benchmarks.evaluation.counters.cuda import count_triton

    assert backend("cuda").counts.func is count_triton
    monkeypatch.setattr("benchmarks.evaluation.counters.choice.find_spec", lambda _: None)
    assert backend("cuda").counts.func is count_torch


@pytest.mark.parametrize("capability", [70, 80, 90])
@pytest.mark.parametrize(("bits", "classes"), [(1, 1), (64, 80), (2047, 1)])
def test_kernel_compiles_for_gpus_that_are_not_here(monkeypatch, capability, bits, classes):
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from benchmarks.evaluation.counters import cuda as counting_triton

    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")  # settles what Triton 3.9 warns about
    sizes = counting_triton.constants(bits, classes)
    types = dict.fromkeys(("q", "q_labels", "planes", "label_planes"), "*u32")
    types |= {"out": "*i64", "n_items": "i32", **dict.fromkeys(sizes, "constexpr")}
    source = ASTSource(fn=counting_triton._count, signature=types, constexprs=sizes)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32))
    assert len(compiled.asm["cubin"]) > 1000
    assert compiled.metadata.shared <= 48 * 2**10  # bytes that every GPU has


@pytest.mark.gpu
@pytest.mark.parametrize(("bits", "classes", "n"), [*CASES, (64, 10, 200_000)])
def test_cuda_kernel_counts_the_same(bits, classes, n):
    from benchmarks.evaluation.counters.cuda import count_triton

    given = problem(bits, classes, n)
    for got, expected in zip(count_triton(*given), count_numpy(*given), strict=True):
        np.testing.assert_array_equal(got, expected)
