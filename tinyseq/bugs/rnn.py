"""The known mistakes of a vanilla network's backward pass, each as the line that is changed."""
from __future__ import annotations

from tinyseq.bugs.mistake import Mistake, mistake

GA = "ga = gh * (a[t] > 0 if relu else dtanh(h[t + 1]))"
DW_IH, DW_HH = "gW_ih += ga.T @ x[t]", "gW_hh += ga.T @ h[t]"
LATER = "gh_later = ga @ W_hh"

TANH: tuple[Mistake, ...] = (
    mistake("tanh' of a", "tanh's slope taken of the pre-activation a, not of h",
            "dtanh(h[t + 1])", "dtanh(a[t])"),)
RELU: tuple[Mistake, ...] = (
    mistake("relu' >=", "a slope of 1 where the rectifier is given exactly 0",
            "a[t] > 0", "a[t] >= 0"),)
BOTH: tuple[Mistake, ...] = (
    mistake("flip", "the slope's sign flipped", GA, GA.replace("gh *", "-gh *")),
    mistake("zero", "no gradient at all at the activation", GA, GA.replace("gh *", "0 * gh *")),
    mistake("W_hh transposed", "weight_hh transposed on the way back",
            LATER, "gh_later = ga @ W_hh.T"),
    mistake("dW_hh last step", "weight_hh's gradient from the last step only",
            DW_HH, "gW_hh += ga.T @ h[t] * (t + 1 == len(x))"),
    mistake("dW_ih overwritten", "weight_ih's gradient overwritten at each step, not added up",
            DW_IH, "gW_ih = ga.T @ x[t]"),
    mistake("b_hh missing", "no gradient for bias_hh", "gb_hh += ga.sum(axis=0)", "gb_hh += 0",
            source="apache/mxnet#17818"),
    mistake("h_t for h_{t-1}", "h_t in place of h_{t-1} in weight_hh's gradient",
            DW_HH, "gW_hh += ga.T @ h[t + 1]"),
    mistake("truncated", "h's gradient cut off at every second step",
            LATER, "gh_later = ga @ W_hh * (t % 2)"),
    mistake("h_n ignored", "the final h's cotangent ignored",
            "gh_later = g_state[0]", "gh_later = 0 * g_state[0]"),
    mistake("dh_0 zero", "no gradient for h_0", "gh_0 = gh_later", "gh_0 = 0 * gh_later"),
)
PUBLISHED: tuple[Mistake, ...] = (
    mistake("one over the slope", "1 / (1 - h^2) in place of 1 - h^2", "dtanh(h[t + 1])",
            "1 / dtanh(h[t + 1])",
            source="a reader's correction in oreilly-japan/deep-learning-from-scratch-2#26"),
    mistake("h_t once", "h_t in place of h_{t-1} in weight_hh's gradient, at t = 1 only",
            DW_HH, "gW_hh += ga.T @ h[t + (t == 1)]", source="VikParuchuri/zero_to_gpt#9"),
)
RNN: tuple[Mistake, ...] = (*TANH, *RELU, *BOTH)
