"""Judges model.bin on labelled sets: evaluate.py FOLDER... (each with articles.jsonl and questions.jsonl)."""
import argparse, math, pathlib, re
import numpy as np
import export, judge, minilm


def coverage(arts, qs):
    """Rarity-weighted share of the question's stems that the article has; and the plain share."""
    docs = [set(judge.stems(a["title"] + " " + " ".join(a.get("tags", [])) + " " + a["body"])) for a in arts]
    df = {}
    for d in docs:
        for w in d:
            df[w] = df.get(w, 0) + 1
    idf = lambda w: math.log(1 + (len(docs) - df.get(w, 0) + 0.5) / (df.get(w, 0) + 0.5))
    c, plain = np.zeros((len(qs), len(docs))), np.zeros((len(qs), len(docs)))
    for i, q in enumerate(qs):
        s = set(judge.stems(q["question"]))
        tot = sum(map(idf, s)) or 1
        for j, d in enumerate(docs):
            c[i, j] = sum(idf(w) for w in s & d) / tot
            plain[i, j] = len(s & d) / max(1, len(s))
    return c, plain


def windows(m, a, size, over):
    t, b, out, at = m.pieces(a["title"] + ".")[:64], m.pieces(a["body"]), [], 0
    while True:
        out.append([m.cls] + (t + b[at:at + size])[: m.positions - 2] + [m.sep])
        if at + size >= len(b):
            return out
        at += size - over


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--model", default=str(pathlib.Path(__file__).parent / "model.bin"))
    ap.add_argument("--variants", action="store_true")
    ap.add_argument("folders", nargs="+")
    a = ap.parse_args()
    m = export.Model(a.model)
    p = {"word": m.word, "pos": m.pos, "ln": tuple(m.ln), "layers": [{k: tuple(v) for k, v in l.items()} for l in m.layers]}
    arts, qs = judge.load(a.folders)
    print(len(arts), "articles", len(qs), "questions; recall@1 / @5 / MRR: all, shared, other")
    q = minilm.embed(p, [[m.cls] + m.pieces(x["question"]) + [m.sep] for x in qs])
    scores = {}
    for size, over in ((180, 30), (100, 25), (250, 0)) if a.variants else ((180, 30),):
        groups, seqs = [], []
        for j, x in enumerate(arts):
            w = windows(m, x, size, over)
            groups += [j] * len(w)
            seqs += w
        s = q @ minilm.embed(p, seqs, limit=m.positions).T
        best = np.full((len(qs), len(arts)), -1.0)
        for g, j in enumerate(groups):
            best[:, j] = np.maximum(best[:, j], s[:, g])
        scores[size] = best
        judge.row(f"vectors, windows of {size}/{over} ({len(seqs)})", best, qs)
    v = scores[180]
    bm = judge.bm25(arts, qs)
    c, plain = coverage(arts, qs)
    judge.row("lexical alone: BM25", bm, qs)
    judge.row("lexical alone: trigrams of words", judge.trigrams(arts, qs), qs)
    judge.row("lexical alone: coverage", c, qs)
    judge.row("vector + coverage^4", v + c ** 4, qs)
    if a.variants:
        for w in (0.2, 0.3, 0.5, 1.0):
            judge.row(f"vector + {w} plain coverage^2", v + w * plain * plain, qs)
            judge.row(f"vector + {w} coverage", v + w * c, qs)
            judge.row(f"vector + {w} coverage^2", v + w * c * c, qs)
            judge.row(f"vector + {w} coverage^3", v + w * c ** 3, qs)
    if a.variants:
        judge.row("RRF k=60, both ranks equal", judge.rrf([(v, 1), (bm, 1)]), qs)
        judge.row("RRF k=60, lexical 0.3", judge.rrf([(v, 1), (bm, 0.3)]), qs)
        judge.row("min-max sum, lexical 0.3", judge.minmax([(v, 1), (bm, 0.3)]), qs)
    # the size that was planned: the articles numbered 01 to 52 of each set, with their questions, as a wiki of their own
    pick = [j for j, x in enumerate(arts) if 1 <= int(re.sub(r"\D", "", x["id"])) <= 52]
    at = {j: i for i, j in enumerate(pick)}
    rows = [i for i, x in enumerate(qs) if x["right"][0] in at]
    sub = [dict(qs[i], right=[at[j] for j in qs[i]["right"] if j in at]) for i in rows]
    part, alone = [arts[j] for j in pick], v[np.ix_(rows, pick)]
    judge.row(f"01 to 52 ({len(part)} articles, {len(sub)} questions), vectors", alone, sub)
    judge.row("01 to 52, vector + coverage^4", alone + coverage(part, sub)[0] ** 4, sub)


if __name__ == "__main__":
    main()
