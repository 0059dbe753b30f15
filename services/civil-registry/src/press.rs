//! Who prints papers: a trait, so that this library does without the heavy one that lays pages out. The programs that run the service give it a press;
//! without one papers are issued and listed, and not printed.

use std::error::Error;
use std::sync::Arc;

/// Why a paper was not printed; a fault of ours, since what is printed is what the domain made.
pub type PressFault = Box<dyn Error + Send + Sync>;

/// Prints the content of a paper ([`crate::domain::paper::Form`] as JSON) as PDF/A. It may take some milliseconds of a core.
pub trait Press: Send + Sync {
    /// The same bytes for the same content.
    fn print(&self, content: &[u8]) -> Result<Vec<u8>, PressFault>;
}

impl<P> Press for P
where
    P: Fn(&[u8]) -> Result<Vec<u8>, PressFault> + Send + Sync,
{
    fn print(&self, content: &[u8]) -> Result<Vec<u8>, PressFault> {
        self(content)
    }
}

/// A press that all calls share.
pub type SharedPress = Arc<dyn Press>;

/// Papers that are printed at once: laying out takes a whole core, and the others are for the other calls.
const SLOTS: usize = 2;

/// A press with its turns.
pub(crate) struct PrintShop {
    press: Option<SharedPress>,
    slots: Arc<tokio::sync::Semaphore>,
}

/// Why there is no print.
pub(crate) enum NotPrinted {
    /// There is no press.
    NoPress,
    /// The press failed.
    Fault(PressFault),
}

impl PrintShop {
    pub(crate) fn new(press: Option<SharedPress>) -> Self {
        Self {
            press,
            slots: Arc::new(tokio::sync::Semaphore::new(SLOTS)),
        }
    }

    /// Whether there is a press.
    pub(crate) fn is_open(&self) -> bool {
        self.press.is_some()
    }

    /// Prints beside the async workers, when its turn comes.
    pub(crate) async fn print(&self, content: Vec<u8>) -> Result<Vec<u8>, NotPrinted> {
        let press = self.press.clone().ok_or(NotPrinted::NoPress)?;
        let fault = |error: &dyn Error| NotPrinted::Fault(error.to_string().into());
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(|error| fault(&error))?;
        // The slot goes with the work: a caller who leaves does not make room before the page is done.
        let printed = tokio::task::spawn_blocking(move || {
            let printed = press.print(&content);
            drop(slot);
            printed
        });
        printed.await.map_err(|error| fault(&error))?.map_err(NotPrinted::Fault)
    }
}
