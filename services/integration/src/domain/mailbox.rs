//! Mailboxes between agencies (hộp thư liên cơ quan): what becomes of a message.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

/// How long a message waits where nobody says.
pub(crate) const DEFAULT_MAX_AGE: Duration = Duration::from_hours(30 * 24);
/// The longest time that a message may wait: a year.
pub(crate) const LONGEST_MAX_AGE: Duration = Duration::from_hours(366 * 24);
/// How many messages may wait where nobody says.
pub(crate) const DEFAULT_MAX_MESSAGES: i32 = 10_000;
/// After how long a fetched message that is not confirmed can be fetched again.
pub(crate) const FETCH_AGAIN: Duration = Duration::from_mins(5);
/// After how many fetches a refused message is given up.
pub(crate) const MOST_ATTEMPTS: i32 = 10;

/// A mailbox of one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mailbox {
    pub(crate) id: Uuid,
    pub(crate) sender_unit: i32,
    pub(crate) receiver_unit: i32,
    pub(crate) sender_agency: String,
    pub(crate) receiver_agency: String,
    pub(crate) max_age: Duration,
    pub(crate) max_messages: i32,
    pub(crate) create_time: Timestamp,
}

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Waits for the receiver.
    Waiting,
    /// Fetched, not yet confirmed.
    Fetched,
    /// Confirmed.
    Confirmed,
    /// Given up.
    Dead,
}

impl State {
    pub(crate) const fn code(self) -> i16 {
        match self {
            Self::Waiting => 1,
            Self::Fetched => 2,
            Self::Confirmed => 3,
            Self::Dead => 4,
        }
    }

    pub(crate) const fn of(code: i16) -> Self {
        match code {
            1 => Self::Waiting,
            2 => Self::Fetched,
            3 => Self::Confirmed,
            _ => Self::Dead,
        }
    }
}

/// A message, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The persons concerned, as the sender named them: whoever fetches it reads about them.
    pub(crate) subjects: Vec<Uuid>,
    /// For what it was sent; empty where no person is named.
    pub(crate) purpose: String,
    pub(crate) id: Uuid,
    pub(crate) mailbox: Uuid,
    pub(crate) sender_unit: i32,
    pub(crate) receiver_unit: i32,
    pub(crate) kind: String,
    pub(crate) media_type: String,
    pub(crate) sha256: String,
    pub(crate) state: State,
    pub(crate) attempts: i32,
    pub(crate) send_time: Timestamp,
    pub(crate) expire_time: Timestamp,
    pub(crate) fetch_time: Option<Timestamp>,
    pub(crate) confirm_time: Option<Timestamp>,
    pub(crate) receiver_reference: String,
    pub(crate) cause: String,
    pub(crate) version: i64,
}

/// The message was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IsDead;

impl Message {
    /// The receiver has it. A second confirmation changes nothing: false.
    pub(crate) fn confirm(&mut self, reference: &str, now: Timestamp) -> Result<bool, IsDead> {
        match self.state {
            State::Dead => Err(IsDead),
            State::Confirmed => Ok(false),
            State::Waiting | State::Fetched => {
                self.state = State::Confirmed;
                self.confirm_time = Some(now);
                reference.clone_into(&mut self.receiver_reference);
                self.cause.clear();
                self.version += 1;
                Ok(true)
            }
        }
    }

    /// The receiver could not take it now; after [`MOST_ATTEMPTS`] it is given up. A confirmed one stays confirmed: false.
    pub(crate) fn refuse(&mut self, cause: &str) -> Result<bool, IsDead> {
        match self.state {
            State::Dead => Err(IsDead),
            State::Confirmed => Ok(false),
            State::Waiting | State::Fetched => {
                self.state = if self.attempts >= MOST_ATTEMPTS {
                    State::Dead
                } else {
                    State::Waiting
                };
                cause.clone_into(&mut self.cause);
                self.version += 1;
                Ok(true)
            }
        }
    }

    /// Nobody confirmed it in time.
    pub(crate) fn expire(&mut self) {
        self.state = State::Dead;
        "not confirmed in time".clone_into(&mut self.cause);
        self.version += 1;
    }

    /// Lets a message that was given up wait again for `max_age`. Any other waits already: false.
    pub(crate) fn redrive(&mut self, now: Timestamp, max_age: Duration) -> bool {
        if self.state != State::Dead {
            return false;
        }
        self.expire_time = now.checked_add(max_age).unwrap_or(Timestamp::MAX);
        self.state = State::Waiting;
        self.attempts = 0;
        self.cause.clear();
        self.version += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            subjects: Vec::new(),
            purpose: String::new(),
            id: Uuid::nil(),
            mailbox: Uuid::nil(),
            sender_unit: 1,
            receiver_unit: 2,
            kind: "k".to_owned(),
            media_type: "m".to_owned(),
            sha256: String::new(),
            state: State::Waiting,
            attempts: 1,
            send_time: Timestamp::from_second(1000).unwrap(),
            expire_time: Timestamp::from_second(1600).unwrap(),
            fetch_time: None,
            confirm_time: None,
            receiver_reference: String::new(),
            cause: String::new(),
            version: 1,
        }
    }

    #[test]
    fn a_confirmed_message_stays_confirmed() {
        let mut message = message();
        let now = Timestamp::from_second(1100).unwrap();
        assert_eq!(message.confirm("số đến 7", now), Ok(true));
        assert_eq!(message.confirm("số đến 8", now), Ok(false));
        assert_eq!(message.refuse("no"), Ok(false));
        assert_eq!((message.receiver_reference.as_str(), message.version), ("số đến 7", 2));
    }

    #[test]
    fn a_message_is_given_up_after_ten_refusals_and_can_wait_again() {
        let mut message = message();
        message.attempts = MOST_ATTEMPTS - 1;
        assert_eq!(message.refuse("busy"), Ok(true));
        assert_eq!(message.state, State::Waiting);
        message.attempts = MOST_ATTEMPTS;
        assert_eq!(message.refuse("busy"), Ok(true));
        assert_eq!(message.state, State::Dead);
        let now = Timestamp::from_second(9000).unwrap();
        assert_eq!(message.confirm("x", now), Err(IsDead));
        assert!(message.redrive(now, Duration::from_mins(10)));
        assert_eq!((message.state, message.attempts), (State::Waiting, 0));
        assert_eq!(message.expire_time, Timestamp::from_second(9600).unwrap());
        assert!(!message.redrive(now, Duration::from_mins(10)));
    }
}
