"""Pieces that two papers or more share, one equation each."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def signs(x: Tensor) -> Tensor:
    """Give +1 where a number is above 0, and -1 elsewhere, in its dtype.

    Examples
    --------
    >>> signs(torch.tensor([-0.3, 0.0, 2.0]))
    tensor([-1., -1.,  1.])
    """
    return (x > 0).to(x.dtype) * 2 - 1


def straight_through_sign(x: Tensor) -> Tensor:
    """Sign in the forward pass, identity in the backward pass.

    Zero counts as negative, so that a code has two symbols: bits are set where a score is > 0.

    Parameters
    ----------
    x : Tensor, float32, any shape

    Returns
    -------
    Tensor, float32, same shape
        Values -1 and +1; the gradient reaches `x` unchanged.

    References
    ----------
    Bengio, Leonard, Courville, arXiv 1308.3432 (2013), section 4.

    Examples
    --------
    >>> straight_through_sign(torch.tensor([-0.3, 0.0, 2.0]))
    tensor([-1., -1.,  1.])
    """
    return straight_through(signs(x), x)


def straight_through(value: Tensor, x: Tensor) -> Tensor:
    """Give `value` in the forward pass, exactly, and hand its gradient to `x` unchanged.

    Parameters
    ----------
    value, x : Tensor, float32, same shape

    Examples
    --------
    >>> x = torch.tensor([0.3], requires_grad=True)
    >>> straight_through(x.sign(), x).square().sum().backward()
    >>> x.grad
    tensor([2.])
    """
    return value.detach() + (x - x.detach())


def glorot(model: nn.Module) -> None:
    """Draw weights as Keras does where nothing is said: Glorot's uniform, with biases of 0.

    References
    ----------
    Glorot and Bengio, AISTATS 2010, Eq. (16).

    Examples
    --------
    >>> layer = nn.Linear(100, 200)
    >>> glorot(layer)
    >>> layer.weight.detach().abs().max() <= (6 / 300) ** 0.5, layer.bias.detach().abs().max()
    (tensor(True), tensor(0.))
    """
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)


def reversed_gradient(x: Tensor) -> Tensor:
    """Give x in the forward pass, exactly, and hand the negative of the gradient back to it.

    What minimises a loss of ``reversed_gradient(x)`` by its own parameters maximises it by x.

    References
    ----------
    Ganin and Lempitsky, "Unsupervised domain adaptation by backpropagation", ICML 2015, section 3.

    Examples
    --------
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> reversed_gradient(x).square().backward()
    >>> x.grad
    tensor(-6.)
    """
    return 2 * x.detach() - x


def half_half(scores: Tensor) -> Tensor:
    """Codes of a batch in which every bit is set for half of the images.

    It solves the optimal transport of each column to a fair coin: the ``floor(B/2)`` largest
    scores of a bit become +1 and the others -1. Of equal scores the earlier rows are larger.

    Parameters
    ----------
    scores : Tensor, float32, shape (B, K)

    Returns
    -------
    Tensor, float32, shape (B, K)
        Values -1 and +1; the gradient reaches `scores` unchanged.

    References
    ----------
    Li and van Gemert, "Deep unsupervised image hashing by maximizing bit entropy", AAAI 2021,
    section 3.2.

    Examples
    --------
    >>> half_half(torch.tensor([[0.9], [0.1], [0.5]]))
    tensor([[ 1.],
            [-1.],
            [-1.]])
    """
    place = scores.argsort(dim=0, descending=True, stable=True).argsort(dim=0)  # 0 for the largest
    return straight_through((place < len(scores) // 2).to(scores.dtype) * 2 - 1, scores)


def nt_xent(z_1: Tensor, z_2: Tensor, tau: float) -> Tensor:
    """Normalised, temperature-scaled cross-entropy over the 2B vectors of two views.

    ``-(1/2B) sum_i log( exp(cos(z_i, z_i+)/tau) / sum_{j != i} exp(cos(z_i, z_j)/tau) )``

    Parameters
    ----------
    z_1, z_2 : Tensor, float32, shape (B, K)
        Row i of both comes from image i.
    tau : float
        Temperature, > 0.

    Returns
    -------
    Tensor, float32, scalar

    References
    ----------
    Chen, Kornblith, Norouzi, Hinton, ICML 2020, Eq. (1).

    Examples
    --------
    Two images with opposite vectors: each sees one positive (1) and two negatives (-1).

    >>> z = torch.tensor([[1.0], [-1.0]])
    >>> expected = torch.log(1 + 2 * torch.exp(torch.tensor(-2.0)))
    >>> bool(torch.isclose(nt_xent(z, z, tau=1.0), expected))
    True
    """
    b = len(z_1)
    z = F.normalize(torch.cat([z_1, z_2]), dim=1)  # (2B, K)
    logits = z @ z.T / tau  # (2B, 2B)
    logits = logits.masked_fill(torch.eye(2 * b, dtype=torch.bool, device=z.device), -torch.inf)
    partner = torch.arange(2 * b, device=z.device).roll(b)
    return F.cross_entropy(logits, partner)


@torch.no_grad()
def follow(copy: nn.Module, model: nn.Module, momentum: float) -> None:
    """Move a momentum copy towards its model: ``copy <- momentum copy + (1 - momentum) model``.

    References
    ----------
    He, Fan, Wu, Xie, Girshick, "Momentum contrast for unsupervised visual representation learning",
    CVPR 2020, Eq. (2).

    Examples
    --------
    >>> slow, fast = nn.Linear(1, 1), nn.Linear(1, 1)
    >>> _ = nn.init.zeros_(slow.weight), nn.init.ones_(fast.weight)
    >>> follow(slow, fast, 0.75)
    >>> slow.weight.item()
    0.25
    """
    for slow, fast in zip(copy.parameters(), model.parameters(), strict=True):
        slow.mul_(momentum).add_(fast, alpha=1 - momentum)


@torch.no_grad()
def push(queue: Tensor, rows: Tensor) -> None:
    """Put rows in front of a queue, in place; as many of its last ones leave it.

    Parameters
    ----------
    queue : Tensor, float32, shape (M, D)
        A buffer of the method, so that it is kept with a checkpoint.
    rows : Tensor, float32, shape (B, D)

    Examples
    --------
    >>> queue = torch.tensor([[1.0], [2.0], [3.0]])
    >>> push(queue, torch.tensor([[7.0]]))
    >>> queue.flatten().tolist()
    [7.0, 1.0, 2.0]
    """
    queue.copy_(torch.cat([rows, queue])[: len(queue)])


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation of (B, K) that bears a batch of one image, by the running statistics."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each column over the batch, or outside training as all batches were."""
        if len(x) > 1 or not self.training:
            return super().forward(x)
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


def soft_sort(scores: Tensor, temperature: float) -> Tensor:
    """Differentiable permutation that sorts each row in falling order.

    ``P[k, l] = softmax_l( -| s_[k] - s_l | / temperature )``, with s_[k] the k-th largest score.

    Parameters
    ----------
    scores : Tensor, float32, shape (B, N)
    temperature : float
        Towards 0 the permutation becomes exact; tied scores share their places equally.

    Returns
    -------
    Tensor, float32, shape (B, N, N)
        Row k of P[b] is the soft choice of the k-th largest score of row b; it sums to 1.

    References
    ----------
    Prillo and Eisenschlos, "SoftSort: a continuous relaxation for the argsort operator", ICML 2020,
    Eq. (4) with the L1 distance.

    Examples
    --------
    >>> soft_sort(torch.tensor([[0.1, 0.9]]), 0.01).round()
    tensor([[[0., 1.],
             [1., 0.]]])
    """
    scores = scores / temperature  # here N numbers a row, below N^2
    ordered = scores.sort(1, descending=True).values
    return (-(ordered[:, :, None] - scores[:, None]).abs()).softmax(-1)


def random_rotation(k: int) -> Tensor:
    """Draw an orthogonal matrix from torch's global generator, float32, shape (k, k).

    Examples
    --------
    >>> R = random_rotation(3)
    >>> bool(torch.allclose(R @ R.T, torch.eye(3), atol=1e-5))
    True
    """
    Q: Tensor = torch.linalg.qr(torch.randn(k, k))[0]
    return Q


def quantising_rotation(V: Tensor, R: Tensor, n_iter: int) -> Tensor:
    """Turn a rotation such that V R lies near its own signs.

    ``minimise ||B - V R||_F^2`` over B in {-1, +1}^(N x K) and rotations R, by turns.

    Parameters
    ----------
    V : Tensor, float64, shape (N, K)
    R : Tensor, float64, shape (K, K)
        Rotation to start from.
    n_iter : int
        Alternations; it ends earlier where no sign changes any more.

    Returns
    -------
    Tensor, float64, shape (K, K)

    References
    ----------
    Gong and Lazebnik, CVPR 2011, section 2.2.

    Examples
    --------
    >>> eighth = torch.tensor([[1.0, -1.0], [1.0, 1.0]]) / 2**0.5
    >>> (quantising_rotation(torch.eye(2), eighth, 50).abs() * 2**0.5).round()
    tensor([[1., 1.],
            [1., 1.]])
    """
    before: Tensor | None = None
    for _ in range(n_iter):
        B = signs(V @ R)  # (N, K)
        if before is not None and torch.equal(B, before):
            break
        S, _, S_hat_t = torch.linalg.svd(B.T @ V)  # orthogonal Procrustes
        R, before = S_hat_t.T @ S.T, B
    return R
