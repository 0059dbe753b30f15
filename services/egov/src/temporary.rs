//! A data folder for as long as something is tried, and a stack on it. Nothing of it stays, whichever way the attempt ends.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use egov_integration::config::EndpointsSection;
use egov_integration::partners::PartnersSection;
use egov_runtime::config::Period;
use egov_runtime::server::Shutdown;

use crate::Profile;
use crate::packs::Deploy;
use crate::place::Place;
use crate::stack::{Stack, Start};
use crate::up::server_on;

/// A temporary data folder.
#[derive(Debug)]
pub(crate) struct TemporaryFolder {
    folder: Option<tempfile::TempDir>,
    data: PathBuf,
    /// Where the cluster lies, if its user could not reach the folder.
    elsewhere: Option<PathBuf>,
}

impl TemporaryFolder {
    /// Makes one; `what` stands in its name.
    pub(crate) fn make(what: &str) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("egov-{what}-"))
            // PostgreSQL's user must get through the folder when this process is root.
            .permissions(Permissions::from_mode(0o711))
            .tempdir()
            .context("no temporary folder can be made")?;
        Ok(Self {
            data: folder.path().join("data"),
            folder: Some(folder),
            elsewhere: None,
        })
    }

    /// The data folder in it.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Says where the cluster really lies.
    pub(crate) fn cluster_is_at(&mut self, cluster: Option<&Path>) {
        self.elsewhere = cluster
            .filter(|cluster| !cluster.starts_with(&self.data))
            .map(Path::to_owned);
    }

    /// Removes everything, and says if something cannot be removed.
    pub(crate) fn remove(mut self) -> anyhow::Result<()> {
        if let Some(elsewhere) = self.elsewhere.take() {
            std::fs::remove_dir_all(&elsewhere).with_context(|| format!("cannot remove {}", elsewhere.display()))?;
        }
        self.folder
            .take()
            .map_or(Ok(()), tempfile::TempDir::close)
            .context("the temporary folder cannot be removed")
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Some(elsewhere) = self.elsewhere.take()
            && let Err(error) = std::fs::remove_dir_all(&elsewhere)
        {
            tracing::warn!(%error, folder = %elsewhere.display(), "a temporary cluster cannot be removed");
        }
    }
}

/// Starts a stack of the demonstration in a temporary folder, lets `play` act on its data folder and URL until it ends or is
/// interrupted, stops it and removes everything.
pub(crate) async fn on_temporary_stack<T>(
    what: &str,
    deploy: Option<&Path>,
    publish_before_use: Option<Period>,
    play: impl AsyncFnOnce(Place, String) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut folder = TemporaryFolder::make(what)?;
    let place = Place::make(folder.data())?;
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let stack = Box::pin(Stack::start(Start {
        place: place.clone(),
        deploy: Deploy::find(deploy)?,
        profile: Profile::Demo,
        database_url: None,
        server: server_on(([127, 0, 0, 1], 0).into()),
        quiet: true,
        shutdown: shutdown.clone(),
        publish_before_use,
        partners: PartnersSection::default(),
        endpoints: EndpointsSection::default(),
        simulated: false,
        books: false,
    }))
    .await?;
    folder.cluster_is_at(stack.cluster());
    let outcome = tokio::select! {
        outcome = Box::pin(play(place, stack.url())) => outcome,
        () = shutdown.draining() => Err(anyhow::anyhow!("interrupted")),
    };
    stack.drain();
    stack.ended().await?;
    folder.remove()?;
    outcome
}
