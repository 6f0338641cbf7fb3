//! The signed head: which audit record was the last.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use portcullis_model::Digest;
use serde::{Deserialize, Serialize};

const SCHEMA: &str = "portcullis-audit-head";
const VERSION: u32 = 1;

/// Sequence and digest of the last record; 0 and [`Digest::ZERO`] before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) sequence: u64,
    pub(super) digest: Digest,
}

/// Why nothing can be concluded where records stand beside a key without a head.
pub(super) const NO_HEAD: &str = "the signed head is missing";

/// What the files beside the database say about the last record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HeadState {
    /// Neither key nor head: nothing was ever appended, or both were taken away.
    NeverSigned,
    /// A key without a head: the first append made its key and then failed, as on a full disk, or the head was taken
    /// away. Which of the two, the records tell.
    KeyOnly,
    /// The signature is good.
    Signed(Head),
    /// Nothing can be concluded from it, for this reason.
    Unsound(String),
}

#[derive(Serialize, Deserialize)]
struct HeadFile {
    schema: String,
    version: u32,
    sequence: u64,
    digest: Digest,
    /// Public part of the key, so that the file can be verified where the key is not.
    public_key: String,
    signature: String,
}

impl Head {
    pub(super) const START: Self = Self {
        sequence: 0,
        digest: Digest::ZERO,
    };

    /// The content of the head file.
    pub(super) fn sign(&self, key: &SigningKey) -> String {
        let file = serde_json::json!({
            "schema": SCHEMA,
            "version": VERSION,
            "sequence": self.sequence,
            "digest": self.digest.to_string(),
            "public_key": hex::encode(key.verifying_key().as_bytes()),
            "signature": hex::encode(key.sign(&self.message()).to_bytes()),
        });
        format!("{file}\n")
    }

    /// Reads a head file and holds its signature against the key.
    pub(super) fn read(text: &[u8], key: &VerifyingKey) -> HeadState {
        let unsound = |reason: &str| HeadState::Unsound(reason.into());
        let Ok(file) = serde_json::from_slice::<HeadFile>(text) else {
            return unsound("the signed head cannot be read");
        };
        if file.schema != SCHEMA || file.version != VERSION {
            return unsound("the signed head is of a version that this program does not know");
        }
        let head = Self {
            sequence: file.sequence,
            digest: file.digest,
        };
        let mut signature = [0; 64];
        let genuine = hex::decode_to_slice(&file.signature, &mut signature).is_ok()
            && key
                .verify_strict(&head.message(), &Signature::from_bytes(&signature))
                .is_ok();
        if genuine {
            HeadState::Signed(head)
        } else {
            unsound("the signature of the head is not by the key of this store")
        }
    }

    /// What is signed. It begins with the schema, so that the signature cannot stand for anything else.
    fn message(&self) -> Vec<u8> {
        [
            SCHEMA.as_bytes(),
            &VERSION.to_be_bytes(),
            &self.sequence.to_be_bytes(),
            self.digest.as_bytes(),
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_only_believed_with_the_signature_of_its_own_key() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let head = Head {
            sequence: 12,
            digest: Digest::of("last"),
        };
        let text = head.sign(&key);
        assert_eq!(
            Head::read(text.as_bytes(), &key.verifying_key()),
            HeadState::Signed(head)
        );
        let other = SigningKey::from_bytes(&[8; 32]).verifying_key();
        for (text, key) in [
            (text.clone(), other),
            (text.replace(":12", ":11"), key.verifying_key()),
            (
                text.replace("\"version\":1", "\"version\":2"),
                key.verifying_key(),
            ),
            ("{".into(), key.verifying_key()),
        ] {
            assert!(
                matches!(Head::read(text.as_bytes(), &key), HeadState::Unsound(_)),
                "{text}"
            );
        }
    }

    /// Written by version 1; must stay readable.
    #[test]
    fn a_head_file_of_version_1_is_understood() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let text = include_bytes!("../../samples/audit-head-v1.json");
        let expected = Head {
            sequence: 3,
            digest: Digest::of("three"),
        };
        assert_eq!(
            Head::read(text, &key.verifying_key()),
            HeadState::Signed(expected)
        );
    }
}
