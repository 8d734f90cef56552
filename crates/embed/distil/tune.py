"""Contrastive fine-tuning of the source model on pairs (question, passage)."""
import time
import numpy as np, jax, jax.numpy as jnp
import minilm

tree = jax.tree_util.tree_map


def pad(seqs, n, sep=102):
    ids = np.zeros((len(seqs), n), np.int32)
    mask = np.zeros((len(seqs), n), np.int32)
    for i, s in enumerate(seqs):
        s = s if len(s) <= n else s[: n - 1] + [sep]
        ids[i, : len(s)] = s
        mask[i, : len(s)] = 1
    return ids, mask


def grouped(seqs, widths):
    """Sorted by length and cut into len(widths) equal parts, each padded to its width; and the order to put them back."""
    order = np.argsort([len(s) for s in seqs], kind="stable")
    parts = np.array_split(order, len(widths))
    return [pad([seqs[i] for i in part], w) for part, w in zip(parts, widths)], np.argsort(order)


def same_text(keys):
    k = np.array(keys)
    return (k[:, None] == k[None]).astype(np.float32) - np.eye(len(k), dtype=np.float32)


def adam(tr, m, v, g, lr, t, decay):
    n = jnp.sqrt(sum((x ** 2).sum() for x in jax.tree_util.tree_leaves(g)))
    g = tree(lambda x: x * jnp.minimum(1.0, 1.0 / n), g)
    m = tree(lambda a, b: 0.9 * a + 0.1 * b, m, g)
    v = tree(lambda a, b: 0.98 * a + 0.02 * b * b, v, g)
    c1, c2 = 1 - 0.9 ** t, 1 - 0.98 ** t
    tr = tree(lambda w, a, b: w - lr * (a / c1 / (jnp.sqrt(b / c2) + 1e-8) + decay * w * (w.ndim > 1)), tr, m, v)
    return tr, m, v


def contrast(a, b, same, scale):
    """Right passage among all passages (0.7) and right question among all questions (0.3) of the batch."""
    s = scale * a @ b.T - 1e4 * same
    y = jnp.arange(s.shape[0])
    l = lambda z: (jax.nn.logsumexp(z, 1) - z[y, y]).mean()
    return 0.7 * l(s) + 0.3 * l(s.T)


def train(p, batches, steps, lr, widths, scale=20.0, decay=0.01, drop=0.0, seed=0, warm=20, log=20, each=lambda i, p: None):
    """All layers, not the token table. batches: iterator of (question id lists, passage id lists, passages); widths: of the parts of
    questions and passages. The rate falls linearly to 0 at the end. each: is told of every step."""
    fz = {k: x for k, x in p.items() if k != "layers"}
    fz = tree(jnp.asarray, fz)
    tr = tree(jnp.asarray, p["layers"])

    def loss(tr, fz, q, d, same, key):
        keys = iter(jax.random.split(key, 16))
        full = dict(fz, layers=tr)
        vec = lambda groups, back: jnp.concatenate([minilm.pooled(full, *g, (next(keys), drop) if drop else None) for g in groups])[back]
        return contrast(vec(*q), vec(*d), same, scale)

    @jax.jit
    def step(tr, m, v, fz, q, d, same, key, lr, t):
        val, g = jax.value_and_grad(loss)(tr, fz, q, d, same, key)
        return *adam(tr, m, v, g, lr, t, decay), val

    m = v = tree(jnp.zeros_like, tr)
    t0, hist = time.time(), []
    for i in range(steps):
        q, d, keys = next(batches)
        rate = lr * min(1.0, (i + 1) / warm) * (1 - i / steps)
        tr, m, v, val = step(tr, m, v, fz, grouped(q, widths[0]), grouped(d, widths[1]), same_text(keys),
                           jax.random.PRNGKey(seed * 100003 + i), rate, i + 1.0)
        hist.append(float(val))
        if i % log == 0 or i == steps - 1:
            print(f"  step {i} {time.time() - t0:.0f}s loss {np.mean(hist[-log:]):.3f}", flush=True)
        each(i, dict(fz, layers=tr))
    return tree(np.asarray, dict(fz, layers=tr))

