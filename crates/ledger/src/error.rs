//! What can be wrong with a proof, a note, a receipt.

/// Why something is not believed. Each says what to look at; none carries data of a resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The bytes or the text are not of this form.
    #[error("not a well-formed {what}: {problem}")]
    Malformed {
        /// What was expected.
        what: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The format was made by a later version of this software.
    #[error("the {what} has format {found}, which this version does not know")]
    UnknownFormat {
        /// What it is.
        what: &'static str,
        /// The format's number.
        found: u8,
    },
    /// An index or a size lies outside the tree.
    #[error("{what} {value} lies outside a tree of {size} leaves")]
    OutOfRange {
        /// `index` or `size`.
        what: &'static str,
        /// What was asked for.
        value: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The proof does not lead to the root that it should.
    #[error("the {proof} proof does not lead to the root of the checkpoint")]
    ProofFails {
        /// `inclusion` or `consistency`.
        proof: &'static str,
    },
    /// No signature by a key that is trusted.
    #[error("there is no signature by a trusted key of {name}")]
    NotSigned {
        /// The key's name.
        name: String,
    },
    /// There is a signature in the name of a trusted key, and it is not right.
    #[error("the signature in the name of {name} is wrong")]
    WrongSignature {
        /// The key's name.
        name: String,
    },
    /// The checkpoint is of another log than the one that was expected.
    #[error("this is of the log {found}, not of {wanted}")]
    OtherLog {
        /// The origin that was expected.
        wanted: String,
        /// The origin that was found.
        found: String,
    },
    /// A tile that is needed was not given.
    #[error("tile {index} of level {level} is missing or too short")]
    MissingTile {
        /// The tile's level.
        level: u8,
        /// Its index within the level.
        index: u64,
    },
    /// The key could not sign.
    #[error("the key of {name} cannot sign")]
    CannotSign {
        /// The key's name.
        name: String,
    },
}

pub(crate) fn malformed(what: &'static str, problem: &'static str) -> LedgerError {
    LedgerError::Malformed { what, problem }
}
