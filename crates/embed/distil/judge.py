"""The labelled set, the lexical ranking, the ways of merging, and the measures."""
import glob, json, math, os, re
import numpy as np
import snowballstemmer

STOP = set("""a about above after again against all also am an and any are as at be because been before being below
between both but by can could did do does doing down during each few for from further had has have having he her here
hers him his how i if in into is it its itself just me more most my no nor not now of off on once only or other our out
over own same she should so some such than that the their them then there these they this those through to too under
until up very was we were what when where which while who whom why will with would you your""".split())
_stem = snowballstemmer.stemmer("english")


def stems(text):
    return _stem.stemWords([w for w in re.findall(r"[a-z0-9]+", text.lower()) if w not in STOP])


def load(folders):
    arts, qs = [], []
    for f in sorted(folders):
        for name, to in (("articles", arts), ("questions", qs)):
            path = os.path.join(f, name + ".jsonl")
            if os.path.exists(path):
                for line in open(path):
                    try:
                        to.append(json.loads(line))
                    except ValueError:
                        pass
    pos = {a["id"]: i for i, a in enumerate(arts)}
    qs = [q for q in qs if q["article"] in pos]
    for q in qs:
        q["right"] = [pos[i] for i in [q["article"]] + q.get("also", []) if i in pos]
    return arts, qs


def bm25(arts, qs, title=3.0, k1=1.2, b=0.5):
    docs = []
    for a in arts:
        tf = {}
        for w in stems(a["title"] + " " + " ".join(a.get("tags", []))):
            tf[w] = tf.get(w, 0) + title
        for w in stems(a["body"]):
            tf[w] = tf.get(w, 0) + 1
        docs.append(tf)
    n = len(docs)
    df = {}
    for d in docs:
        for w in d:
            df[w] = df.get(w, 0) + 1
    ln = np.array([sum(d.values()) for d in docs])
    ln = ln / ln.mean()
    s = np.zeros((len(qs), n))
    for i, q in enumerate(qs):
        for w in set(stems(q["question"])):
            if w in df:
                idf = math.log(1 + (n - df[w] + 0.5) / (df[w] + 0.5))
                for j, d in enumerate(docs):
                    if w in d:
                        s[i, j] += idf * d[w] * (k1 + 1) / (d[w] + k1 * (1 - b + b * ln[j]))
    return s


def trigrams(arts, qs):
    """Share of the question's trigrams that the article has, weighted by rarity."""
    def tri(text):
        out = set()
        for w in re.findall(r"[a-z0-9]+", text.lower()):
            if w not in STOP:
                w = "  " + w + " "
                out.update(w[i:i + 3] for i in range(len(w) - 2))
        return out
    docs = [tri(a["title"] + " " + a["body"]) for a in arts]
    df = {}
    for d in docs:
        for t in d:
            df[t] = df.get(t, 0) + 1
    s = np.zeros((len(qs), len(docs)))
    for i, q in enumerate(qs):
        w = {t: math.log(1 + len(docs) / (1 + df.get(t, 0))) for t in tri(q["question"])}
        tot = sum(w.values()) or 1
        for j, d in enumerate(docs):
            s[i, j] = sum(w[t] for t in d if t in w) / tot
    return s


def ranks(s):
    o = np.argsort(-s, axis=1, kind="stable")
    r = np.empty_like(o)
    np.put_along_axis(r, o, np.arange(s.shape[1])[None, :].repeat(len(s), 0), 1)
    return r


def rrf(parts, k=60, depth=100):
    """parts: (score matrix, weight); a score of 0 or less is no hit for `only positive` rankings."""
    out = 0
    for s, w in parts:
        r = ranks(s)
        out = out + np.where((r < depth) & (s > 0), w / (k + 1 + r), 0.0)
    return out


def minmax(parts):
    out = 0
    for s, w in parts:
        lo, hi = s.min(1, keepdims=True), s.max(1, keepdims=True)
        out = out + w * (s - lo) / np.maximum(hi - lo, 1e-9)
    return out


def measure(s, qs):
    r = ranks(s)
    best = np.array([min(r[i, j] for j in q["right"]) for i, q in enumerate(qs)])
    kind = np.array([q["kind"] for q in qs])
    res = {}
    for k in ("all", "shared", "other"):
        b = best if k == "all" else best[kind == k]
        res[k] = (float((b < 1).mean()), float((b < 5).mean()), float((1 / (b + 1)).mean()))
    return res


def row(name, s, qs, extra=""):
    m = measure(s, qs)
    print(f"| {name} | {extra} | " + " | ".join(f"{100*m[k][0]:.1f} / {100*m[k][1]:.1f} / {m[k][2]:.3f}" for k in ("all", "shared", "other")) + " |", flush=True)
    return m
