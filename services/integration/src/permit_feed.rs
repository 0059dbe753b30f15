//! Following the feed of permits: a process with the database reads it there, another asks over gRPC.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use egov_auth::RowScope;
use egov_clock::SharedClock;
use egov_database::Database;
use egov_fault::{Code, Fault, fault_of};
use egov_proto::egov::integration::v1::ListPermitChangesRequest;
use egov_proto::egov::integration::v1::permit_service_client::PermitServiceClient;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Request, metadata::AsciiMetadataValue};
use uuid::Uuid;

use crate::domain::permit::{Permit, PermitChange};
pub use crate::operations::list_permit_changes::{Batch, Place};
use crate::permits::PermitBook;

/// Time between two questions: four in the second within which a book must be confirmed.
pub const ASK_EVERY: Duration = Duration::from_millis(250);

/// Where permits come from.
#[async_trait::async_trait]
pub trait PermitFeed: Send + Sync + 'static {
    /// What changed after a place, at once.
    async fn after(&self, place: Place) -> Result<Batch, Fault>;

    /// Waits until it is time to ask again.
    async fn wait(&self) {
        tokio::time::sleep(ASK_EVERY).await;
    }
}

#[async_trait::async_trait]
impl PermitFeed for Database {
    async fn after(&self, place: Place) -> Result<Batch, Fault> {
        let batch = crate::operations::list_permit_changes::read(self, &RowScope::everything(), place).await;
        batch.map_err(Fault::from)
    }

    /// Until this process has written something, at most as long as others wait.
    async fn wait(&self) {
        self.wait_for_events(ASK_EVERY).await;
    }
}

/// The feed of a service in another process.
pub struct GrpcPermitFeed {
    client: PermitServiceClient<Channel>,
    /// The token of this process, as it is by now.
    token: Arc<dyn Fn() -> String + Send + Sync>,
}

impl GrpcPermitFeed {
    /// Over a channel, with a way to a token that is valid now.
    pub fn new(channel: Channel, token: Arc<dyn Fn() -> String + Send + Sync>) -> Self {
        Self {
            client: PermitServiceClient::new(channel),
            token,
        }
    }
}

#[async_trait::async_trait]
impl PermitFeed for GrpcPermitFeed {
    async fn after(&self, place: Place) -> Result<Batch, Fault> {
        let mut request = Request::new(ListPermitChangesRequest {
            position: place.position,
            epoch: place.epoch,
        });
        let token = AsciiMetadataValue::try_from(format!("Bearer {}", (self.token)())).map_err(Fault::internal)?;
        request.metadata_mut().insert("authorization", token);
        // Longer, and the answer could not confirm anything any more.
        request.set_timeout(Duration::from_secs(1));
        let answer = self.client.clone().list_permit_changes(request).await;
        let answer = answer.map_err(|status| fault_of(&status))?.into_inner();
        let mut changes = Vec::new();
        for change in answer.changes {
            let permits: Result<Vec<Permit>, _> =
                change.permits.iter().map(|text| serde_json::from_str(text)).collect();
            changes.push(PermitChange {
                agreement_id: Uuid::try_parse(&change.agreement_id).map_err(Fault::internal)?,
                permits: permits.map_err(Fault::internal)?,
            });
        }
        Ok(Batch {
            changes,
            next: Place {
                epoch: answer.epoch,
                position: answer.position,
            },
            from_beginning: answer.from_beginning,
            more: answer.more,
        })
    }
}

/// Keeps a book by a feed until it is told to stop. While the feed is away the book grows old, and refuses.
pub async fn follow(feed: &dyn PermitFeed, book: &PermitBook, clock: &SharedClock, stop: CancellationToken) {
    let mut place = Place::default();
    while !stop.is_cancelled() {
        match turn(feed, book, clock, place).await {
            Ok(next) => place = next,
            Err(fault) if fault.code() == Code::Unavailable => {
                tracing::warn!(reason = fault.reason(), "the feed of permits is away");
            }
            Err(fault) => tracing::error!(error = ?fault, "the feed of permits cannot be read"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = feed.wait() => {}
        }
    }
}

/// Keeps a book by the feed of a database, as [`follow`] does, on a thread and a connection of its own: whatever keeps the calls' threads and
/// connections busy lets no permit grow stale. Ends when the thread has, and its connection is closed; also when the database is closed.
///
/// # Errors
/// If there is no thread to be had, or it panicked.
pub async fn follow_apart(
    database: &Database,
    book: &Arc<PermitBook>,
    clock: &SharedClock,
    stop: CancellationToken,
) -> io::Result<()> {
    let (database, book, clock) = (database.clone(), Arc::clone(book), clock.clone());
    let stop = stop.child_token();
    // Whoever drops this future ends the thread as well.
    let _dropped = stop.clone().drop_guard();
    let (ended, end) = oneshot::channel();
    std::thread::Builder::new().name("permits".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let followed = runtime.map(|runtime| {
            runtime.block_on(async {
                let apart = database.apart(1);
                tokio::select! {
                    biased;
                    () = database.closed() => {}
                    () = follow(&apart, &book, &clock, stop) => {}
                }
                apart.close().await;
            });
        });
        // Nobody may be left to hear it.
        let _ = ended.send(followed);
    })?;
    end.await
        .map_err(|_| io::Error::other("the thread that follows the feed of permits broke off"))?
}

/// Asks until the feed holds no more, and takes the answers in; the place to go on from.
///
/// # Errors
/// The feed's; what was taken in before stays, unconfirmed.
pub async fn turn(
    feed: &dyn PermitFeed,
    book: &PermitBook,
    clock: &SharedClock,
    mut place: Place,
) -> Result<Place, Fault> {
    loop {
        let asked = clock.now();
        let batch = feed.after(place).await?;
        // Part of an answer confirms nothing.
        let as_of = if batch.more { Timestamp::MIN } else { asked };
        if batch.from_beginning {
            book.replace(batch.changes, as_of);
        } else {
            book.apply(batch.changes, as_of);
        }
        place = batch.next;
        if !batch.more {
            return Ok(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use egov_clock::{Clock as _, ManualClock};
    use jiff::SignedDuration;

    use super::*;

    /// Answers what it was given, one after the other; then it is away.
    struct Scripted(Mutex<Vec<Batch>>);

    #[async_trait::async_trait]
    impl PermitFeed for Scripted {
        async fn after(&self, _: Place) -> Result<Batch, Fault> {
            let next = self.0.lock().unwrap().pop();
            next.ok_or_else(|| Fault::new(Code::Unavailable, "AWAY", "", ""))
        }
    }

    fn batch(position: i64, from_beginning: bool, more: bool) -> Batch {
        Batch {
            changes: Vec::new(),
            next: Place { epoch: 1, position },
            from_beginning,
            more,
        }
    }

    #[tokio::test]
    async fn a_book_is_confirmed_by_the_last_part_of_an_answer_only() {
        let clock = ManualClock::at(Timestamp::from_second(1_000).unwrap());
        let shared = clock.shared();
        let book = PermitBook::new(clock.shared());
        let broken = Scripted(Mutex::new(vec![batch(500, true, true)]));
        assert!(turn(&broken, &book, &shared, Place::default()).await.is_err());
        assert!(!book.is_fresh(), "half an answer confirms nothing");
        let whole = Scripted(Mutex::new(vec![batch(600, false, false), batch(500, true, true)]));
        let place = turn(&whole, &book, &shared, Place::default()).await.unwrap();
        assert_eq!((place.position, book.is_fresh()), (600, true));
        clock.advance(SignedDuration::from_millis(1_001));
        let away = Scripted(Mutex::default());
        assert!(turn(&away, &book, &shared, place).await.is_err());
        assert!(!book.is_fresh() && clock.now() > Timestamp::from_second(1_001).unwrap());
    }
}
