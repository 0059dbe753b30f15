//! What parses bytes from outside: read back exactly, or refused; never a panic, never two meanings.

#![expect(
    clippy::unwrap_used,
    reason = "what stands between the tests fails the test that calls it"
)]

use egov_ledger::{
    Checkpoint, Entry, Frontier, Hash, KeyKind, LedgerError, NoteSignature, NoteSigner as _, Promise, Receipt,
    SeedSigner, SignedCheckpoint, SignedNote, TileSet, VerifyingKey, decode_entries, decode_tile, encode_entries,
    inclusion_proof,
};
use jiff::Timestamp;
use proptest::prelude::*;
use qrcode::{EcLevel, QrCode, Version};
use uuid::Uuid;

const ORIGIN: &str = "nghean.gov.vn/onestop/1";

fn signer(seed: u8) -> SeedSigner {
    SeedSigner::from_seed(&[seed; 32]).unwrap()
}

fn log_key(seed: u8) -> VerifyingKey {
    VerifyingKey::new(ORIGIN, KeyKind::Log, signer(seed).public_key()).unwrap()
}

fn witness_key(seed: u8) -> VerifyingKey {
    VerifyingKey::new("witness.hatinh.gov.vn", KeyKind::Witness, signer(seed).public_key()).unwrap()
}

prop_compose! {
    fn entries()(
        kind in "[a-z0-9_.-]{1,64}",
        resource in any::<u128>(),
        version in any::<u64>(),
        commitment in any::<[u8; 32]>(),
        time in -2_000_000_000_000_000_i64..4_000_000_000_000_000,
        epoch in any::<u32>(),
    ) -> Entry {
        Entry {
            kind,
            resource: Uuid::from_u128(resource),
            version,
            commitment,
            time: Timestamp::from_microsecond(time).unwrap(),
            epoch,
        }
    }
}

fn entry(n: u64) -> Entry {
    Entry {
        kind: "case".to_owned(),
        resource: Uuid::from_u128(u128::from(n)),
        version: 1,
        commitment: [9; 32],
        time: "2026-11-23T01:00:00Z".parse().unwrap(),
        epoch: 1,
    }
}

/// A receipt of the leaf `index` in a tree of `size` leaves, all others of which are made up.
fn receipt(entry: &Entry, index: u64, size: u64, cosigned: bool) -> Receipt {
    let leaf = entry.leaf_hash().unwrap();
    let mut tree = Frontier::new();
    let hashes: Vec<Hash> = (0..size)
        .map(|n| if n == index { leaf } else { Hash::leaf(&n.to_be_bytes()) })
        .collect();
    for hash in &hashes {
        tree.push(*hash);
    }
    let mut tiles = TileSet::of_leaves(hashes);
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        size,
        root: tree.root(),
    };
    let mut checkpoint = checkpoint.sign(&signer(1)).unwrap();
    if cosigned {
        checkpoint
            .note_mut()
            .cosign("witness.hatinh.gov.vn", &signer(2), 1_795_000_000)
            .unwrap();
    }
    Receipt {
        entry: entry.clone(),
        index,
        path: inclusion_proof(&mut tiles, index, size).unwrap(),
        checkpoint,
    }
}

proptest! {
    #[test]
    fn an_entry_is_read_back_from_its_bytes(entry in entries()) {
        let bytes = entry.encode().unwrap();
        prop_assert_eq!(Entry::decode(&bytes), Ok(entry));
    }

    #[test]
    fn bytes_have_one_meaning_as_an_entry_or_none(bytes in prop::collection::vec(any::<u8>(), 0..160)) {
        if let Ok(entry) = Entry::decode(&bytes) {
            prop_assert_eq!(entry.encode().unwrap(), bytes);
        }
    }

    #[test]
    fn a_changed_byte_makes_another_leaf_or_no_entry(entry in entries(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut bytes = entry.encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(other) = Entry::decode(&bytes) {
            prop_assert_ne!(other.leaf_hash().unwrap(), entry.leaf_hash().unwrap());
        }
    }

    #[test]
    fn a_promise_is_read_back_and_a_changed_one_is_not_believed(
        leaf in any::<[u8; 32]>(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let time = "2026-11-23T01:00:00.123456Z".parse().unwrap();
        let promise = Promise::make(ORIGIN, Hash(leaf), time, &signer(1)).unwrap();
        promise.verify(&log_key(1)).unwrap();
        prop_assert_eq!(&promise.to_string().parse::<Promise>().unwrap(), &promise);
        let mut bytes = promise.to_bytes().unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(Promise::from_bytes(&bytes).and_then(|other| other.verify(&log_key(1))).is_err());
    }

    #[test]
    fn a_receipt_is_read_back_in_every_form(entry in entries(), size in 1..40_u64, index in any::<prop::sample::Index>(), cosigned in any::<bool>()) {
        let index = index.index(usize::try_from(size).unwrap()) as u64;
        let receipt = receipt(&entry, index, size, cosigned);
        receipt.verify([&log_key(1)]).unwrap();
        prop_assert_eq!(&Receipt::read(&receipt.to_bytes().unwrap()).unwrap(), &receipt);
        prop_assert_eq!(&Receipt::read(receipt.to_text().unwrap().as_bytes()).unwrap(), &receipt);
        prop_assert_eq!(&Receipt::read(format!("{}\n", receipt.to_text().unwrap()).as_bytes()).unwrap(), &receipt);
        prop_assert_eq!(&Receipt::read(receipt.to_json().unwrap().as_bytes()).unwrap(), &receipt);
    }

    #[test]
    fn a_changed_receipt_is_not_believed(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let receipt = receipt(&entry(5), 5, 11, false);
        let mut bytes = receipt.to_bytes().unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(Receipt::from_bytes(&bytes).and_then(|other| other.verify([&log_key(1)])).is_err());
    }

    #[test]
    fn nothing_from_outside_makes_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,200}") {
        let _ = Receipt::read(&bytes);
        let _ = Receipt::read(text.as_bytes());
        let _ = Promise::from_bytes(&bytes);
        let _ = text.parse::<Promise>();
        let _ = text.parse::<VerifyingKey>();
        let _ = text.parse::<SignedNote>();
        let _ = text.parse::<Checkpoint>();
        let _ = decode_tile(&bytes);
        if let Ok(entries) = decode_entries(&bytes) {
            prop_assert_eq!(encode_entries(entries).unwrap(), bytes);
        }
    }

    #[test]
    fn a_note_is_read_back(
        text in "[^\\x00-\\x1f\\x7f-\\x9f]{1,40}(\n{1,2}[^\\x00-\\x1f\\x7f-\\x9f]{1,40}){0,4}",
        names in prop::collection::vec("[a-z./]{1,20}", 1..4),
        bytes in prop::collection::vec(any::<u8>(), 1..80),
    ) {
        let mut note = SignedNote::new(format!("{text}\n")).unwrap();
        note.signatures = names
            .into_iter()
            .map(|name| NoteSignature { name, key_id: [1, 2, 3, 4], signature: bytes.clone() })
            .collect();
        prop_assert_eq!(note.to_string().parse::<SignedNote>().unwrap(), note);
    }

    #[test]
    fn a_note_that_is_read_is_written_the_same(note in "[a-z]{1,5}\n([0-9]{1,3}\n){0,2}\n(— [a-z]{1,4} [A-Za-z0-9+/]{8}\n){1,3}") {
        if let Ok(read) = note.parse::<SignedNote>() {
            prop_assert_eq!(read.to_string(), note);
        }
    }

    #[test]
    fn a_key_is_read_back_and_a_changed_one_is_refused(seed in any::<u8>(), witness in any::<bool>(), at in any::<prop::sample::Index>()) {
        let key = if witness { witness_key(seed) } else { log_key(seed) };
        let text = key.to_string();
        prop_assert_eq!(&text.parse::<VerifyingKey>().unwrap(), &key);
        let mut changed = text.clone().into_bytes();
        let at = at.index(changed.len());
        changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
        if let Ok(other) = String::from_utf8(changed).unwrap().parse::<VerifyingKey>() {
            prop_assert_eq!(other, key);
        }
    }
}

#[test]
fn the_key_of_the_specification_of_signed_notes_verifies_its_example() {
    // C2SP signed-note, the example of the section on verifier keys and notes; also golang.org/x/mod/sumdb/note.
    let key: VerifyingKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
        .parse()
        .unwrap();
    let note = "If you think cryptography is the answer to your problem,\n\
                then you don't know what your problem is.\n\
                \n\
                — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    note.parse::<SignedNote>().unwrap().verify(&key).unwrap();
    let other = note.replace("your problem,", "my problem,");
    assert_eq!(
        other.parse::<SignedNote>().unwrap().verify(&key),
        Err(LedgerError::WrongSignature {
            name: "PeterNeumann".to_owned()
        })
    );
}

#[test]
fn a_checkpoint_counts_only_with_the_signature_of_its_own_log() {
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        size: 3,
        root: Hash::leaf(b"x"),
    };
    let signed = checkpoint.sign(&signer(1)).unwrap();
    let read: SignedCheckpoint = signed.to_string().parse().unwrap();
    read.verify(&log_key(1)).unwrap();
    read.verify_any([&log_key(3), &log_key(1)]).unwrap();
    assert!(matches!(read.verify(&log_key(3)), Err(LedgerError::NotSigned { .. })));
    let other = VerifyingKey::new("elsewhere.gov.vn/onestop/1", KeyKind::Log, signer(1).public_key()).unwrap();
    assert!(matches!(read.verify(&other), Err(LedgerError::OtherLog { .. })));
    let forged = signed.to_string().replace("\n3\n", "\n4\n");
    assert!(matches!(
        forged.parse::<SignedCheckpoint>().unwrap().verify(&log_key(1)),
        Err(LedgerError::WrongSignature { .. })
    ));
    for wrong in ["\n03\n", "\n-3\n", "\n\n"] {
        assert!(
            signed
                .to_string()
                .replace("\n3\n", wrong)
                .parse::<SignedCheckpoint>()
                .is_err(),
            "{wrong:?}"
        );
    }
}

#[test]
fn a_cosignature_says_when_and_cannot_be_moved_to_another_time_or_kind() {
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        size: 3,
        root: Hash::leaf(b"x"),
    };
    let mut signed = checkpoint.sign(&signer(1)).unwrap();
    let name = witness_key(2).name().to_owned();
    signed.note_mut().cosign(&name, &signer(2), 1_795_000_000).unwrap();
    assert_eq!(signed.cosigned_by(&witness_key(2)), Ok(1_795_000_000));
    assert!(signed.cosigned_by(&witness_key(4)).is_err());
    // The time is inside what is signed.
    let last = signed.note_mut().signatures.last_mut().unwrap();
    last.signature[7] ^= 1;
    assert!(matches!(
        signed.cosigned_by(&witness_key(2)),
        Err(LedgerError::WrongSignature { .. })
    ));
    // A log's signature by the same key and name is no cosignature.
    let mut as_log = checkpoint.sign(&signer(1)).unwrap();
    as_log.note_mut().sign(&name, &signer(2)).unwrap();
    assert!(as_log.cosigned_by(&witness_key(2)).is_err());
}

#[test]
fn a_promise_counts_only_for_its_own_log() {
    let promise = Promise::make(ORIGIN, Hash::leaf(b"x"), Timestamp::UNIX_EPOCH, &signer(1)).unwrap();
    assert!(promise.verify(&log_key(2)).is_err());
    let other = VerifyingKey::new("elsewhere.gov.vn/x/1", KeyKind::Log, signer(1).public_key()).unwrap();
    assert!(matches!(promise.verify(&other), Err(LedgerError::OtherLog { .. })));
}

#[test]
fn a_receipt_is_not_believed_without_the_log_or_for_another_entry() {
    let good = receipt(&entry(5), 5, 11, true);
    assert!(matches!(
        good.verify([&log_key(2), &witness_key(2)]),
        Err(LedgerError::NotSigned { .. })
    ));
    let mut other = good.clone();
    other.entry = entry(6);
    assert!(matches!(
        other.verify([&log_key(1)]),
        Err(LedgerError::ProofFails { .. })
    ));
    assert!(other.to_bytes().is_err());
    let mut moved = good;
    moved.index = 4;
    assert!(moved.verify([&log_key(1)]).is_err());
}

#[test]
fn a_receipt_of_a_million_leaves_fits_a_qr_code_of_version_25() {
    let receipt = receipt(&entry(123_456), 123_456, 1_000_000, true);
    receipt.verify([&log_key(1)]).unwrap();
    let bytes = receipt.to_bytes().unwrap();
    assert_eq!((receipt.path.len(), bytes.len()), (20, 928));
    let text = receipt.to_text().unwrap();
    let code = QrCode::with_version(&text, Version::Normal(25), EcLevel::L).unwrap();
    assert_eq!(code.version(), Version::Normal(25));
}

#[test]
fn a_promise_has_134_bytes_with_a_name_of_24_characters() {
    let promise = Promise::make(
        "nghean.gov.vn/identity/1",
        Hash::leaf(b"x"),
        Timestamp::UNIX_EPOCH,
        &signer(1),
    )
    .unwrap();
    assert_eq!(promise.to_bytes().unwrap().len(), 134);
}
