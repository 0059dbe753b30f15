#!/usr/bin/env python3
"""A second, independent verifier of the ledger: written from the specifications, sharing no line with the product.

    verify.py log FOLDER --key KEY [--key KEY …]      an exported log (C2SP tlog-tiles)
    verify.py receipt FILE --key KEY [--key KEY …]    a receipt: JSON, the text of the QR code, or the bytes

RFC 6962 (hashes), RFC 9162 (proofs), C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-tiles; entry and receipt as the
README of crates/ledger describes them; Ed25519 by the formulas of RFC 8032. Needs Python 3.11 and nothing else. Exits 0 if everything
holds, 1 if not, and says what.
"""

import argparse
import base64
import datetime
import hashlib
import json
import struct
import sys
import uuid
from pathlib import Path


class Wrong(Exception):
    """What does not hold."""


def sha256(data):
    return hashlib.sha256(data).digest()


def leaf_hash(entry):
    return sha256(b"\x00" + entry)


def node_hash(left, right):
    return sha256(b"\x01" + left + right)


def root_of(hashes):
    """MTH of RFC 6962 section 2.1, by its definition."""
    if not hashes:
        return sha256(b"")
    while len(hashes) > 1:
        pairs = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes) - 1, 2)]
        hashes = pairs + hashes[len(pairs) * 2:]
    return hashes[0]


def root_from_path(leaf, index, size, path):
    """RFC 9162 section 2.1.3.2."""
    if index >= size:
        raise Wrong("the index lies outside the tree")
    fn, sn, root = index, size - 1, leaf
    for step in path:
        if sn == 0:
            raise Wrong("the inclusion path is too long")
        if fn & 1 or fn == sn:
            root = node_hash(step, root)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = node_hash(root, step)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise Wrong("the inclusion path is too short")
    return root


# Ed25519, RFC 8032 section 5.1, in extended coordinates. Not constant in time: it only verifies.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def decompress(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        raise Wrong("not a point of the curve")
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519_holds(public, message, signature):
    if len(signature) != 64:
        return False
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    if s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(r + public + message).digest(), "little") % L
    left, right = times(s, BASE), add(decompress(r), times(h, decompress(public)))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))


class Key:
    """A verifier key, name+hash+key."""

    def __init__(self, text):
        self.name, shown, rest = text.strip().split("+", 2)
        raw = base64.b64decode(rest, validate=True)
        self.id = sha256(self.name.encode() + b"\n" + raw)[:4]
        if self.id.hex() != shown or len(raw) != 33 or raw[0] not in (1, 4):
            raise Wrong(f"{text} is no key of a log or a witness")
        self.is_witness = raw[0] == 4
        self.public = raw[1:]

    def check(self, text, signature):
        message = text.encode()
        if self.is_witness:
            (time,) = struct.unpack(">Q", signature[:8])
            message, signature = f"cosignature/v1\ntime {time}\n{text}".encode(), signature[8:]
        if not ed25519_holds(self.public, message, signature):
            raise Wrong(f"the signature in the name of {self.name} is wrong")


class Checkpoint:
    """A signed note whose text is a checkpoint."""

    def __init__(self, note):
        text, _, lines = note.rpartition("\n\n")
        self.text = text + "\n"
        self.origin, size, root = self.text.split("\n")[:3]
        self.size, self.root = int(size), base64.b64decode(root, validate=True)
        self.signatures = []
        for line in lines.rstrip("\n").split("\n"):
            dash, name, encoded = line.split(" ")
            if dash != "\u2014":
                raise Wrong("a line of signature does not begin with a dash")
            blob = base64.b64decode(encoded, validate=True)
            self.signatures.append((name, blob[:4], blob[4:]))

    def check(self, keys):
        """How many witnesses' signatures hold; the log's must."""
        by_log, witnesses = False, 0
        for name, key_id, signature in self.signatures:
            for key in keys:
                if (key.name, key.id) == (name, key_id):
                    key.check(self.text, signature)
                    by_log |= not key.is_witness and name == self.origin
                    witnesses += key.is_witness
        if not by_log:
            raise Wrong(f"no trusted key of {self.origin} has signed the checkpoint")
        return witnesses


def read_entry(entry):
    """The fields of an entry; refuses every other form."""
    if not entry or entry[0] != 1:
        raise Wrong("an entry has an unknown format")
    length = entry[1]
    kind, rest = entry[2:2 + length].decode("ascii"), entry[2 + length:]
    if len(rest) != 68 or not 1 <= length <= 64:
        raise Wrong("an entry has a wrong length")
    version, commitment, time, epoch = struct.unpack(">Q32sqI", rest[16:])
    return {
        "kind": kind,
        "resource": str(uuid.UUID(bytes=rest[:16])),
        "version": version,
        "commitment": commitment.hex(),
        "time": time,
        "epoch": epoch,
    }


def tile_path(index):
    text = f"{index % 1000:03}"
    while index >= 1000:
        index //= 1000
        text = f"x{index % 1000:03}/{text}"
    return text


def check_log(folder, keys):
    checkpoint = Checkpoint((folder / "checkpoint").read_text(encoding="utf-8"))
    witnesses = checkpoint.check(keys)
    leaves = []
    for bundle in range(-(-checkpoint.size // 256)):
        width = min(256, checkpoint.size - bundle * 256)
        name = tile_path(bundle) + ("" if width == 256 else f".p/{width}")
        data = (folder / "tile" / "entries" / name).read_bytes()
        count = 0
        while data:
            (length,) = struct.unpack(">H", data[:2])
            entry, data = data[2:2 + length], data[2 + length:]
            read_entry(entry)
            leaves.append(leaf_hash(entry))
            count += 1
        if count != width:
            raise Wrong(f"bundle {bundle} has {count} entries instead of {width}")
    level, hashes = 0, leaves
    while hashes:
        for index in range(-(-len(hashes) // 256)):
            tile = hashes[index * 256:(index + 1) * 256]
            name = tile_path(index) + ("" if len(tile) == 256 else f".p/{len(tile)}")
            if (folder / "tile" / str(level) / name).read_bytes() != b"".join(tile):
                raise Wrong(f"tile {index} of level {level} is not that of the entries")
        hashes = [root_of(hashes[i:i + 256]) for i in range(0, len(hashes) // 256 * 256, 256)]
        level += 1
    if root_of(leaves) != checkpoint.root:
        raise Wrong("the entries do not have the root of the checkpoint")
    return f"{checkpoint.origin}: {checkpoint.size} entries hold, {witnesses} witnesses"


def base45(text):
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
    out = bytearray()
    for start in range(0, len(text), 3):
        group = text[start:start + 3]
        value = sum(alphabet.index(c) * 45**place for place, c in enumerate(group))
        out += value.to_bytes(len(group) - 1, "big")
    return bytes(out)


def check_receipt(data, keys):
    if data.lstrip()[:1] == b"{":
        shown = json.loads(data)
        said = shown["entry"]
        kind = said["kind"].encode("ascii")
        time = datetime.datetime.fromisoformat(said["time"].replace("Z", "+00:00"))
        micros = (time - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(microseconds=1)
        entry = bytes([1, len(kind)]) + kind + uuid.UUID(said["resource"]).bytes
        entry += struct.pack(">Q32sqI", said["version"], bytes.fromhex(said["commitment"]), micros, said["epoch"])
        index, path = shown["index"], [bytes.fromhex(step) for step in shown["path"]]
        checkpoint = Checkpoint(shown["checkpoint"])
    else:
        if data.startswith(b"EGOV1:"):
            data = base45(data.decode("ascii")[6:].rstrip("\n"))
        if data[0] != 1:
            raise Wrong("the receipt has an unknown format")
        (length,) = struct.unpack(">H", data[1:3])
        entry, data = data[3:3 + length], data[3 + length:]
        index, size, steps = struct.unpack(">QQB", data[:17])
        path, data = [data[17 + 32 * i:49 + 32 * i] for i in range(steps)], data[17 + 32 * steps:]
        origin, data = data[1:1 + data[0]].decode(), data[1 + data[0]:]
        count, data = data[0], data[1:]
        root = root_from_path(leaf_hash(entry), index, size, path)
        note = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n\n"
        for _ in range(count):
            name, data = data[1:1 + data[0]].decode() or origin, data[1 + data[0]:]
            blob, data = data[:4] + data[5:5 + data[4]], data[5 + data[4]:]
            note += f"\u2014 {name} {base64.b64encode(blob).decode()}\n"
        if data:
            raise Wrong("something stands behind the receipt's end")
        checkpoint = Checkpoint(note)
    said = read_entry(entry)
    if root_from_path(leaf_hash(entry), index, checkpoint.size, path) != checkpoint.root:
        raise Wrong("the path does not lead to the root of the checkpoint")
    witnesses = checkpoint.check(keys)
    return f"{checkpoint.origin}: entry {index} of {checkpoint.size} ({said['kind']} {said['resource']}) holds, {witnesses} witnesses"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("what", choices=["log", "receipt"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--key", action="append", required=True)
    arguments = parser.parse_args()
    try:
        keys = [Key(text) for text in arguments.key]
        if arguments.what == "log":
            print(check_log(arguments.file, keys))
        else:
            print(check_receipt(arguments.file.read_bytes(), keys))
    except (Wrong, ValueError, KeyError, IndexError, struct.error, OSError) as error:
        print(f"does not hold: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
