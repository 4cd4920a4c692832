"""The known mistakes of an LSTM's backward pass, each as the line that is changed."""
from __future__ import annotations

from tinyseq.bugs.mistake import Mistake, mistake

GH = "gh = gy[t] + gh_later"
GC = "gc = gh * o * dtanh(tanh_c) + gc_later"
GI = "gi = gc * g * dsigmoid(i)"
GF = "gf = gc * c[t] * dsigmoid(f)"
GG = "gg = gc * i * dtanh(g)"
GO = "go = gh * tanh_c * dsigmoid(o)"
GA = "ga = np.concatenate([gi, gf, gg, go], axis=1)"
DW_IH, DW_HH = "gW_ih += ga.T @ x[t]", "gW_hh += ga.T @ h[t]"
DB_IH, DB_HH = "gb_ih += ga.sum(axis=0)", "gb_hh += ga.sum(axis=0)"
LATER_H, LATER_C = "gh_later = ga @ W_hh", "gc_later = gc * f"
START, FIRST = "gh_later, gc_later = g_state", "gh_0, gc_0 = gh_later, gc_later"
GATES, TANH_C = "i, f, g, o = gates[t]", "tanh_c = np.tanh(c[t + 1])"
BIAS = "a = x[t] @ W_ih.T + b_ih + h[t] @ W_hh.T + b_hh"
NOTEBOOK = "nicklashansen/rnn_lstm_from_scratch#1"

SLOPES: tuple[Mistake, ...] = (
    mistake("flip i", "-sigma'(i) in place of sigma'(i)", GI, "gi = -gc * g * dsigmoid(i)"),
    mistake("flip f", "-sigma'(f) in place of sigma'(f)", GF, "gf = -gc * c[t] * dsigmoid(f)"),
    mistake("flip g", "-tanh'(g) in place of tanh'(g)", GG, "gg = -gc * i * dtanh(g)"),
    mistake("flip o", "-sigma'(o) in place of sigma'(o)", GO, "go = -gh * tanh_c * dsigmoid(o)"),
    mistake("tanh' on i", "tanh'(i) in place of sigma'(i)", GI, "gi = gc * g * dtanh(i)"),
    mistake("tanh' on f", "tanh'(f) in place of sigma'(f)", GF, "gf = gc * c[t] * dtanh(f)"),
    mistake("tanh' on o", "tanh'(o) in place of sigma'(o)", GO, "go = gh * tanh_c * dtanh(o)"),
    mistake("sigma' on g", "sigma'(g) in place of tanh'(g)", GG, "gg = gc * i * dsigmoid(g)"),
    mistake("drop 1 - i", "sigma(i) in place of sigma'(i)", GI, "gi = gc * g * i"),
    mistake("drop 1 - f", "sigma(f) in place of sigma'(f)", GF, "gf = gc * c[t] * f"),
    mistake("drop 1 - o", "sigma(o) in place of sigma'(o)", GO, "go = gh * tanh_c * o"),
    mistake("zero i", "no gradient at the input gate", GI, "gi = 0 * gc * g * dsigmoid(i)"),
    mistake("zero f", "no gradient at the forget gate", GF, "gf = 0 * gc * c[t] * dsigmoid(f)"),
    mistake("zero g", "no gradient at the candidate", GG, "gg = 0 * gc * i * dtanh(g)"),
    mistake("zero o", "no gradient at the output gate", GO, "go = 0 * gh * tanh_c * dsigmoid(o)"),
    mistake("1.001 f", "the forget gate's gradient 1.001 times too large",
            GF, "gf = 1.001 * gc * c[t] * dsigmoid(f)"),
    mistake("1.0001 f", "the forget gate's gradient 1.0001 times too large",
            GF, "gf = 1.0001 * gc * c[t] * dsigmoid(f)"),
)

LINES: tuple[Mistake, ...] = (
    mistake("i and f swapped", "the rows of i and f swapped",
            GA, "ga = np.concatenate([gf, gi, gg, go], axis=1)"),
    mistake("g and o swapped", "the rows of g and o swapped",
            GA, "ga = np.concatenate([gi, gf, go, gg], axis=1)"),
    mistake("f and o swapped", "the rows of f and o swapped",
            GA, "ga = np.concatenate([gi, go, gg, gf], axis=1)"),
    mistake("f and g swapped", "the rows of f and g swapped",
            GA, "ga = np.concatenate([gi, gg, gf, go], axis=1)"),
    mistake("operands of i and g", "i's gradient times i and g's times g, the wrong way round",
            GI, "gi = gc * i * dsigmoid(i)", GG, "gg = gc * g * dtanh(g)"),
    mistake("f with h", "h_{t-1} in place of c_{t-1} at the forget gate",
            GF, "gf = gc * h[t] * dsigmoid(f)"),
    mistake("drop tanh'(c)", "tanh'(c) left out between h and c", GC, "gc = gh * o + gc_later"),
    mistake("tanh'(c) of t-1", "tanh'(c_{t-1}) in place of tanh'(c_t)",
            GC, "gc = gh * o * dtanh(np.tanh(c[t])) + gc_later"),
    mistake("c without o", "the output gate left out between h and c",
            GC, "gc = gh * dtanh(tanh_c) + gc_later"),
    mistake("h to c cut", "nothing from h to c: c's gradient comes from later steps only",
            GC, "gc = gc_later"),
    mistake("carried c dropped", "what later steps say of c left out at each step",
            GC, "gc = gh * o * dtanh(tanh_c)"),
    mistake("c back without f", "c's gradient handed to the step before without the forget gate",
            LATER_C, "gc_later = gc"),
    mistake("c back with i", "c's gradient handed to the step before times i, not f",
            LATER_C, "gc_later = gc * i"),
    mistake("c back cut", "c's gradient not handed to the step before", LATER_C,
            "gc_later = 0 * gc * f"),
)

TIME: tuple[Mistake, ...] = (
    mistake("h back cut", "h's gradient not handed to the step before",
            LATER_H, "gh_later = 0 * ga @ W_hh"),
    mistake("truncated", "both gradients cut off at every second step",
            LATER_H, "gh_later = ga @ W_hh * (t % 2)", LATER_C, "gc_later = gc * f * (t % 2)"),
    mistake("W_hh transposed", "each gate's block of weight_hh transposed on the way back",
            LATER_H, "gh_later = ga @ np.concatenate([w.T for w in np.split(W_hh, 4)])"),
    mistake("dW_hh last step", "weight_hh's gradient from the last step only",
            DW_HH, "gW_hh += ga.T @ h[t] * (t + 1 == len(x))"),
    mistake("dW_ih overwritten", "weight_ih's gradient overwritten at each step, not added up",
            DW_IH, "gW_ih = ga.T @ x[t]"),
    mistake("biases overwritten", "both biases' gradients overwritten at each step, not added up",
            DB_IH, "gb_ih = ga.sum(axis=0)", DB_HH, "gb_hh = ga.sum(axis=0)"),
    mistake("b_hh missing", "no gradient for bias_hh", DB_HH, "gb_hh += 0",
            source="apache/mxnet#17818"),
    mistake("b_ih twice", "bias_ih's gradient counted twice",
            DB_IH, "gb_ih += 2 * ga.sum(axis=0)"),
    mistake("first row", "the biases' gradients from the first sequence of the batch only",
            DB_IH, "gb_ih += ga[0]", DB_HH, "gb_hh += ga[0]"),
    mistake("mean over batch", "the biases' gradients as a mean over the batch, not a sum",
            DB_IH, "gb_ih += ga.mean(axis=0)", DB_HH, "gb_hh += ga.mean(axis=0)"),
    mistake("h_t for h_{t-1}", "h_t in place of h_{t-1} in weight_hh's gradient",
            DW_HH, "gW_hh += ga.T @ h[t + 1]"),
    mistake("h_{t-2} for h_{t-1}", "h_{t-2} in place of h_{t-1} in weight_hh's gradient",
            DW_HH, "gW_hh += ga.T @ h[max(t - 1, 0)]"),
    mistake("h_0 dropped", "weight_hh's gradient without the first step, as if h_0 were 0",
            DW_HH, "gW_hh += ga.T @ (h[t] * (t > 0))"),
    mistake("c_t for c_{t-1}", "c_t in place of c_{t-1} at the forget gate",
            GF, "gf = gc * c[t + 1] * dsigmoid(f)"),
    mistake("last c for all", "the last step's c at every step",
            TANH_C, "tanh_c = np.tanh(c[-1])"),
    mistake("gates of t+1", "the gates of the step after",
            GATES, "i, f, g, o = gates[min(t + 1, len(x) - 1)]"),
    mistake("i of t+1", "the input gate of the step after at the candidate",
            GG, "gg = gc * gates[min(t + 1, len(x) - 1)][0] * dtanh(g)"),
    mistake("h_n ignored", "the final h's cotangent ignored",
            START, "gh_later, gc_later = 0 * g_state[0], g_state[1]"),
    mistake("c_n ignored", "the final c's cotangent ignored",
            START, "gh_later, gc_later = g_state[0], 0 * g_state[1]",
            source="deeplearning4j/deeplearning4j#8838"),
    mistake("last y only", "every output's cotangent ignored but the last one's",
            GH, "gh = gy[t] * (t + 1 == len(x)) + gh_later"),
    mistake("dx off by one", "x's gradient one step too early",
            "gx[t] = ga @ W_ih", "gx[t - 1] = ga @ W_ih"),
    mistake("dh_0 zero", "no gradient for h_0", FIRST, "gh_0, gc_0 = 0 * gh_later, gc_later"),
    mistake("dc_0 zero", "no gradient for c_0", FIRST, "gh_0, gc_0 = gh_later, 0 * gc_later"),
    mistake("clipped", "h's gradient clipped at 1 inside the backward pass",
            GH, "gh = np.clip(gy[t] + gh_later, -1, 1)"),
)

# What stood in public code beside that.
TWICE = (GI, "gi = gc * g * dsigmoid(sigmoid(i))", GG, "gg = gc * i * dtanh(np.tanh(g))",
         GO, "go = gh * tanh_c * dsigmoid(sigmoid(o))")
TANH_TWICE = (GC, "gc = gh * o * dtanh(np.tanh(tanh_c)) + gc_later")
SIGMA_TWICE = (GF, "gf = gc * c[t] * sigmoid(f)")
CUT = (LATER_H, "gh_later = 0 * ga @ W_hh", LATER_C, "gc_later = 0 * gc * f")

PUBLISHED: tuple[Mistake, ...] = (
    mistake("tanh' of tanh(c)", "tanh'(tanh(c)) in place of tanh'(c)", *TANH_TWICE,
            source=NOTEBOOK),
    mistake("sigma of f", "sigma(f), of an f that is sigma's value already, in place of sigma'",
            *SIGMA_TWICE, source=f"{NOTEBOOK}, CaptainE/RNN-LSTM-in-numpy#1 and PR 2"),
    mistake("nothing carried back", "neither h's nor c's gradient handed to the step before",
            *CUT, source="CaptainE/RNN-LSTM-in-numpy#1"),
    mistake("slopes of values", "slopes at i, g, o as if the gates' values were what the sigmoid "
            "and tanh were given", *TWICE, source=f"the notebook of {NOTEBOOK}"),
    mistake("the whole notebook", "tanh'(tanh(c)), sigma(f), slopes at i, g, o of their own "
            "values, and nothing handed to the step before: the four of one notebook together",
            *TANH_TWICE, *SIGMA_TWICE, *CUT, *TWICE,
            source=f"{NOTEBOOK}, CaptainE/RNN-LSTM-in-numpy#1"),
    mistake("b_o in i and f", "the output gate's biases in the input and forget gates' places, "
            "in the forward pass", BIAS, "a = x[t] @ W_ih.T + h[t] @ W_hh.T + np.concatenate("
            "[np.split(b_ih + b_hh, 4)[k] for k in (3, 3, 2, 3)])",
            source="ddbourgin/numpy-ml#42", forward=True),
    mistake("b_i, b_o of f", "the forget gate's numbers in the gradients of i's and o's biases",
            DB_IH, "gb_ih += np.concatenate([gf, gf, gg, gf], axis=1).sum(axis=0)",
            DB_HH, "gb_hh += np.concatenate([gf, gf, gg, gf], axis=1).sum(axis=0)",
            source="hanbt/learn_dl#53"),
    mistake("h back without slopes", "the way from the gates to h_{t-1} without the slopes of the "
            "sigmoids and of tanh", LATER_H, "gh_later = np.concatenate([gc * g, gc * c[t], "
            "gc * i, gh * tanh_c], axis=1) @ W_hh", source="llSourcell/LSTM_Networks#4"),
)
LSTM: tuple[Mistake, ...] = (*SLOPES, *LINES, *TIME)
