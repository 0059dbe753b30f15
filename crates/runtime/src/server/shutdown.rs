//! How a process is asked to stop.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Asks a server to drain, to stop at once, or to read its certificates again. Clones are one and the same.
///
/// With [`Shutdown::on_signals`] the first SIGTERM or SIGINT (Ctrl-C) asks for the drain, the second for the end, and
/// SIGHUP for the certificates.
#[derive(Clone, Debug)]
pub struct Shutdown {
    drain: CancellationToken,
    abort: CancellationToken,
    /// Counts how often a reload was asked for.
    reload: Arc<watch::Sender<u64>>,
}

impl Shutdown {
    /// Nothing is asked for yet.
    pub fn new() -> Self {
        Self {
            drain: CancellationToken::new(),
            abort: CancellationToken::new(),
            reload: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Asks for the drain.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Asks for the end without further waiting.
    pub fn abort(&self) {
        self.drain.cancel();
        self.abort.cancel();
    }

    /// Asks servers to read their certificates again.
    pub fn reload(&self) {
        self.reload.send_modify(|times| *times += 1);
    }

    /// Waits until the drain is asked for.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Waits until the end is asked for.
    pub async fn aborted(&self) {
        self.abort.cancelled().await;
    }

    /// Changes whenever certificates shall be read again.
    pub(super) fn reloads(&self) -> watch::Receiver<u64> {
        self.reload.subscribe()
    }

    /// Listens to the signals of the operating system, from now on and for as long as the process lives.
    ///
    /// # Errors
    /// If the operating system does not let this process listen.
    pub fn on_signals(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            loop {
                let stop = tokio::select! {
                    Some(()) = terminate.recv() => true,
                    Some(()) = interrupt.recv() => true,
                    Some(()) = hangup.recv() => false,
                    else => return,
                };
                match (stop, shutdown.drain.is_cancelled()) {
                    (false, _) => shutdown.reload(),
                    (true, false) => shutdown.drain(),
                    (true, true) => shutdown.abort(),
                }
            }
        });
        Ok(())
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}
