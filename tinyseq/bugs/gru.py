"""The known mistakes of a GRU's backward pass, each as the line that is changed."""
from __future__ import annotations

from tinyseq.bugs.mistake import Mistake, mistake

GN = "gn = gh * (1 - z) * dtanh(n)"
GZ = "gz = gh * (h[t] - n) * dsigmoid(z)"
GR = "gr = gn * h_n * dsigmoid(r)"
GA_X = "ga_x = np.concatenate([gr, gz, gn], axis=1)"
GA_H = "ga_h = np.concatenate([gr, gz, gn * r], axis=1)"
DW_HH, DB_HH = "gW_hh += ga_h.T @ h[t]", "gb_hh += ga_h.sum(axis=0)"
LATER = "gh_later = ga_h @ W_hh + gh * z"

GRU: tuple[Mistake, ...] = (
    mistake("z for 1 - z", "z in place of 1 - z at the candidate", GN, "gn = gh * z * dtanh(n)"),
    mistake("z without n", "h_{t-1} in place of h_{t-1} - n at the update gate",
            GZ, "gz = gh * h[t] * dsigmoid(z)"),
    mistake("flip z", "n - h_{t-1} in place of h_{t-1} - n at the update gate",
            GZ, "gz = gh * (n - h[t]) * dsigmoid(z)"),
    mistake("z with h_t", "h_t - n in place of h_{t-1} - n at the update gate",
            GZ, "gz = gh * (h[t + 1] - n) * dsigmoid(z)"),
    mistake("sigma' on n", "sigma'(n) in place of tanh'(n)",
            GN, "gn = gh * (1 - z) * dsigmoid(n)"),
    mistake("flip n", "-tanh'(n) in place of tanh'(n)", GN, "gn = -gh * (1 - z) * dtanh(n)"),
    mistake("flip r", "-sigma'(r) in place of sigma'(r)", GR, "gr = -gn * h_n * dsigmoid(r)"),
    mistake("zero r", "no gradient at the reset gate", GR, "gr = 0 * gn * h_n * dsigmoid(r)"),
    mistake("tanh' on z", "tanh'(z) in place of sigma'(z)", GZ, "gz = gh * (h[t] - n) * dtanh(z)"),
    mistake("drop 1 - r", "sigma(r) in place of sigma'(r)", GR, "gr = gn * h_n * r"),
    mistake("r without b_hn", "W_hn h without its bias b_hn at the reset gate",
            GR, "gr = gn * (h_n - np.split(b_hh, 3)[2]) * dsigmoid(r)"),
    mistake("r with h", "h_{t-1} in place of W_hn h_{t-1} + b_hn at the reset gate",
            GR, "gr = gn * h[t] * dsigmoid(r)"),
    mistake("hidden part without r", "the reset gate left out before W_hn h + b_hn",
            GA_H, "ga_h = np.concatenate([gr, gz, gn], axis=1)"),
    mistake("b_hn as b_in", "b_hn's gradient as if it stood beside b_in, outside the reset gate",
            DB_HH, "gb_hh += ga_x.sum(axis=0)"),
    mistake("r and z swapped", "the rows of r and z swapped",
            GA_X, "ga_x = np.concatenate([gz, gr, gn], axis=1)",
            GA_H, "ga_h = np.concatenate([gz, gr, gn * r], axis=1)"),
    mistake("h_t for h_{t-1}", "h_t in place of h_{t-1} in weight_hh's gradient",
            DW_HH, "gW_hh += ga_h.T @ h[t + 1]"),
    mistake("dW_hh last step", "weight_hh's gradient from the last step only",
            DW_HH, "gW_hh += ga_h.T @ h[t] * (t + 1 == len(x))"),
    mistake("W_hn transposed", "W_hn transposed on the way back",
            LATER, "gh_later = ga_h @ np.concatenate([*np.split(W_hh, 3)[:2], "
            "np.split(W_hh, 3)[2].T]) + gh * z"),
    mistake("gates back cut", "h's gradient handed to the step before through z only",
            LATER, "gh_later = gh * z"),
    mistake("z back cut", "h's gradient handed to the step before through the gates only",
            LATER, "gh_later = ga_h @ W_hh"),
    mistake("h_n ignored", "the final h's cotangent ignored",
            "gh_later = g_state[0]", "gh_later = 0 * g_state[0]"),
    mistake("dh_0 zero", "no gradient for h_0", "gh_0 = gh_later", "gh_0 = 0 * gh_later"),
    mistake("z of t+1", "the update gate of the step after on the way straight back", LATER,
            "gh_later = ga_h @ W_hh + gh * gates[min(t + 1, len(x) - 1)][1]"),
)
