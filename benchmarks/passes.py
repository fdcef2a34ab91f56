"""Signed Apple passes per second: ours, the bare RSA-2048 signature under them, and py-pkpass; medians and ratios.

One store card with Russian texts and nine pictures; all three run in this process in alternating rounds and are timed
in CPU seconds, so the ratios hold on a busy machine. Prints numbers and fails nothing: a speed is not a test.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median

import py_pkpass.models as peer
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from wallet.card import Card, CardDesign
from wallet.card_apple import apple_pass, card_pkpass
from wallet.demo_chain import DemoChain, make_demo_chain
from wallet.passes import Pass
from wallet.pictures import PNG_SIGNATURE
from wallet.signing import Signer

DEFAULT_ROUNDS = 7
DEFAULT_SECONDS = 0.5
TARGET_OF_RSA = 0.6
TARGET_OF_PEER = 40.0

PASS_TYPE_ID = "pass.ru.example.club"
TEAM_ID = "A1B2C3D4E5"
# Sides of the square noise pictures: 148 kB together, a designer's usual weight.
PICTURE_SIDES = {"icon": (24, 48, 72), "logo": (50, 100, 150), "strip": (80, 160, 260)}


@dataclass(frozen=True)
class Result:
    """Median rates per CPU second, and medians of the ratios within a round."""

    ours: float
    rsa: float
    peer: float
    of_rsa: float
    of_peer: float


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="passes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=DEFAULT_ROUNDS, help="alternating rounds (%(default)s)")
    parser.add_argument("--seconds", type=float, default=DEFAULT_SECONDS, help="CPU seconds of each part (%(default)s)")
    options = parser.parse_args(argv)
    result = measure(rounds=options.rounds, seconds=options.seconds)
    print(f"ours                {result.ours:9.1f} passes/s")
    print(f"bare RSA-2048 sign  {result.rsa:9.1f} signatures/s")
    print(f"py-pkpass           {result.peer:9.1f} passes/s")
    print(_verdict("ours / bare RSA-2048", result.of_rsa, TARGET_OF_RSA))
    print(_verdict("ours / py-pkpass", result.of_peer, TARGET_OF_PEER))
    return 0


def measure(*, rounds: int, seconds: float) -> Result:
    """Runs the three by turns. Makes its own demo chain and a temporary folder for the peer's PEM files."""
    now = datetime.now(UTC)
    chain = make_demo_chain(pass_type_id=PASS_TYPE_ID, team_id=TEAM_ID, now=now)
    signer = Signer.from_pem(chain.certificate_pem, chain.key_pem, chain.wwdr_pem, now=now)
    card, design = _card(), _design()
    with tempfile.TemporaryDirectory() as folder:
        parts: tuple[Callable[[], object], ...] = (
            lambda: card_pkpass(card, design, signer),
            _bare_signature(chain),
            _peer_pass(apple_pass(card, design, pass_type_id=PASS_TYPE_ID, team_id=TEAM_ID), chain, Path(folder)),
        )
        for part in parts:
            part()
        table = [tuple(_rate(part, seconds) for part in parts) for _ in range(rounds)]
    ours, rsa, others = (median(column) for column in zip(*table, strict=True))
    return Result(
        ours=ours,
        rsa=rsa,
        peer=others,
        of_rsa=median(row[0] / row[1] for row in table),
        of_peer=median(row[0] / row[2] for row in table),
    )


def _rate(part: Callable[[], object], seconds: float) -> float:
    count, start = 0, time.process_time()
    while (spent := time.process_time() - start) < seconds:
        part()
        count += 1
    return count / spent


def _bare_signature(chain: DemoChain) -> Callable[[], bytes]:
    key = load_pem_private_key(chain.key_pem, None)
    assert isinstance(key, RSAPrivateKey)
    padding, digest, message = PKCS1v15(), hashes.SHA256(), b"x" * 256
    return lambda: key.sign(message, padding, digest)


def _peer_pass(model: Pass, chain: DemoChain, folder: Path) -> Callable[[], bytes]:
    """The same card by py-pkpass, which reads its certificate and key from files."""
    paths = {"certificate": chain.certificate_pem, "key": chain.key_pem, "wwdr": chain.wwdr_pem}
    for name, data in paths.items():
        (folder / name).write_bytes(data)

    def build() -> bytes:
        fields = peer.StoreCard()
        ours = model.store_card
        for target, source in (
            (fields.headerFields, ours.header_fields),
            (fields.secondaryFields, ours.secondary_fields),
            (fields.auxiliaryFields, ours.auxiliary_fields),
            (fields.backFields, ours.back_fields),
        ):
            target.extend(peer.Field(field.key, field.value, field.label) for field in source)
        card = peer.Pass(
            fields,
            passTypeIdentifier=model.pass_type_identifier,
            organizationName=model.organization_name,
            teamIdentifier=model.team_identifier,
        )
        card.serialNumber, card.description, card.logoText = model.serial_number, model.description, model.logo_text
        card.barcode = peer.Barcode(model.barcodes[0].message, peer.BarcodeFormat.QR, model.barcodes[0].alt_text)
        for name, data in model.images.files.items():
            card.addFile(name, io.BytesIO(data))
        files = (str(folder / name) for name in paths)
        return bytes(card.create(*files, password=None).getvalue())

    return build


def _card() -> Card:
    return Card(
        serial="kopilka-benchmark-0001",
        number="7700012345",
        member_name="Анна П.",
        segment_title="Постоянный",
        available_points=1240,
        pending_points=468,
        next_activation_on=date(2026, 3, 28),
        nearest_burn=(340, date(2026, 3, 28)),
        card_url="https://club.example.ru/c/7Q2M9X",
        authentication_token="benchmark-token-0001",
        web_service_url="https://club.example.ru/passes",
    )


def _design() -> CardDesign:
    return CardDesign(
        programme_name="Клуб «Спорт и горы»",
        organization_name="Спорт и горы",
        description="Карта клуба «Спорт и горы»",
        back=(("Правила", "10 % баллами с каждой покупки, до 30 % оплаты баллами."), ("Телефон", "+7 495 000-00-00")),
        images={
            kind + ("" if scale == 1 else f"@{scale}x") + ".png": _noise_png(side)
            for kind, sides in PICTURE_SIDES.items()
            for scale, side in enumerate(sides, start=1)
        },
    )


def _noise_png(side: int) -> bytes:
    """A valid grey picture that no compressor shrinks: a pass is copied, hashed and stored at its full weight."""
    noise = hashlib.shake_256(b"kopilka").digest(side * side)
    rows = b"".join(b"\x00" + noise[start : start + side] for start in range(0, len(noise), side))
    header = struct.pack(">2L5B", side, side, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return PNG_SIGNATURE + b"".join(
        struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _verdict(name: str, ratio: float, target: float) -> str:
    return f"{name:22} {ratio:6.2f} x  (target >= {target:g} x: {'reached' if ratio >= target else 'MISSED'})"


if __name__ == "__main__":
    raise SystemExit(main())
