"""Gradient checks in float64 over inputs, parameters and every named line at every time step."""
from __future__ import annotations

from tinyseq.gradcheck.checking import check, cotangents
from tinyseq.gradcheck.models import gradcheck_report
from tinyseq.gradcheck.outcome import Row
from tinyseq.gradcheck.report import Report
from tinyseq.gradcheck.steps import Sweep, sweep
from tinyseq.gradcheck.torchlike import gradcheck, gradgradcheck

__all__ = ["Report", "Row", "Sweep", "check", "cotangents", "gradcheck", "gradcheck_report",
           "gradgradcheck", "sweep"]
