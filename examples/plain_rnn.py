"""A vanilla RNN as one writes it with torch's tensors; only the import line is tinyseq's.

It learns to say every bit of a random sequence three steps later. Put `import torch` in place of
the import line and it prints the same numbers.

    python examples/plain_rnn.py
"""
import tinyseq as torch


def main(updates=200, T=12, N=16, H=16, lag=3, lr=0.5):
    torch.manual_seed(0)
    bound = H ** -0.5
    W_x = (torch.rand(H, 1) * 2 - 1) * bound
    W_h = (torch.rand(H, H) * 2 - 1) * bound
    W_y = (torch.rand(2, H) * 2 - 1) * bound
    b_h, b_y = torch.zeros(H), torch.zeros(2)
    parameters = [W_x, W_h, W_y, b_h, b_y]
    for p in parameters:
        p.requires_grad_()

    losses = []
    for update in range(updates):
        bits = (torch.rand(T, N) > 0.5).long()
        x = (bits * 2 - 1).float().unsqueeze(-1)                     # (T, N, 1)
        h = torch.zeros(N, H)
        loss = 0
        for t in range(T):
            h = torch.tanh(x[t] @ W_x.T + h @ W_h.T + b_h)           # (N, H)
            if t >= lag:
                scores = h @ W_y.T + b_y                             # (N, 2)
                loss += torch.nn.functional.cross_entropy(scores, bits[t - lag])
        loss = loss / (T - lag)

        loss.backward()
        with torch.no_grad():
            norm = torch.sqrt(sum((p.grad ** 2).sum() for p in parameters))
            for p in parameters:
                p -= lr * p.grad / torch.clamp(norm, min=1.0)
                p.grad = None
        losses.append(loss.item())
        if update % 50 == 0 or update == updates - 1:
            print(f"update {update:3d}   loss {loss.item():.4f} nats")
    return losses


if __name__ == "__main__":
    main()
