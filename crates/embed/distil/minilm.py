"""The source model (all-MiniLM-L6-v2): loading and a plain JAX forward pass."""
import json, pathlib
import numpy as np, jax, jax.numpy as jnp
from safetensors.numpy import load_file
from tokenizers import Tokenizer

HEADS = 12


def load(folder):
    folder = pathlib.Path(folder)
    t = load_file(folder / "model.safetensors")
    tok = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tok.no_truncation()
    tok.no_padding()
    p = {
        "word": t["embeddings.word_embeddings.weight"],
        # the token type is always 0: its row goes into the positions
        "pos": t["embeddings.position_embeddings.weight"] + t["embeddings.token_type_embeddings.weight"][0],
        "ln": (t["embeddings.LayerNorm.weight"], t["embeddings.LayerNorm.bias"]),
        "layers": [],
    }
    i = 0
    while f"encoder.layer.{i}.attention.self.query.weight" in t:
        n = f"encoder.layer.{i}."
        g = lambda k: (t[n + k + ".weight"], t[n + k + ".bias"])
        p["layers"].append({
            "q": g("attention.self.query"), "k": g("attention.self.key"), "v": g("attention.self.value"),
            "o": g("attention.output.dense"), "ln1": g("attention.output.LayerNorm"),
            "f1": g("intermediate.dense"), "f2": g("output.dense"), "ln2": g("output.LayerNorm"),
        })
        i += 1
    return p, tok


def norm(x, wb):
    m = x.mean(-1, keepdims=True)
    v = ((x - m) ** 2).mean(-1, keepdims=True)
    return (x - m) * jax.lax.rsqrt(v + 1e-12) * wb[0] + wb[1]


def lin(x, wb):
    return x @ wb[0].T + wb[1]


def hidden(p, ids, mask, drop=None):
    """drop: (key, rate) for training: whole features of a sequence are dropped from each part's output."""
    b, n = ids.shape
    keys = iter(jax.random.split(drop[0], 1 + 2 * len(p["layers"]))) if drop else None

    def thin(y):
        return y * jax.random.bernoulli(next(keys), 1 - drop[1], (b, 1, y.shape[-1])) / (1 - drop[1]) if drop else y

    x = thin(norm(p["word"][ids] + p["pos"][:n], p["ln"]))
    bias = jnp.where(mask[:, None, None, :] > 0, 0.0, -1e9)
    for l in p["layers"]:
        d = x.shape[-1]
        sp = lambda y: y.reshape(b, n, HEADS, d // HEADS).transpose(0, 2, 1, 3)
        q, k, v = sp(lin(x, l["q"])), sp(lin(x, l["k"])), sp(lin(x, l["v"]))
        a = jax.nn.softmax(q @ k.transpose(0, 1, 3, 2) / np.sqrt(d // HEADS) + bias, -1)
        o = (a @ v).transpose(0, 2, 1, 3).reshape(b, n, d)
        x = norm(x + thin(lin(o, l["o"])), l["ln1"])
        x = norm(x + thin(lin(jax.nn.gelu(lin(x, l["f1"]), approximate=False), l["f2"])), l["ln2"])
    return x


def pooled(p, ids, mask, drop=None):
    x = hidden(p, ids, mask, drop)
    m = mask[..., None].astype(x.dtype)
    v = (x * m).sum(1) / m.sum(1)
    return v / jnp.linalg.norm(v, axis=-1, keepdims=True)


_pooled = jax.jit(pooled)
BUCKETS = (8, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


def embed(p, seqs, budget=2048, fn=None, limit=256, report=False):
    """Sentence vectors of token id lists (with [CLS] and [SEP]), batched by length."""
    fn = fn or _pooled
    seqs = [s if len(s) <= limit else s[: limit - 1] + s[-1:] for s in seqs]
    out = np.zeros((len(seqs), 384), np.float32)
    by = {}
    for i, s in enumerate(seqs):
        by.setdefault(next(b for b in BUCKETS if len(s) <= b), []).append(i)
    done = 0
    import time
    t0 = time.time()
    for b, idx in sorted(by.items()):
        step = max(1, budget // b)
        for j in range(0, len(idx), step):
            part = idx[j: j + step]
            ids = np.zeros((step, b), np.int32)
            mask = np.zeros((step, b), np.int32)
            for r, i in enumerate(part):
                ids[r, : len(seqs[i])] = seqs[i]
                mask[r, : len(seqs[i])] = 1
            mask[len(part):, 0] = 1
            out[part] = np.asarray(fn(p, ids, mask))[: len(part)]
            done += len(part)
            if report and (j // step) % 50 == 0:
                print(f"  embedded {done}/{len(seqs)} bucket {b} {time.time() - t0:.0f}s", flush=True)
    return out
