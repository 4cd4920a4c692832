"""The random stream: Mersenne Twister words, turned into numbers as torch does on the CPU."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.tensor import Tensor, wrap

# Where a stream stands, byte for byte as torch writes it down (5056 bytes).
STATE = np.dtype([("seed", "<u8"), ("left", "<i4"), ("seeded", "<i4"), ("next", "<u8"),
                  ("words", "<u8", 624), ("unused_x", "<f8"), ("spare", "<f8"),
                  ("unused_rho", "<f8"), ("has_spare", "<i8"), ("unused_float", "<f8")])


class Generator:
    """Mersenne Twister 19937, as torch's CPU generator: one seed, one stream of 32-bit words.

    Example:
        >>> stream = Generator(3)
        >>> state = stream.get_state()
        >>> first = stream.uniform(0.0, 1.0, 2, np.float32)
        >>> stream.set_state(state)
        >>> bool((stream.uniform(0.0, 1.0, 2, np.float32) == first).all())
        True
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream at a seed; returns the generator itself, as torch's does."""
        self.seed(seed)
        return self

    def seed(self, seed: int) -> None:
        """Start the stream at a seed, taken modulo 2^32."""
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise TypeError(f"a seed must be an int, got {type(seed).__name__}")
        self.start = int(seed)
        self.words = np.random.RandomState(self.start % 2 ** 32)
        self.spare: float | None = None  # the second of a pair of normal numbers, kept for later

    def initial_seed(self) -> int:
        """The seed that the stream was started at."""
        return self.start

    def get_state(self) -> Tensor:
        """Where the stream stands, for `set_state`: bytes that can be saved, torch's own.

        Shapes: (5056,), uint8.
        """
        _, words, place, *_ = self.words.get_state()
        state = np.zeros((), STATE)
        state["seed"], state["seeded"], state["words"] = self.start % 2 ** 64, 1, words
        state["left"], state["next"] = 625 - place if place < 624 else 1, place % 624
        if self.spare is not None:
            state["has_spare"], state["spare"] = 1, self.spare
        return wrap(np.frombuffer(state.tobytes(), np.uint8).copy())

    def set_state(self, state: Any) -> None:
        """Go back to where a stream stood, this one, another one or torch's.

        Errors: TypeError for what `get_state` did not give.
        """
        given = np.asarray(state.array if isinstance(state, Tensor) else state)
        if given.dtype != np.uint8 or given.shape != (STATE.itemsize,):
            raise TypeError(f"set_state expects the {STATE.itemsize} bytes (uint8) that get_state "
                            f"gave, got {given.dtype} of shape {given.shape}")
        found = np.frombuffer(given.tobytes(), STATE)[0]
        if not (1 <= found["left"] <= 624 and found["next"] <= 624 and found["seeded"]):
            raise TypeError("set_state: these bytes are not the state of a stream")
        place = 624 if found["left"] == 1 else int(found["next"])
        self.words.set_state(("MT19937", found["words"].astype(np.uint32), place))
        self.start = int(found["seed"])
        self.spare = float(found["spare"]) if found["has_spare"] else None

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

    def integers(self, count: int, span: int) -> np.ndarray:
        """Whole numbers in [0, span): 32 bits each, 64 where the span needs them."""
        wide = span >= 2 ** 32
        words = self.words.randint(0, 2 ** 32, size=count * (1 + wide), dtype=np.uint32)
        if wide:
            joined = (words[0::2].astype(np.uint64) << np.uint64(32)) | words[1::2]
            return (joined % np.uint64(span)).astype(np.int64)
        return words.astype(np.int64) % span

    def below(self, p: np.ndarray, shape: Any) -> np.ndarray:
        """Where a uniform number is below p: float32 ones for float32 p, else float64 ones."""
        return self.uniform(0.0, 1.0, shape, p.dtype) < p


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


def initial_seed() -> int:
    """The seed that the random stream was started at."""
    return generator.initial_seed()


def get_rng_state() -> Tensor:
    """Where the random stream stands, as bytes to be saved beside a model.

    Example:
        >>> import tinyseq as ts
        >>> state = ts.get_rng_state()
        >>> first = ts.rand(3)
        >>> ts.set_rng_state(state)
        >>> bool((ts.rand(3) == first).all())
        True
    """
    return generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Take the random stream back to where `get_rng_state` found it, in tinyseq or in torch."""
    generator.set_state(new_state)
