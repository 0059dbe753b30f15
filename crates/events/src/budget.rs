//! How much may wait to be stored.

use std::sync::Arc;

use egov_fault::Fault;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::CloudEvent;
use crate::store::queue_full;

/// Bytes of events that wait to be stored, over all callers: what does not fit is refused at once.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    kibibytes: Arc<Semaphore>,
}

impl Budget {
    pub(crate) fn of_bytes(bytes: usize) -> Self {
        Self {
            kibibytes: Arc::new(Semaphore::new((bytes / 1024).max(1))),
        }
    }

    /// Room for these events until the permit is dropped.
    pub(crate) fn take(&self, events: &[CloudEvent]) -> Result<OwnedSemaphorePermit, Fault> {
        let bytes: usize = events.iter().map(|event| event.data.len() + 512).sum();
        let wanted = u32::try_from(bytes.div_ceil(1024)).map_err(|_| queue_full())?;
        Arc::clone(&self.kibibytes)
            .try_acquire_many_owned(wanted)
            .map_err(|_| queue_full())
    }
}
