"""Randomness: one seeded generator, the same stream of uniform numbers as torch's, and dropout."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.array import default_dtype
from tinyseq.op import structural
from tinyseq.samples import real
from tinyseq.tensor import Tensor, wrap


class Generator:
    """Mersenne Twister 19937, as torch's CPU generator: one seed, one stream of 32-bit words."""

    def __init__(self, seed: int = 0) -> None:
        self.seed(seed)

    def seed(self, seed: int) -> None:
        self.words = np.random.RandomState(seed % 2 ** 32)
        self.spare: float | None = None  # the second of a pair of normal numbers, kept for later

    def get_state(self) -> Any:
        """Where the stream stands, for `set_state`."""
        return self.words.get_state(), self.spare

    def set_state(self, state: Any) -> None:
        """Go back to where the stream stood."""
        words, self.spare = state
        self.words.set_state(words)

    def uniform(self, low: float, high: float, shape: Any, dtype: Any) -> np.ndarray:
        """Numbers in [low, high): torch's very numbers in float32, to an ulp in float64."""
        count = int(np.prod(shape))
        if np.dtype(dtype) == np.float32:
            words = self.words.randint(0, 2 ** 32, size=count, dtype=np.uint32)
            unit = (words & 0xFFFFFF) * 2.0 ** -24
            a, b = np.float32(low), np.float32(high)
            width = float(b - a)  # the difference is rounded to float32 first, as torch does
            return (unit * width + float(a)).astype(np.float32).reshape(shape)
        words = self.words.randint(0, 2 ** 32, size=2 * count, dtype=np.uint32).astype(np.uint64)
        joined = (words[0::2] << np.uint64(32)) | words[1::2]
        unit = (joined & np.uint64(2 ** 53 - 1)) * 2.0 ** -53
        return (unit * (high - low) + low).reshape(shape)

    def normal(self, shape: Any, dtype: Any) -> np.ndarray:
        """Standard normal numbers: in blocks of 16 as torch makes many, one by one where few."""
        count = int(np.prod(shape))
        if count < 16:
            return np.array([self.one_normal() for _ in range(count)], dtype).reshape(shape)
        u = self.uniform(0.0, 1.0, count, dtype)
        blocks = [slice(k, k + 16) for k in range(0, count - 15, 16)]
        for block in blocks:
            u[block] = pairs(u[block])
        if count % 16:  # the last 16 are drawn anew
            u[-16:] = pairs(self.uniform(0.0, 1.0, 16, dtype))
        return u.reshape(shape)

    def one_normal(self) -> float:
        """The next normal number, of pairs made from two uniform ones."""
        if self.spare is not None:
            value, self.spare = self.spare, None
            return value
        u1, u2 = self.uniform(0.0, 1.0, 2, np.float64)
        r = np.sqrt(-2.0 * np.log1p(-u2))
        self.spare = float(r * np.sin(2.0 * np.pi * u1))
        return float(r * np.cos(2.0 * np.pi * u1))


def pairs(u: np.ndarray) -> np.ndarray:
    """16 normal numbers from 16 uniform ones, in their own dtype."""
    r = np.sqrt(-2 * np.log(1 - u[:8]))
    angle = u.dtype.type(2 * np.pi) * u[8:]
    return np.concatenate([r * np.cos(angle), r * np.sin(angle)])


generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Start the random stream at `seed` (taken modulo 2^32): same seed, same numbers.

    Example:
        >>> import tinyseq as ts
        >>> _ = ts.manual_seed(0)
        >>> ts.rand(2)
        tensor([0.4962566, 0.7682218])
    """
    generator.seed(seed)
    return generator


def sizes(shape: tuple) -> tuple[int, ...]:
    """rand(2, 3) and rand((2, 3)) alike."""
    return tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape


def rand(*shape: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform numbers in [0, 1)."""
    made = wrap(generator.uniform(0.0, 1.0, sizes(shape), dtype or default_dtype()))
    return made.requires_grad_(requires_grad)


def randn(*shape: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Standard normal numbers: torch's, to 2 ulp in float32 and bit for bit in float64.

    Source: Box and Muller 1958, with torch's pairing of the uniform numbers.
    """
    made = wrap(generator.normal(sizes(shape), np.dtype(dtype or default_dtype())))
    return made.requires_grad_(requires_grad)


def randint(low: int, high: int, size: tuple[int, ...]) -> Tensor:
    """Integers in [low, high), int64."""
    words = generator.words.randint(0, 2 ** 32, size=int(np.prod(size)), dtype=np.uint32)
    return wrap((words.astype(np.int64) % (high - low) + low).reshape(size))


@structural
class drop:
    """A tensor times a mask that was drawn beforehand; `dropout` is its public form.

    Equation: y = x m, m = 0 with probability p, else 1/(1-p)
    Shapes: y as x.
    Example:
        >>> import numpy as np
        >>> from tinyseq.ops.noise import drop
        >>> drop(np.ones(2), mask=np.array([0.0, 2.0]))
        array([0., 2.])
    """

    name = "dropout"
    latex = r"{x} \odot m"
    samples = real(-1, 1, (3, 4), mask=np.tile([0.0, 2.0], 6).reshape(3, 4))
    inputs = "x"

    @np.errstate(invalid="ignore")
    def forward(x, mask): return np.where(mask == 0, mask, x * mask)  # 0 even for x = inf
    def backward(gy, mask): return drop(gy, mask=mask)


def dropout(input: Any, p: float = 0.5, training: bool = True) -> Any:
    """Zero each element with probability p and scale the others by 1/(1-p), in training only.

    Shapes: as the input.
    Errors: ValueError for a p outside [0, 1].
    """
    check_probability(p)
    if not training or p == 0.0:
        return input
    dtype = input.dtype
    if p == 1.0:
        return drop(input, mask=np.zeros(input.shape, dtype))
    stay = generator.uniform(0.0, 1.0, input.shape, np.float32) >= np.float32(p)
    return drop(input, mask=(stay / (1.0 - p)).astype(dtype))


def check_probability(p: Any) -> None:
    """Refuse a dropout probability outside [0, 1]: torch's text."""
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
        raise ValueError("dropout should be a number in range [0, 1] representing the probability "
                         f"of an element being zeroed, got {p!r}")
