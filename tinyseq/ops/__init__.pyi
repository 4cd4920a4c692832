# An operation is declared as a class and becomes a function (tinyseq/op.py), which a type checker
# cannot see; so the operations are untyped for those who import them.
from typing import Any

einsum: Any  # the functions, not the files of these names
matmul: Any
scatter: Any
sort: Any

def __getattr__(name: str) -> Any: ...
