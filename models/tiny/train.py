#!/usr/bin/env python3
"""Trains gridtie/tiny from corpus.txt and writes it as GGUF in F16, Q8_0 and Q4_0.

    python3 train.py                 train, export, ask the held-out questions; about half an hour on two slow cores
    python3 train.py --steps 50      a quick look whether everything is in place

Needs PyTorch, and the packages in requirements.txt. Everything random follows from --seed.
"""
import argparse, json, math, pathlib, random, sys, time

import gguf
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent
VOCAB, DIM, LAYERS, HEADS, FFN, CONTEXT, ROPE_BASE, EPS = 1024, 192, 4, 6, 512, 1024, 10000.0, 1e-5
SPECIALS = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
END, SYSTEM, USER, ASSISTANT = range(4)
TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def read_corpus(path):
    """Blocks of the corpus: dicts with name, must (list), answer, train (list), held_out (list)."""
    facts = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        tag, _, rest = line.partition(" ")
        if tag == "fact":
            facts.append({"name": rest, "must": [], "answer": "", "subjects": [], "train": [], "held_out": []})
        elif tag == "must":
            facts[-1]["must"] = rest.lower().split("|")
        elif tag == "A":
            facts[-1]["answer"] = rest
        elif tag == "S":
            facts[-1]["subjects"] = rest.split("|")
        elif tag in "QH":
            facts[-1]["train" if tag == "Q" else "held_out"].append(rest)
        else:
            sys.exit(f"{path.name}:{number}: a line starts with fact, must, S, A, Q or H, not {tag!r}")
    held_out = {plain(q) for f in facts for q in f["held_out"]}
    for f in facts:
        asked = [form.format(subject) for subject in f["subjects"] for form in FORMS]
        f["formed"] = [q for q in asked if plain(q) not in held_out]
    trained = {plain(q) for f in facts for q in f["train"] + f["formed"]}
    for f in facts:
        assert any(m in f["answer"].lower() for m in f["must"]), f"{f['name']}: its answer does not hold its own fact"
        for q in f["held_out"]:
            assert plain(q) not in trained, f"{q!r} is held out and trained on"
    return facts


FORMS = [
    "Could you explain {}?", "Can you explain {} to me?", "Please explain {}.", "Explain {} in short.", "Tell me something about {}.",
    "What about {}?", "I want to know about {}.", "What should I know about {}?", "Could you describe {}?", "Describe {}, please.",
    "What can you say about {}?", "How about {}?", "I do not understand {}.", "Give me a summary of {}.", "Help me understand {}.",
    "What is the idea behind {}?", "Could you tell me about {}?", "What is meant by {}?", "{}?", "I have a question about {}.",
]


def plain(question):
    return "".join(c for c in question.lower() if c.isalnum())


PREFIXES = ["Please tell me: ", "Hey, ", "Ok, ", "One question: ", "Tell me, ", "I wonder, ", "Well, ", "So, ", "And ", "Can you tell me, "]
SUFFIXES = [" please", " please?", " thanks", " in short?", " in Gridtie?", " here?", " for me?"]


def vary(question, rng):
    """The question as a hasty person may type it."""
    if rng.random() < 0.25:
        question = rng.choice(PREFIXES) + question[0].lower() + question[1:]
    if rng.random() < 0.15:
        question = question.rstrip("?.! ") + rng.choice(SUFFIXES)
    if rng.random() < 0.15:
        words = question.split(" ")
        if len(words) > 3:
            del words[rng.randrange(len(words) - 1)]
        question = " ".join(words)
    if rng.random() < 0.1 and len(question) > 8:
        i = rng.randrange(1, len(question) - 2)
        question = question[:i] + question[i + 1] + question[i] + question[i + 2:]
    if rng.random() < 0.2:
        question = question.rstrip("?.!")
    if rng.random() < 0.25:
        question = question.lower()
    return question


SYSTEM_PROMPTS = ["You are a helpful assistant.", "You are gridtie/tiny.", "Answer in short.", "Be kind and brief.", "You answer questions about Gridtie."]


def conversation(facts, rng, tok):
    """Token ids of one conversation of one to three turns, and for each whether it belongs to an answer."""
    ids, answer = [], []

    def add(tokens, is_answer):
        ids.extend(tokens)
        answer.extend([is_answer] * len(tokens))

    if rng.random() < 0.2:
        add([SYSTEM] + tok.encode(rng.choice(SYSTEM_PROMPTS)).ids + [END], False)
    for _ in range(rng.choices([1, 2, 3], [0.75, 0.18, 0.07])[0]):
        fact = rng.choice(facts)
        question = rng.choice(fact["formed"] if fact["formed"] and rng.random() < 0.3 else fact["train"])
        if rng.random() < 0.7:
            question = vary(question, rng)
        add([USER] + tok.encode(question).ids + [END, ASSISTANT], False)
        add(tok.encode(fact["answer"]).ids + [END], True)
    return ids, answer


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(DIM))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * self.weight


def rotate(x, cos, sin):
    """Rotary position embedding over neighbouring pairs, as llama.cpp's llama architecture does it."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        linear = lambda i, o: nn.Linear(i, o, bias=False)
        self.q, self.k, self.v, self.o = linear(DIM, DIM), linear(DIM, DIM), linear(DIM, DIM), linear(DIM, DIM)
        self.gate, self.up, self.down = linear(DIM, FFN), linear(DIM, FFN), linear(FFN, DIM)
        self.attn_norm, self.ffn_norm = Norm(), Norm()

    def forward(self, x, cos, sin, mask):
        b, t, _ = x.shape
        h = self.attn_norm(x)
        split = lambda y: y.view(b, t, HEADS, DIM // HEADS).transpose(1, 2)
        q, k, v = rotate(split(self.q(h)), cos, sin), rotate(split(self.k(h)), cos, sin), split(self.v(h))
        weights = F.softmax(q @ k.transpose(-1, -2) / math.sqrt(DIM // HEADS) + mask, -1)
        x = x + self.o((weights @ v).transpose(1, 2).reshape(b, t, DIM))
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Tiny(nn.Module):
    """The llama architecture at toy size: forward maps ids (batch, time) to logits (batch, time, vocabulary)."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, DIM)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = Norm()
        self.out = nn.Linear(DIM, VOCAB, bias=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02 / (math.sqrt(2 * LAYERS) if name.endswith(("o.weight", "down.weight")) else 1))
        half = torch.arange(0, DIM // HEADS, 2).float() / (DIM // HEADS)
        angles = torch.outer(torch.arange(CONTEXT).float(), ROPE_BASE ** -half)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, ids):
        t = ids.shape[1]
        x = self.embed(ids)
        mask = torch.full((t, t), float("-inf")).triu(1)
        for block in self.blocks:
            x = block(x, self.cos[:t], self.sin[:t], mask)
        return self.out(self.norm(x))


@torch.no_grad()
def greedy(model, prompt, limit=120):
    ids = list(prompt)
    for _ in range(limit):
        nxt = int(model(torch.tensor([ids]))[0, -1].argmax())
        if nxt == END:
            break
        ids.append(nxt)
    return ids[len(prompt):]


def train_tokenizer(facts):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    lines = [f["answer"] for f in facts for _ in range(6)] + [q for f in facts for q in f["train"]] + FORMS + PREFIXES + SUFFIXES + SYSTEM_PROMPTS
    tok.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=[AddedToken(s, special=True) for s in SPECIALS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    assert tok.get_vocab_size() == VOCAB, tok.get_vocab_size()
    return tok


def train(facts, tok, steps, seed, batch=32):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    model = Tiny()
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    decay = [p for p in model.parameters() if p.dim() == 2]
    other = [p for p in model.parameters() if p.dim() != 2]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": other, "weight_decay": 0.0}], lr=3e-3, betas=(0.9, 0.98))
    started = time.time()
    for step in range(steps):
        rate = 3e-3 * min(1, (step + 1) / 40) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = max(rate, 3e-5)
        drawn = sorted((conversation(facts, rng, tok) for _ in range(batch)), key=lambda c: len(c[0]))
        width = min(max(len(c[0]) for c in drawn), CONTEXT)
        ids = torch.zeros(batch, width, dtype=torch.long)
        weight = torch.zeros(batch, width)
        for row, (tokens, answer) in enumerate(drawn):
            n = min(len(tokens), width)
            ids[row, :n] = torch.tensor(tokens[:n])
            weight[row, :n] = torch.tensor([1.0 if a else 0.1 for a in answer[:n]])
        logits = model(ids[:, :-1])
        losses = F.cross_entropy(logits.reshape(-1, VOCAB), ids[:, 1:].reshape(-1), reduction="none")
        w = weight[:, 1:].reshape(-1)
        loss = (losses * w).sum() / w.sum()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 25 == 0 or step == steps - 1:
            print(f"step {step:5d}/{steps}  loss {loss.item():.4f}  {time.time() - started:6.0f} s", flush=True)
    return model


def ask_held_out(model, tok, facts):
    model.eval()
    rows = []
    for f in facts:
        for q in f["held_out"]:
            answer = tok.decode(greedy(model, [USER] + tok.encode(q).ids + [END, ASSISTANT]))
            rows.append({"fact": f["name"], "question": q, "answer": answer, "right": any(m in answer.lower() for m in f["must"])})
    return rows


def export(model, tok, path, kind):
    """One GGUF file: matrices in the given kind, norms in F32, tokenizer and chat template inside."""
    w = gguf.GGUFWriter(str(path), "llama")
    w.add_name("gridtie/tiny")
    w.add_description("A demonstration that knows Gridtie, x402, ledgers and receipts, and nothing else.")
    w.add_license("apache-2.0")
    w.add_context_length(CONTEXT)
    w.add_embedding_length(DIM)
    w.add_block_count(LAYERS)
    w.add_feed_forward_length(FFN)
    w.add_head_count(HEADS)
    w.add_head_count_kv(HEADS)
    w.add_rope_dimension_count(DIM // HEADS)
    w.add_rope_freq_base(ROPE_BASE)
    w.add_layer_norm_rms_eps(EPS)
    w.add_vocab_size(VOCAB)
    w.add_file_type({"F16": gguf.LlamaFileType.MOSTLY_F16, "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0, "Q4_0": gguf.LlamaFileType.MOSTLY_Q4_0}[kind])
    described = json.loads(tok.to_str())
    tokens = [t for t, _ in sorted(tok.get_vocab().items(), key=lambda e: e[1])]
    merges = [m if isinstance(m, str) else " ".join(m) for m in described["model"]["merges"]]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.CONTROL if t in SPECIALS else gguf.TokenType.NORMAL for t in tokens])
    w.add_token_merges(merges)
    w.add_bos_token_id(END)
    w.add_eos_token_id(END)
    w.add_add_bos_token(False)
    w.add_chat_template(TEMPLATE)

    def put(name, parameter):
        data = parameter.detach().float().numpy()
        if data.ndim == 1:
            w.add_tensor(name, data.astype(np.float32))
        elif kind == "F16":
            w.add_tensor(name, data.astype(np.float16))
        else:
            qtype = gguf.GGMLQuantizationType[kind]
            w.add_tensor(name, gguf.quants.quantize(data, qtype), raw_dtype=qtype)

    put("token_embd.weight", model.embed.weight)
    for i, b in enumerate(model.blocks):
        for name, module in [("attn_q", b.q), ("attn_k", b.k), ("attn_v", b.v), ("attn_output", b.o), ("ffn_gate", b.gate), ("ffn_up", b.up),
                             ("ffn_down", b.down), ("attn_norm", b.attn_norm), ("ffn_norm", b.ffn_norm)]:
            put(f"blk.{i}.{name}.weight", module.weight)
    put("output_norm.weight", model.norm.weight)
    put("output.weight", model.out.weight)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--steps", type=int, default=1100)
    args.add_argument("--seed", type=int, default=402)
    args.add_argument("--out", type=pathlib.Path, default=HERE, help="where the .gguf files and heldout.json go")
    a = args.parse_args()
    facts = read_corpus(HERE / "corpus.txt")
    tok = train_tokenizer(facts)
    model = train(facts, tok, a.steps, a.seed)
    a.out.mkdir(parents=True, exist_ok=True)
    for kind in ("F16", "Q8_0", "Q4_0"):
        export(model, tok, a.out / f"gridtie-tiny-{kind}.gguf", kind)
    rows = ask_held_out(model, tok, facts)
    right = sum(r["right"] for r in rows)
    (a.out / "heldout.json").write_text(json.dumps({"seed": a.seed, "steps": a.steps, "asked": len(rows), "right": right, "rows": rows}, indent=1) + "\n")
    print(f"{right} of {len(rows)} held-out questions answered with the right fact")


if __name__ == "__main__":
    main()
