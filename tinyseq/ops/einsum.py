"""einsum: a sum of products written with letters, done by diagonals, sums and matrix products."""
from __future__ import annotations

from typing import Any

from tinyseq.errors import ShapeError
from tinyseq.ops.arithmetic import mul
from tinyseq.ops.arrange import diagonal
from tinyseq.ops.matmul import matmul2
from tinyseq.ops.reduce import sum_over
from tinyseq.ops.shape import count_of, permute_axes, reshape

Term = tuple[Any, list[str]]  # a tensor, and the letter of each of its axes


def einsum(equation: str, *operands: Any) -> Any:
    """Products of the operands' elements, summed over every letter that the result has not.

    Equation: einsum("ij,jk->ik", a, b)_ik = sum_j a_ij b_jk
    Shapes: one letter an axis; a letter repeated in one operand takes its diagonal; `...` stands
        for axes that broadcast. Without `->` the result has the letters that occur once, sorted.
    Errors: ShapeError naming the letter, the operand and the sizes.
    Example:
        >>> import tinyseq as ts
        >>> ts.einsum("ij,j->i", ts.tensor([[1.0, 2.0], [3.0, 4.0]]), ts.tensor([1.0, 10.0]))
        tensor([21., 43.])
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    inputs, output = parsed(equation, [t.ndim for t in operands])
    sizes = agreed(inputs, [t.shape for t in operands])
    terms = [single(t, letters, sizes) for t, letters in zip(operands, inputs)]
    total = terms[0]
    for k, term in enumerate(terms[1:], 2):
        needed = set(output).union(*[letters for _, letters in terms[k:]])
        total = product(summed(total, needed | set(term[1])), summed(term, needed | set(total[1])),
                        needed, sizes)
    return shaped(*summed(total, set(output)), output)


def parsed(equation: str, ranks: list[int]) -> tuple[list[list[str]], list[str]]:
    """The letters of every operand and of the result; the axes of `...` are named from the end."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    if len(texts) != len(ranks):
        raise ShapeError(f"einsum(): {equation!r} names {len(texts)} operands, got {len(ranks)}")
    inputs = [letters_of(equation, text, k, rank) for k, (text, rank) in
              enumerate(zip(texts, ranks))]
    hidden = max([sum(len(letter) > 1 for letter in letters) for letters in inputs], default=0)
    dots = [f".{hidden - k}" for k in range(hidden)]
    if not arrow:
        every = [letter for letters in inputs for letter in letters if len(letter) == 1]
        return inputs, dots + sorted(letter for letter in set(every) if every.count(letter) == 1)
    head, has_dots, tail = right.partition("...")
    output = [*head, *(dots if has_dots else []), *tail]
    for letter in output:
        if output.count(letter) > 1:
            raise ShapeError(f"einsum(): output subscript {letter} appears more than once in the "
                             f"output of {equation!r}")
        if not any(letter in letters for letters in inputs):
            raise ShapeError(f"einsum(): output subscript {letter} does not appear in the "
                             f"equation for any input operand: {equation!r}")
    return inputs, output


def letters_of(equation: str, text: str, k: int, rank: int) -> list[str]:
    """The letter of each axis of operand k."""
    head, dots, tail = text.partition("...")
    if not (head + tail).isalpha() and head + tail:
        raise ShapeError(f"einsum(): subscripts must be letters, got {text!r} in {equation!r}")
    hidden = rank - len(head + tail)
    if hidden < 0 or (hidden and not dots):
        raise ShapeError("einsum(): the number of subscripts in the equation "
                         f"({len(head + tail)}) does not match the number of dimensions ({rank}) "
                         f"for operand {k}"
                         f"{'' if dots else ' and no ellipsis was given'}: {equation!r}")
    return [*head, *[f".{hidden - j}" for j in range(hidden)], *tail]


def agreed(inputs: list[list[str]], shapes: list[tuple[int, ...]]) -> dict[str, int]:
    """The size of every letter; a size of 1 broadcasts."""
    sizes: dict[str, int] = {}
    for k, (letters, shape) in enumerate(zip(inputs, shapes)):
        for letter, n in zip(letters, shape):
            seen = sizes.get(letter, 1)
            if 1 not in (n, seen) and n != seen:
                raise ShapeError(f"einsum(): subscript {letter} has size {n} for operand {k} "
                                 f"which does not broadcast with previously seen size {seen}")
            sizes[letter] = n if seen == 1 else seen
    return sizes


def single(x: Any, letters: list[str], sizes: dict[str, int]) -> Term:
    """An operand without repeated letters, and without axes of size 1 that broadcast."""
    while len(set(letters)) < len(letters):
        twice = next(letter for letter in letters if letters.count(letter) > 1)
        first = letters.index(twice)
        second = letters.index(twice, first + 1)
        if x.shape[first] != x.shape[second]:
            raise ShapeError(f"einsum(): subscript {twice} is repeated for one operand, but its "
                             f"sizes {x.shape[first]} and {x.shape[second]} differ")
        x = diagonal(x, 0, first, second)
        letters = [c for k, c in enumerate(letters) if k not in (first, second)] + [twice]
    keep = [k for k, letter in enumerate(letters) if x.shape[k] == sizes[letter]]
    if len(keep) < len(letters):
        x = reshape(x, tuple([x.shape[k] for k in keep]))
    return x, [letters[k] for k in keep]


def summed(term: Term, needed: set[str]) -> Term:
    """The term summed over the letters that nobody needs any more."""
    x, letters = term
    over = tuple([k for k, letter in enumerate(letters) if letter not in needed])
    return (sum_over(x, dim=over), [c for c in letters if c in needed]) if over else term


def product(left: Term, right: Term, needed: set[str], sizes: dict[str, int]) -> Term:
    """Two terms as one: a (batched) matrix product, or an elementwise one if nothing is summed."""
    (a, in_a), (b, in_b) = left, right
    both = [letter for letter in in_a if letter in in_b]
    batch, inner = [c for c in both if c in needed], [c for c in both if c not in needed]
    rows, columns = [c for c in in_a if c not in both], [c for c in in_b if c not in both]

    def merged(x: Any, letters: list[str], *groups: list[str]) -> Any:
        shape = tuple([count_of(tuple([sizes[c] for c in group])) for group in groups])
        ahead = tuple([sizes[c] for c in batch])
        wide = shaped(x, letters, batch + [c for group in groups for c in group])
        return wide if wide.shape == ahead + shape else reshape(wide, ahead + shape)
    times: Any = matmul2 if inner else mul
    y = times(merged(a, in_a, rows, inner), merged(b, in_b, inner, columns))
    letters = batch + rows + columns
    return reshape(y, tuple([sizes[c] for c in letters])), letters


def shaped(x: Any, letters: list[str], wanted: list[str]) -> Any:
    """x with its axes in the wanted order of letters."""
    return x if letters == wanted else permute_axes(x, dims=tuple([letters.index(c)
                                                                   for c in wanted]))
