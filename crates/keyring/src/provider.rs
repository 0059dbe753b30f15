//! Where keys live.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::{Generation, KeyringError, Purpose};

/// Where keys live and who performs the private operations.
///
/// A [`Keyring`](crate::Keyring) decides which generation is used and for how long; a provider keeps the generations
/// and signs. The signing key never needs to leave it: see [`Signer`](crate::Signer). The symmetric keys do, once, at
/// `load`: they are used for every page token and every stored answer, which no hardware module keeps up with, so
/// such a module would hold the key that unwraps them.
pub trait Provider: fmt::Debug + Send + Sync + 'static {
    /// Every generation of a purpose, the oldest first, the retired ones included.
    fn load(&self, purpose: Purpose) -> Result<Vec<Generation>, KeyringError>;

    /// Adds a generation created at `now` and lets every older one retire at `now + overlap`, unless it retires
    /// earlier already. Answers with the new generation's id once it is durable.
    fn rotate(&self, purpose: Purpose, overlap: SignedDuration, now: Timestamp) -> Result<String, KeyringError>;

    /// Withdraws a generation: from now on nothing that it made is believed or opened, in any process, whatever its clock.
    /// If no generation without an end is left then, one is added that was created at `now`; answers with its id. A
    /// generation that was withdrawn already stays so. Fails if there is no generation of this id.
    fn withdraw(&self, purpose: Purpose, key_id: &str, now: Timestamp) -> Result<Option<String>, KeyringError>;

    /// A number that changes when `load` would answer differently, for example because another process rotated the
    /// keys. Cheap: it is asked whenever an unknown key id is met.
    fn stamp(&self, purpose: Purpose) -> u64;
}

/// The instant at which the keys of before a rotation retire.
pub(crate) fn retirement(now: Timestamp, overlap: SignedDuration) -> Result<Timestamp, KeyringError> {
    if overlap.is_negative() {
        return Err(KeyringError::BadOverlap);
    }
    now.checked_add(overlap).map_err(|_| KeyringError::BadOverlap)
}
