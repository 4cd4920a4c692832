"""Backpropagation through time as an object: how the gradient flows, each step's share of it."""
from __future__ import annotations

from tinyseq.flow import Flow, flow, kept_by_truncation, shares

__all__ = ["Flow", "flow", "kept_by_truncation", "shares"]
