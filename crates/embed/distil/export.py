"""Writes model.bin (format in README.md) and reads it back; a plain numpy forward pass as the reference."""
import struct, unicodedata
import numpy as np

MAGIC = b"LCEMBED1"
GROUP = 32
ORDER = ("q", "k", "v", "o", "f1", "f2")


def pack(codes):
    """int8 codes -8..7, rows x cols -> bytes: byte j of a group of 32 holds element j (low) and j + 16 (high)."""
    g = (codes.astype(np.int16) + 8).astype(np.uint8).reshape(codes.shape[0], -1, 2, GROUP // 2)
    return (g[:, :, 0] | (g[:, :, 1] << 4)).tobytes()


def unpack(raw, rows, cols):
    b = np.frombuffer(raw, np.uint8).reshape(rows, cols // GROUP, GROUP // 2)
    return np.concatenate([b & 15, b >> 4], -1).reshape(rows, cols).astype(np.int8) - 8


def matrix(codes, scales):
    return pack(codes) + scales.astype("<f2").tobytes()


def write(path, pieces, p, codes, positions=256):
    """pieces: list of (bytes, row in p's table) sorted by bytes."""
    f4 = lambda a: np.asarray(a, "<f4").tobytes()
    dim, inner = p["word"].shape[1], p["layers"][0]["f1"][0].shape[0]
    texts = [t for t, _ in pieces]
    rows = np.array([r for _, r in pieces])
    offs = np.concatenate([[0], np.cumsum([len(t) for t in texts])]).astype("<u4").tobytes()
    sections = [offs, b"".join(texts), matrix(codes["word"][0][rows], codes["word"][1][rows]),
                np.asarray(p["pos"][:positions], "<f2").tobytes(), f4(p["ln"][0]) + f4(p["ln"][1])]
    for l, c in zip(p["layers"], codes["layers"]):
        b = b""
        for k in ORDER:
            b += matrix(*c[k]) + f4(l[k][1])
        for k in ("ln1", "ln2"):
            b += f4(l[k][0]) + f4(l[k][1])
        sections.append(b)
    special = [texts.index(s) for s in (b"[UNK]", b"[CLS]", b"[SEP]")]
    head = 128
    at, offsets = head, []
    for s in sections:
        offsets.append(at)
        at += (len(s) + 63) // 64 * 64
    h = MAGIC + struct.pack("<11I", 1, dim, len(codes["layers"]), 12, inner, positions, len(texts), GROUP, *special)
    h += struct.pack(f"<{len(offsets) + 1}I", *offsets, at)
    assert len(h) <= head
    with open(path, "wb") as o:
        o.write(h.ljust(head, b"\0"))
        for s in sections:
            o.write(s.ljust((len(s) + 63) // 64 * 64, b"\0"))
    return at


class Model:
    """Reads model.bin and turns text into vectors; the algorithm that the server must follow."""

    def __init__(self, path):
        d = open(path, "rb").read()
        assert d[:8] == MAGIC
        (_, self.dim, n, self.heads, self.inner, self.positions, v, _, self.unk, self.cls, self.sep) = struct.unpack_from("<11I", d, 8)
        o = struct.unpack_from(f"<{n + 6}I", d, 52)
        offs = np.frombuffer(d, "<u4", v + 1, o[0])
        self.vocab = {d[o[1] + offs[i]: o[1] + offs[i + 1]].decode(): i for i in range(v)}
        self.word = self._matrix(d, o[2], v, self.dim)[0]
        self.pos = np.frombuffer(d, "<f2", self.positions * self.dim, o[3]).reshape(-1, self.dim).astype(np.float32)
        self.ln = np.frombuffer(d, "<f4", 2 * self.dim, o[4]).reshape(2, -1)
        self.layers = []
        for i in range(n):
            at, l = o[5 + i], {}
            for k in ORDER:
                r, c = {"f1": (self.inner, self.dim), "f2": (self.dim, self.inner)}.get(k, (self.dim, self.dim))
                w, at = self._matrix(d, at, r, c)
                l[k] = (w, np.frombuffer(d, "<f4", r, at))
                at += 4 * r
            for k in ("ln1", "ln2"):
                l[k] = np.frombuffer(d, "<f4", 2 * self.dim, at).reshape(2, -1)
                at += 8 * self.dim
            self.layers.append(l)

    @staticmethod
    def _matrix(d, at, rows, cols):
        q = unpack(d[at: at + rows * cols // 2], rows, cols).astype(np.float32)
        at += rows * cols // 2
        s = np.frombuffer(d, "<f2", rows * cols // GROUP, at).astype(np.float32)
        return (q.reshape(-1, GROUP) * s[:, None]).reshape(rows, cols), at + rows * cols // GROUP * 2

    def words(self, text):
        """Cleaned, lower-cased words without accents; each punctuation mark and each CJK sign is a word of its own."""
        out, cur = [], []

        def end():
            if cur:
                out.append("".join(cur))
                cur.clear()

        for c in unicodedata.normalize("NFD", "".join(self.clean(text))):
            if unicodedata.category(c) == "Mn":
                continue
            for c in c.lower():
                if c.isspace():
                    end()
                elif punctuation(c) or cjk(c):
                    end()
                    out.append(c)
                else:
                    cur.append(c)
        end()
        return out

    @staticmethod
    def clean(text):
        for c in text:
            if c in "\t\n\r":
                yield " "
            elif c == "\0" or c == "\ufffd" or unicodedata.category(c) in ("Cc", "Cf", "Co"):
                continue
            else:
                yield c

    def pieces(self, text):
        """Token ids without [CLS] and [SEP]."""
        ids = []
        for w in self.words(text):
            got, a = [], 0
            while a < len(w) and len(w) <= 100:
                for b in range(len(w), a, -1):
                    i = self.vocab.get(("##" if a else "") + w[a:b])
                    if i is not None:
                        break
                else:
                    break
                got.append(i)
                a = b
            ids += got if a == len(w) and got else [self.unk]
        return ids

    def vector(self, ids):
        """Vector of at most `positions - 2` token ids: [CLS] ids [SEP], mean of the last layer, length 1."""
        ids = [self.cls] + ids[: self.positions - 2] + [self.sep]
        norm = lambda x, g: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12) * g[0] + g[1]
        lin = lambda x, w: x @ w[0].T + w[1]
        n, h = len(ids), self.heads
        x = norm(self.word[ids] + self.pos[:n], self.ln)
        for l in self.layers:
            q, k, v = (lin(x, l[c]).reshape(n, h, -1).transpose(1, 0, 2) for c in "qkv")
            s = q @ k.transpose(0, 2, 1) / np.sqrt(self.dim // h)
            a = np.exp(s - s.max(-1, keepdims=True))
            a /= a.sum(-1, keepdims=True)
            x = norm(x + lin((a @ v).transpose(1, 0, 2).reshape(n, -1), l["o"]), l["ln1"])
            f = lin(x, l["f1"])
            x = norm(x + lin(0.5 * f * (1 + erf(f / np.sqrt(2))), l["f2"]), l["ln2"])
        v = x.mean(0)
        return v / np.linalg.norm(v)

    def question(self, text):
        return self.vector(self.pieces(text))

    def article(self, title, body, window=180, overlap=30):
        """One vector for each window of the body, each with the title before it."""
        t, b = self.pieces(title + ".")[:64], self.pieces(body)
        out, a = [], 0
        while True:
            out.append(self.vector(t + b[a:a + window]))
            if a + window >= len(b):
                return np.stack(out)
            a += window - overlap


def erf(x):
    """Abramowitz and Stegun 7.1.26, error below 1.5e-7."""
    s, a = np.sign(x), np.abs(x)
    t = 1 / (1 + 0.3275911 * a)
    return s * (1 - ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t * np.exp(-a * a))


def punctuation(c):
    o = ord(c)
    return 33 <= o <= 47 or 58 <= o <= 64 or 91 <= o <= 96 or 123 <= o <= 126 or unicodedata.category(c)[0] == "P"


def cjk(c):
    o = ord(c)
    return (0x4E00 <= o <= 0x9FFF or 0x3400 <= o <= 0x4DBF or 0x20000 <= o <= 0x2A6DF or 0x2A700 <= o <= 0x2CEAF
            or 0xF900 <= o <= 0xFAFF or 0x2F800 <= o <= 0x2FA1F)
