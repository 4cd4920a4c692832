"""What course notebooks do with torch's recurrent layers, as they are written; run by a test.

Forecasting with a carried state, names by a hand-made cell, packed sequences, a character model
that is sampled from, and translation with attention. Only the import lines are ever changed.
"""
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.autograd import Variable
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, TensorDataset

np.random.seed(0)
torch.manual_seed(1)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


# -- forecasting --------------------------------------------------------------------------
class Forecast(nn.Module):
    def __init__(self, hidden_dim=16, n_layers=2):
        super(Forecast, self).__init__()
        self.hidden_dim, self.n_layers = hidden_dim, n_layers
        self.lstm = nn.LSTM(1, hidden_dim, n_layers, batch_first=True, dropout=0.2)
        self.fc = nn.Linear(hidden_dim, 1)

    def forward(self, x, hidden):
        out, hidden = self.lstm(x, hidden)
        out = out.contiguous().view(-1, self.hidden_dim)
        return self.fc(out), hidden

    def init_hidden(self, batch_size):
        weight = next(self.parameters()).data
        return (weight.new(self.n_layers, batch_size, self.hidden_dim).zero_().to(device),
                weight.new(self.n_layers, batch_size, self.hidden_dim).zero_().to(device))


wave = np.sin(np.linspace(0, 20, 201))
xs = np.stack([wave[i:i + 20] for i in range(160)])[..., None]
ys = np.stack([wave[i + 1:i + 21] for i in range(160)])[..., None]
data = TensorDataset(torch.from_numpy(xs).float(), torch.from_numpy(ys).float())
loader = DataLoader(data, batch_size=32, shuffle=True, drop_last=True, pin_memory=False)
model = Forecast().to(device)
print(model)
criterion = nn.MSELoss()
optimizer = optim.Adam(model.parameters(), lr=0.01)
scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
model.train()
for epoch in range(3):
    h, total = model.init_hidden(32), 0.0
    for x, y in loader:
        h = tuple([each.data for each in h])
        x, y = x.to(device), y.to(device)
        model.zero_grad()
        output, h = model(x, h)
        loss = criterion(output, y.view(-1, 1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5)
        optimizer.step()
        total += loss.item() * x.size(0)
    scheduler.step()
    print("forecast %.4f, lr %.4f" % (total / len(loader.dataset), scheduler.get_last_lr()[0]))
model.eval()
with torch.no_grad():
    output, _ = model(torch.from_numpy(xs[:1]).float(), model.init_hidden(1))
    print(output.cpu().numpy().shape, "%.3f" % float(output[-1]))


# -- names, by a cell of one's own --------------------------------------------------------
class Names(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.i2o = nn.Linear(input_size + hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, input, hidden):
        combined = torch.cat((input, hidden), 1)
        return self.softmax(self.i2o(combined)), torch.tanh(self.i2h(combined))


words = [("anna", 0), ("boris", 1), ("clara", 0), ("dmitri", 1), ("eva", 0), ("fedor", 1)]
letters = "abcdefghijklmnopqrstuvwxyz"
rnn, criterion = Names(26, 12, 2), nn.NLLLoss()
for step in range(60):
    word, kind = words[step % 6]
    line = torch.zeros(len(word), 1, 26)
    for k, letter in enumerate(word):
        line[k][0][letters.find(letter)] = 1
    hidden = Variable(torch.zeros(1, rnn.hidden_size))
    rnn.zero_grad()
    for k in range(line.size()[0]):
        output, hidden = rnn(line[k], hidden)
    loss = criterion(output, torch.tensor([kind], dtype=torch.long))
    loss.backward()
    for p in rnn.parameters():
        p.data.add_(p.grad.data, alpha=-0.05)
top, index = output.topk(1)
print("names %.4f" % loss.item(), index[0].item(), int(torch.max(output, 1)[1]))


# -- sequences of unequal lengths ---------------------------------------------------------
class Sentiment(nn.Module):
    def __init__(self, vocabulary, embedding_dim, hidden_dim):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding_dim, padding_idx=0)
        self.rnn = nn.LSTM(embedding_dim, hidden_dim, num_layers=2, bidirectional=True,
                           dropout=0.5)
        self.fc = nn.Linear(hidden_dim * 2, 1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, text, lengths):
        embedded = self.dropout(self.embedding(text))
        packed = nn.utils.rnn.pack_padded_sequence(embedded, lengths.to("cpu"),
                                                   enforce_sorted=False)
        output, (hidden, cell) = self.rnn(packed)
        output, lengths = nn.utils.rnn.pad_packed_sequence(output)
        both = torch.cat((hidden[-2, :, :], hidden[-1, :, :]), dim=1)
        return self.fc(self.dropout(both)).squeeze(1)


texts = [torch.randint(1, 20, (int(n),)) for n in np.random.randint(3, 9, 24)]
labels = torch.tensor([float(text.sum() % 2) for text in texts])


class Texts(Dataset):
    def __len__(self):
        return len(texts)

    def __getitem__(self, k):
        return texts[k], labels[k]


def collate(batch):
    parts, answers = zip(*batch)
    return pad_sequence(parts), torch.stack(answers), torch.tensor([len(t) for t in parts])


model, criterion = Sentiment(20, 8, 6), nn.BCEWithLogitsLoss().to(device)
optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for x, y, lengths in DataLoader(Texts(), batch_size=8, shuffle=True, collate_fn=collate):
    optimizer.zero_grad()
    predictions = model(x, lengths)
    loss = criterion(predictions, y)
    loss.backward()
    optimizer.step()
    accuracy = (torch.round(torch.sigmoid(predictions)) == y).float().mean()
    print("sentiment %.4f, right %.3f" % (loss.item(), accuracy.item()))


# -- a character model, and what it says --------------------------------------------------
class Characters(nn.Module):
    def __init__(self, symbols):
        super().__init__()
        self.emb, self.gru = nn.Embedding(symbols, 8), nn.GRU(8, 16, batch_first=True)
        self.out = nn.Linear(16, symbols)

    def forward(self, x, h=None):
        y, h = self.gru(self.emb(x), h)
        return self.out(y), h


text = "hello world, hello there, " * 20
symbols = sorted(set(text))
codes = torch.LongTensor([symbols.index(c) for c in text])
model = Characters(len(symbols))
for name, p in model.gru.named_parameters():
    if "weight_hh" in name:
        nn.init.xavier_uniform_(p)
optimizer, h = torch.optim.RMSprop(model.parameters(), lr=0.005), None
for i in range(0, 400, 20):
    x, y = codes[i:i + 20].unsqueeze(0), codes[i + 1:i + 21].unsqueeze(0)
    logits, h = model(x, h if h is None else h.detach())
    loss = F.cross_entropy(logits.view(-1, len(symbols)), y.view(-1))
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_value_(model.parameters(), 1.0)
    optimizer.step()
print("characters %.4f" % loss.item())
c, h, said = codes[:1].view(1, 1), None, ""
with torch.no_grad():
    for _ in range(12):
        logits, h = model(c, h)
        c = torch.multinomial(F.softmax(logits[0, -1] / 0.8, dim=0), 1).view(1, 1)
        said += symbols[c.item()]
print(repr(said))


# -- translation with attention -----------------------------------------------------------
class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.gru = nn.Embedding(10, 8), nn.GRU(8, 8, bidirectional=True)
        self.fc = nn.Linear(16, 8)

    def forward(self, x):
        outputs, h = self.gru(self.emb(x))
        return outputs, torch.tanh(self.fc(torch.cat((h[-2], h[-1]), dim=1)))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.gru = nn.Embedding(10, 8), nn.GRU(24, 8)
        self.attn, self.v = nn.Linear(24, 8), nn.Linear(8, 1, bias=False)
        self.out = nn.Linear(32, 10)

    def forward(self, y, h, encoded):
        embedded, encoded = self.emb(y.unsqueeze(0)), encoded.permute(1, 0, 2)
        repeated = h.unsqueeze(1).repeat(1, encoded.shape[1], 1)
        energy = torch.tanh(self.attn(torch.cat((repeated, encoded), dim=2)))
        attention = F.softmax(self.v(energy).squeeze(2), dim=1).unsqueeze(1)
        weighted = torch.bmm(attention, encoded).permute(1, 0, 2)
        output, h = self.gru(torch.cat((embedded, weighted), dim=2), h.unsqueeze(0))
        parts = output.squeeze(0), weighted.squeeze(0), embedded.squeeze(0)
        return self.out(torch.cat(parts, dim=1)), h.squeeze(0)


def init_weights(module):
    for name, p in module.named_parameters():
        nn.init.uniform_(p.data, -0.08, 0.08)


encoder, decoder = Encoder().apply(init_weights), Decoder().apply(init_weights)
optimizer = optim.AdamW([*encoder.parameters(), *decoder.parameters()], lr=0.02)
criterion = nn.CrossEntropyLoss(ignore_index=0)
for _ in range(15):
    source = torch.randint(1, 10, (5, 4))
    target = torch.flip(source, [0])
    encoded, h = encoder(source)
    outputs, last = torch.zeros(5, 4, 10), torch.zeros(4, dtype=torch.long)
    for t in range(5):
        outputs[t], h = decoder(last, h, encoded)
        last = target[t] if torch.rand(1).item() < 0.5 else outputs[t].argmax(1)
    loss = criterion(outputs.view(-1, 10), target.view(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("translation %.4f" % loss.item())
