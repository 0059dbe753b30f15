//! Keys that live as long as the process.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::generation::{NewSecrets, new_id, software_generation};
use crate::provider::retirement;
use crate::purpose::PerPurpose;
use crate::{Generation, KeyringError, Provider, Purpose};

/// Keys that live as long as the process: for tests.
#[derive(Debug)]
pub(crate) struct MemoryProvider {
    generations: Mutex<PerPurpose<Vec<Generation>>>,
}

impl MemoryProvider {
    pub(crate) fn new(now: Timestamp) -> Result<Self, KeyringError> {
        let generations = PerPurpose::try_new(|purpose| generation(purpose, now).map(|first| vec![first]))?;
        Ok(Self {
            generations: Mutex::new(generations),
        })
    }
}

fn generation(purpose: Purpose, now: Timestamp) -> Result<Generation, KeyringError> {
    let secrets = NewSecrets::generate()?;
    software_generation(purpose, new_id(now)?, now, None, &secrets)
}

impl Provider for MemoryProvider {
    fn load(&self, purpose: Purpose) -> Result<Vec<Generation>, KeyringError> {
        let all = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(all.get(purpose).clone())
    }

    fn rotate(&self, purpose: Purpose, overlap: SignedDuration, now: Timestamp) -> Result<String, KeyringError> {
        let retires = retirement(now, overlap)?;
        let next = generation(purpose, now)?;
        let id = next.id.clone();
        let mut all = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let generations = all.get_mut(purpose);
        for older in generations.iter_mut() {
            older.retires = Some(older.retires.map_or(retires, |known| known.min(retires)));
        }
        generations.push(next);
        Ok(id)
    }

    fn withdraw(&self, purpose: Purpose, key_id: &str, now: Timestamp) -> Result<Option<String>, KeyringError> {
        let mut all = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let generations = all.get_mut(purpose);
        let withdrawn =
            generations
                .iter_mut()
                .find(|known| known.id == key_id)
                .ok_or_else(|| KeyringError::NoSuchKey {
                    purpose,
                    id: key_id.to_owned(),
                })?;
        withdrawn.retires = Some(withdrawn.created);
        if generations.iter().any(|known| known.retires.is_none()) {
            return Ok(None);
        }
        let next = generation(purpose, now)?;
        let id = next.id.clone();
        generations.push(next);
        Ok(Some(id))
    }

    fn stamp(&self, purpose: Purpose) -> u64 {
        let all = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = all.get(purpose).iter().map(|known| (&known.id, known.retires));
        let mut hasher = DefaultHasher::new();
        ends.for_each(|end| end.hash(&mut hasher));
        hasher.finish()
    }
}
