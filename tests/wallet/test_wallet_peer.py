"""py-pkpass as a witness: the same card built by it says the same, and its signature verifies like ours."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import py_pkpass.models as peer

from wallet.apple import Field
from wallet.card import Card, CardDesign
from wallet.card_apple import apple_pass
from wallet.demo_chain import DemoChain
from wallet.signing import Signer

ACCEPTED = {"cms": 0, "smime": 0}


def test_py_pkpass_builds_the_same_card(
    card: Card,
    design: CardDesign,
    chain: DemoChain,
    signer: Signer,
    tmp_path: Path,
    unpacked: Callable[[bytes], dict[str, bytes]],
    verify_pkpass: Callable[[bytes], dict[str, int]],
) -> None:
    model = apple_pass(card, design, pass_type_id=signer.pass_type_id, team_id=signer.team_id)
    ours, theirs = model.create(signer), peer_pkpass(model, chain, tmp_path)

    our_files, their_files = unpacked(ours), unpacked(theirs)
    assert json.loads(our_files["pass.json"]) == without_noise(json.loads(their_files["pass.json"]))
    assert our_files.keys() == their_files.keys()
    assert json.loads(our_files["manifest.json"]).keys() == json.loads(their_files["manifest.json"]).keys()
    assert verify_pkpass(ours) == verify_pkpass(theirs) == ACCEPTED


def without_noise(content: dict[str, Any]) -> dict[str, Any]:
    """Removes what py-pkpass adds unasked: empty change messages, alignments, the barcode of iOS 8, a false flag."""
    assert content.pop("barcode") == content["barcodes"][0]
    assert content.pop("suppressStripShine") is False
    for group in content["storeCard"].values():
        for field in group:
            assert field.pop("textAlignment") == "PKTextAlignmentLeft"
            if not field["changeMessage"]:
                del field["changeMessage"]
    return content


def peer_pkpass(model: Any, chain: DemoChain, folder: Path) -> bytes:
    fields = peer.StoreCard()
    card = model.store_card
    fields.headerFields = [peer_field(field) for field in card.header_fields]
    fields.secondaryFields = [peer_field(field) for field in card.secondary_fields]
    fields.auxiliaryFields = [peer_field(field) for field in card.auxiliary_fields]
    fields.backFields = [peer_field(field) for field in card.back_fields]
    theirs = peer.Pass(
        fields,
        passTypeIdentifier=model.pass_type_identifier,
        organizationName=model.organization_name,
        teamIdentifier=model.team_identifier,
    )
    theirs.serialNumber, theirs.description, theirs.logoText = model.serial_number, model.description, model.logo_text
    theirs.backgroundColor = "rgb(22, 56, 44)"
    theirs.foregroundColor = "rgb(255, 255, 255)"
    theirs.labelColor = "rgb(191, 227, 208)"
    theirs.webServiceURL, theirs.authenticationToken = model.web_service_url, model.authentication_token
    theirs.barcode = peer.Barcode(model.barcodes[0].message, peer.BarcodeFormat.QR, model.barcodes[0].alt_text)
    for name, data in model.images.files.items():
        theirs.addFile(name, io.BytesIO(data))
    for name in ("certificate_pem", "key_pem", "wwdr_pem"):
        (folder / name).write_bytes(getattr(chain, name))
    paths = (str(folder / name) for name in ("certificate_pem", "key_pem", "wwdr_pem"))
    return bytes(theirs.create(*paths, password=None).getvalue())


def peer_field(field: Field) -> Any:
    theirs = peer.Field(field.key, field.value, field.label)
    theirs.changeMessage = field.change_message or ""
    return theirs
