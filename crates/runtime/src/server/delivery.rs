//! What is known of a connection while it is served: whether calls are under way, and whether the client takes its answers.
//!
//! HTTP/2 lets a client ask for much and take nothing: a window of zero, or one byte of it, keeps an answer in memory for as
//! long as the client likes. So every piece of an answer is followed until it is written, and a connection whose client takes
//! nothing of an answer for `server.keepalive.unread` is closed.

use std::io::IoSlice;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use tokio::time::sleep;

/// How many answers are followed before those that were taken are forgotten for the first time.
const FEW: usize = 64;

/// The calls of one connection.
#[derive(Debug, Default)]
pub(super) struct Calls {
    under_way: AtomicUsize,
    begun: AtomicUsize,
    answers: Mutex<Answers>,
}

/// The answers of which a piece was handed over.
#[derive(Debug, Default)]
struct Answers {
    followed: Vec<Followed>,
    /// The length at which those that were taken are forgotten.
    full: usize,
}

#[derive(Debug)]
struct Followed {
    answer: Weak<Answer>,
    /// What was taken when it was last looked at, and how often it was the same since.
    taken: Option<usize>,
    looks: u8,
}

/// One answer.
#[derive(Debug, Default)]
struct Answer {
    /// Pieces that were handed over and not written yet.
    waiting: AtomicUsize,
    /// Bytes that were written.
    taken: AtomicUsize,
}

/// A call that is under way until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Calls>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Calls {
    /// A call begins.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    /// Whether no call is under way.
    pub(super) fn none_under_way(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) == 0
    }

    /// Returns when no call was under way for `period`, or up to twice as long.
    pub(super) async fn idle(&self, period: Duration) {
        loop {
            let begun = self.begun.load(Ordering::Relaxed);
            let idle = self.none_under_way();
            sleep(period).await;
            if idle && self.none_under_way() && self.begun.load(Ordering::Relaxed) == begun {
                return;
            }
        }
    }

    /// Returns when nothing of an answer was taken for `period`, or half as long again.
    pub(super) async fn unread(&self, period: Duration) {
        loop {
            sleep(period / 2).await;
            if self.answers().look() {
                return;
            }
        }
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self) -> Arc<Answer> {
        let answer = Arc::new(Answer::default());
        let mut answers = self.answers();
        if answers.followed.len() >= answers.full.max(FEW) {
            answers.followed.retain(|one| one.answer.strong_count() > 0);
            answers.full = answers.followed.len() * 2;
        }
        answers.followed.push(Followed {
            answer: Arc::downgrade(&answer),
            taken: None,
            looks: 0,
        });
        answer
    }
}

impl Answers {
    /// Whether nothing was taken of one that waits in the two looks before this one.
    fn look(&mut self) -> bool {
        let mut stuck = false;
        self.followed.retain_mut(|one| {
            let Some(answer) = one.answer.upgrade() else {
                return false;
            };
            let taken = Some(answer.taken.load(Ordering::Relaxed));
            if answer.waiting.load(Ordering::Relaxed) == 0 || taken != one.taken {
                (one.taken, one.looks) = (taken, 0);
                return true;
            }
            one.looks += 1;
            stuck |= one.looks >= 2;
            true
        });
        stuck
    }
}

/// The body of an answer on its way to the connection.
pub(super) struct Delivered {
    inner: Body,
    call: UnderWay,
    answer: Option<Arc<Answer>>,
}

impl Delivered {
    pub(super) const fn new(inner: Body, call: UnderWay) -> Self {
        Self {
            inner,
            call,
            answer: None,
        }
    }
}

impl http_body::Body for Delivered {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        let this = &mut *self;
        let Some(frame) = ready!(Pin::new(&mut this.inner).poll_frame(context)) else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(frame.map(|frame| {
            frame.map_data(|bytes| {
                let answer = this.answer.get_or_insert_with(|| this.call.0.follow());
                Piece::new(bytes, Arc::clone(answer))
            })
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A piece of an answer until it is written.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    answer: Arc<Answer>,
}

impl Piece {
    fn new(bytes: Bytes, answer: Arc<Answer>) -> Self {
        answer.waiting.fetch_add(1, Ordering::Relaxed);
        Self { bytes, answer }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.answer.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.bytes.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.answer.taken.fetch_add(count, Ordering::Relaxed);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        let copied = self.bytes.copy_to_bytes(length);
        self.answer.taken.fetch_add(length, Ordering::Relaxed);
        copied
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_which_nothing_is_taken_is_noticed_and_a_slow_one_is_not() {
        let calls = Arc::new(Calls::default());
        let mut body = Delivered::new(Body::from(vec![7; 100]), calls.begin());
        let mut piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        // A byte now and then is slow, but not nothing.
        let period = Duration::from_secs(10);
        let slow = async {
            for _ in 0..99 {
                sleep(Duration::from_secs(9)).await;
                piece.advance(1);
            }
        };
        tokio::select! {
            () = calls.unread(period) => panic!("a slow client is not a dead one"),
            () = slow => {}
        }
        let began = Instant::now();
        calls.unread(period).await;
        assert!((10..=15).contains(&began.elapsed().as_secs()));
        drop(piece);
        assert!(!calls.answers().look());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_while_no_call_is_under_way() {
        let calls = Arc::new(Calls::default());
        let call = calls.begin();
        let busy = tokio::time::timeout(Duration::from_mins(10), calls.idle(Duration::from_mins(1))).await;
        assert!(busy.is_err());
        drop(call);
        let began = Instant::now();
        calls.idle(Duration::from_mins(1)).await;
        assert_eq!(began.elapsed().as_secs(), 60);
    }

    #[test]
    fn answers_that_were_taken_are_forgotten() {
        let calls = Arc::new(Calls::default());
        let kept: Vec<_> = (0..10).map(|_| calls.follow()).collect();
        for _ in 0..10_000 {
            drop(calls.follow());
        }
        assert!(calls.answers().followed.len() <= FEW + 1);
        assert_eq!(kept.len(), 10);
    }
}
