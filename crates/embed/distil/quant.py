"""Four-bit weights: groups of 32 along a row, one f16 scale each; rounding by GPTQ or to nearest."""
import numpy as np, jax, jax.numpy as jnp
import minilm

GROUP = 32
F = np.linspace(0.6, 1.0, 17, dtype=np.float32)


def scales(w, bits=4, weight=None):
    """Best scale of each group of 32 by squared error; w: rows x cols."""
    lim = 2 ** (bits - 1) - 1
    g = w.reshape(w.shape[0], -1, GROUP)
    top = np.maximum(np.abs(g).max(-1), 1e-8)
    best, err = None, None
    for f in F:
        s = np.float16(top * f / lim).astype(np.float32)
        s = np.maximum(s, 6e-8)
        q = np.clip(np.round(g / s[..., None]), -lim - 1, lim)
        e = ((q * s[..., None] - g) ** 2)
        if weight is not None:
            e = e * weight.reshape(1, -1, GROUP)
        e = e.sum(-1)
        if best is None:
            best, err = s, e
        else:
            best = np.where(e < err, s, best)
            err = np.minimum(e, err)
    return best


def nearest(w, bits=4):
    lim = 2 ** (bits - 1) - 1
    s = scales(w, bits)
    q = np.clip(np.round(w.reshape(w.shape[0], -1, GROUP) / s[..., None]), -lim - 1, lim).astype(np.int8)
    return q.reshape(w.shape), s


def value(q, s):
    return (q.reshape(q.shape[0], -1, GROUP) * s[..., None]).reshape(q.shape).astype(np.float32)


def gptq(w, h, bits=4, damp=0.01):
    """h: cols x cols second moments of the inputs."""
    lim = 2 ** (bits - 1) - 1
    w = w.astype(np.float64).copy()
    n = w.shape[1]
    h = h.astype(np.float64) + np.eye(n) * damp * np.mean(np.diag(h))
    inv = np.linalg.cholesky(np.linalg.inv(h)).T  # upper: inv = U, H^-1 = U^T U
    q = np.zeros(w.shape, np.int8)
    s = np.zeros((w.shape[0], n // GROUP), np.float32)
    for a in range(0, n, GROUP):
        blk = w[:, a:a + GROUP].copy()
        s[:, a // GROUP] = scales(blk.astype(np.float32), bits, np.ones(GROUP, np.float32))[:, 0]
        sc = s[:, a // GROUP].astype(np.float64)
        err = np.zeros_like(blk)
        for i in range(GROUP):
            d = inv[a + i, a + i]
            c = np.clip(np.round(blk[:, i] / sc), -lim - 1, lim)
            q[:, a + i] = c
            e = (blk[:, i] - c * sc) / d
            blk[:, i:] -= e[:, None] * inv[a + i, a + i:a + GROUP][None]
            err[:, i] = e
        w[:, a + GROUP:] -= err @ inv[a:a + GROUP, a + GROUP:]
    return q, s


def moments(x, mask):
    x = np.asarray(x).reshape(-1, x.shape[-1])[np.asarray(mask).reshape(-1) > 0]
    return (x.T @ x) / len(x)


LIN = ("q", "k", "v", "o", "f1", "f2")


def quantise(p, calib, bits=4, how="gptq"):
    """p with quantised matrices (as values) and the codes; calib: list of (ids, mask) of one shape each."""
    word_q = nearest(p["word"], bits)
    out = dict(p, word=value(*word_q), layers=[])
    codes = {"word": word_q, "layers": []}
    xs = [np.asarray(minilm.norm(out["word"][i] + p["pos"][: i.shape[1]], p["ln"])) for i, _ in calib]
    masks = [m for _, m in calib]
    hd = minilm.HEADS

    @jax.jit
    def att(l, x, mask):
        b, n, d = x.shape
        sp = lambda y: y.reshape(b, n, hd, d // hd).transpose(0, 2, 1, 3)
        q, k, v = (sp(minilm.lin(x, l[c])) for c in "qkv")
        a = jax.nn.softmax(q @ k.transpose(0, 1, 3, 2) / np.sqrt(d // hd) + jnp.where(mask[:, None, None, :] > 0, 0.0, -1e9), -1)
        return (a @ v).transpose(0, 2, 1, 3).reshape(b, n, d)

    @jax.jit
    def mid(l, x, o):
        x = minilm.norm(x + minilm.lin(o, l["o"]), l["ln1"])
        return x, jax.nn.gelu(minilm.lin(x, l["f1"]), approximate=False)

    @jax.jit
    def end(l, x, h):
        return minilm.norm(x + minilm.lin(h, l["f2"]), l["ln2"])

    mean = lambda arrs: sum(moments(a, m) for a, m in zip(arrs, masks)) / len(arrs)
    for l in p["layers"]:
        l = dict(l)
        c = {}

        def do(keys, arrs):
            h = mean(arrs) if how == "gptq" else None
            for k in keys:
                c[k] = gptq(np.asarray(l[k][0]), h, bits) if h is not None else nearest(np.asarray(l[k][0]), bits)
                l[k] = (value(*c[k]), l[k][1])

        do("qkv", xs)
        os_ = [np.asarray(att(l, x, m)) for x, m in zip(xs, masks)]
        do(["o"], os_)
        x1 = [minilm.norm(x + minilm.lin(o, l["o"]), l["ln1"]) for x, o in zip(xs, os_)]
        do(["f1"], [np.asarray(x) for x in x1])
        hs = [np.asarray(mid(l, x, o)[1]) for x, o in zip(xs, os_)]
        do(["f2"], hs)
        xs = [np.asarray(end(l, x, h)) for x, h in zip(x1, hs)]
        out["layers"].append(l)
        codes["layers"].append(c)
    return out, codes


def repair(q, codes, teacher, batches, steps, lr=1e-3, log=10):
    """After rounding: the codes stay, the scales, offsets, norms and positions learn to give the teacher's vectors again.

    batches: iterator of lists of (ids, mask). Returns like `quantise`.
    """
    import time, tune
    tree = jax.tree_util.tree_map
    fixed = {"word": jnp.asarray(codes["word"][0]), "layers": [{k: jnp.asarray(c[k][0]) for k in LIN} for c in codes["layers"]]}
    zero = lambda s: jnp.zeros(s.shape, jnp.float32)
    base = {"word": jnp.asarray(codes["word"][1]), "layers": [{k: jnp.asarray(c[k][1]) for k in LIN} for c in codes["layers"]]}
    tr = {"scale": tree(zero, base), "pos": jnp.asarray(q["pos"]), "ln": tree(jnp.asarray, q["ln"]),
          "layers": [dict({k: jnp.asarray(l[k][1]) for k in LIN}, ln1=tree(jnp.asarray, l["ln1"]), ln2=tree(jnp.asarray, l["ln2"]))
                     for l in q["layers"]]}
    mul = lambda c, s: (c.reshape(c.shape[0], -1, GROUP) * s[..., None]).reshape(c.shape)

    def build(tr, fixed, base):
        s = tree(lambda b, e: b * (1 + e), base, tr["scale"])
        layers = [dict({k: (mul(c[k], x[k]), t[k]) for k in LIN}, ln1=t["ln1"], ln2=t["ln2"])
                  for t, c, x in zip(tr["layers"], fixed["layers"], s["layers"])]
        return {"word": mul(fixed["word"], s["word"]), "pos": tr["pos"], "ln": tr["ln"], "layers": layers}

    def loss(tr, fixed, base, parts, want):
        p = build(tr, fixed, base)
        v = jnp.concatenate([minilm.pooled(p, *x) for x in parts])
        return (1 - (v * want).sum(1)).mean() + 5 * ((v @ v.T - want @ want.T) ** 2).mean()

    @jax.jit
    def step(tr, m, v, fixed, base, parts, want, lr, t):
        val, g = jax.value_and_grad(loss)(tr, fixed, base, parts, want)
        return *tune.adam(tr, m, v, g, lr, t, 0.0), val

    m = v = tree(jnp.zeros_like, tr)
    t0, hist = time.time(), []
    for i in range(steps):
        parts = next(batches)
        want = jnp.concatenate([minilm._pooled(teacher, *x) for x in parts])
        tr, m, v, val = step(tr, m, v, fixed, base, parts, want, lr * min(1.0, (i + 1) / 5) * (1 - i / steps), i + 1.0)
        hist.append(float(val))
        if i % log == 0 or i == steps - 1:
            print(f"  repair {i} {time.time() - t0:.0f}s loss {np.mean(hist[-log:]):.5f}", flush=True)
    s = tree(lambda b, e: np.asarray(np.float16(b * (1 + e)), np.float32), base, tree(np.asarray, tr["scale"]))
    out = {"word": (codes["word"][0], s["word"]), "layers": [{k: (c[k][0], x[k]) for k in LIN} for c, x in zip(codes["layers"], s["layers"])]}
    tr = tree(np.asarray, tr)
    layers = [dict({k: (value(*c[k]), t[k]) for k in LIN}, ln1=t["ln1"], ln2=t["ln2"]) for t, c in zip(tr["layers"], out["layers"])]
    return {"word": value(*out["word"]), "pos": tr["pos"], "ln": tr["ln"], "layers": layers}, out
