//! What a failed statement means to the caller: one table from SQLSTATE.

use std::fmt;
use std::time::Duration;

use egov_fault::{Code, Fault};
use sqlx::postgres::PgDatabaseError;

/// One row a SQLSTATE (five characters) or a class of them (two).
struct Meaning {
    state: &'static str,
    code: Code,
    reason: &'static str,
    vi: &'static str,
    en: &'static str,
    retry_ms: Option<u64>,
}

const fn meaning(
    state: &'static str,
    code: Code,
    reason: &'static str,
    vi: &'static str,
    en: &'static str,
    retry_ms: Option<u64>,
) -> Meaning {
    Meaning {
        state,
        code,
        reason,
        vi,
        en,
        retry_ms,
    }
}

/// Whatever is not listed is a failure of ours. So is 42501, by which row-level security refuses a row out of scope:
/// the operation's own decision should have come first.
#[rustfmt::skip]
const MEANINGS: &[Meaning] = &[
    meaning("23505", Code::AlreadyExists, "ALREADY_EXISTS", "dữ liệu này đã tồn tại", "this already exists", None),
    meaning("23503", Code::FailedPrecondition, "REFERENCE_MISSING", "dữ liệu được dẫn chiếu không tồn tại hoặc đang được sử dụng", "something referred to does not exist, or is still referred to", None),
    meaning("22021", Code::InvalidArgument, "TEXT_NOT_STORABLE", "văn bản có ký tự không lưu được", "a text has a character that cannot be stored", None),
    meaning("22P05", Code::InvalidArgument, "TEXT_NOT_STORABLE", "văn bản có ký tự không lưu được", "a text has a character that cannot be stored", None),
    meaning("40001", Code::Aborted, "CONCURRENT_WRITE", "dữ liệu vừa được người khác thay đổi, hãy thử lại", "another write came first; try again", Some(50)),
    meaning("40P01", Code::Aborted, "CONCURRENT_WRITE", "dữ liệu vừa được người khác thay đổi, hãy thử lại", "another write came first; try again", Some(50)),
    meaning("55P03", Code::Aborted, "LOCK_TIMEOUT", "dữ liệu đang được thao tác khác sử dụng, hãy thử lại", "another write holds this; try again", Some(200)),
    meaning("57014", Code::DeadlineExceeded, "STATEMENT_TIMEOUT", "truy vấn mất quá nhiều thời gian", "the statement took too long", None),
    meaning("25P03", Code::Unavailable, "DATABASE_UNAVAILABLE", "cơ sở dữ liệu tạm thời không sẵn sàng", "the database is not available at present", Some(1000)),
    meaning("25006", Code::Unavailable, "DATABASE_READ_ONLY", "cơ sở dữ liệu tạm thời chỉ cho đọc", "the database accepts no writes at present", Some(1000)),
    meaning("53100", Code::Unavailable, "DATABASE_FULL", "máy chủ cơ sở dữ liệu hết dung lượng", "the database server has run out of disk space", None),
    meaning("EG001", Code::Aborted, "LEASE_LOST", "tiến trình khác đã nhận công việc này", "another process has taken this work over", None),
    meaning("08",    Code::Unavailable, "DATABASE_UNAVAILABLE", "cơ sở dữ liệu tạm thời không sẵn sàng", "the database is not available at present", Some(1000)),
    meaning("53",    Code::Unavailable, "DATABASE_BUSY", "cơ sở dữ liệu đang quá tải", "the database is too busy at present", Some(1000)),
    meaning("57",    Code::Unavailable, "DATABASE_UNAVAILABLE", "cơ sở dữ liệu tạm thời không sẵn sàng", "the database is not available at present", Some(1000)),
];

/// What the database said, without what it quoted: the detail and context of a PostgreSQL error repeat values of rows,
/// which must not reach a log.
#[derive(Debug)]
struct SqlFailure {
    state: String,
    message: String,
    constraint: Option<String>,
}

impl fmt::Display for SqlFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SQLSTATE {}", self.state)?;
        if let Some(constraint) = &self.constraint {
            write!(f, " on {constraint}")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for SqlFailure {}

impl SqlFailure {
    fn of(error: &PgDatabaseError) -> Self {
        // Errors of class 22 (data exception) quote the offending value in the message itself.
        let message = if error.code().starts_with("22") {
            ""
        } else {
            error.message()
        };
        Self {
            state: error.code().to_owned(),
            message: message.to_owned(),
            constraint: error.constraint().map(str::to_owned),
        }
    }
}

/// Turns a failure of the database into what a caller can act on. The cause stays with the fault, for the log, without
/// the values that PostgreSQL quotes.
pub fn sql_fault(error: sqlx::Error) -> Fault {
    match error {
        sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => state_fault(error),
            None => Fault::internal("an error of a database that is not PostgreSQL"),
        },
        sqlx::Error::RowNotFound => Fault::new(
            Code::NotFound,
            "NOT_FOUND",
            "không tìm thấy",
            "there is no such resource",
        ),
        sqlx::Error::PoolTimedOut => Fault::new(
            Code::Unavailable,
            "DATABASE_BUSY",
            "cơ sở dữ liệu đang quá tải",
            "the database is too busy at present",
        )
        .retry_after(Duration::from_secs(1))
        .caused_by(sqlx::Error::PoolTimedOut),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => unavailable(error),
        other => Fault::internal(other),
    }
}

/// The SQLSTATE with which PostgreSQL refused, if that is what a fault tells; for a job that goes on in another way by it.
pub fn sql_state(fault: &Fault) -> Option<&str> {
    let source = std::error::Error::source(fault)?;
    source
        .downcast_ref::<SqlFailure>()
        .map(|failure| failure.state.as_str())
}

/// Whether `error` says that the named constraint does not hold, for an operation that has its own answer to that.
pub fn violates(error: &sqlx::Error, constraint: &str) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.constraint() == Some(constraint))
}

/// What a connection that was refused means to the operator: a program that does not start should say why.
pub(crate) fn connect_fault(error: sqlx::Error) -> Fault {
    let state = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .map(std::borrow::Cow::into_owned);
    let refused = |reason, vi: &str, en: &str| Some(Fault::new(Code::FailedPrecondition, reason, vi, en));
    let told = match state.as_deref() {
        Some("3D000") => refused(
            "DATABASE_MISSING",
            "cơ sở dữ liệu chưa được tạo",
            "there is no such database on the server",
        ),
        Some(state) if state.starts_with("28") => refused(
            "DATABASE_LOGIN_REFUSED",
            "máy chủ cơ sở dữ liệu từ chối đăng nhập",
            "the database server refuses this role or its password",
        ),
        Some("42501") => refused(
            "DATABASE_LOGIN_REFUSED",
            "vai trò không được phép kết nối cơ sở dữ liệu",
            "this role may not connect to the database",
        ),
        _ => None,
    };
    match told {
        Some(fault) => fault.caused_by(sql_fault(error)),
        None => match error {
            sqlx::Error::Database(_) => sql_fault(error),
            other => unavailable(other),
        },
    }
}

pub(crate) fn unavailable(source: sqlx::Error) -> Fault {
    Fault::new(
        Code::Unavailable,
        "DATABASE_UNAVAILABLE",
        "cơ sở dữ liệu tạm thời không sẵn sàng",
        "the database is not available at present",
    )
    .retry_after(Duration::from_secs(1))
    .caused_by(source)
}

fn state_fault(error: &PgDatabaseError) -> Fault {
    let source = SqlFailure::of(error);
    let found = MEANINGS.iter().find(|meaning| source.state.starts_with(meaning.state));
    match found {
        None => Fault::internal(source),
        Some(meaning) => {
            let mut fault = Fault::new(meaning.code, meaning.reason, meaning.vi, meaning.en);
            if let Some(millis) = meaning.retry_ms {
                fault = fault.retry_after(Duration::from_millis(millis));
            }
            fault.caused_by(source)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_state_comes_before_its_class() {
        for (place, row) in MEANINGS.iter().enumerate() {
            assert!(row.state.len() == 5 || row.state.len() == 2);
            let hidden = MEANINGS
                .iter()
                .take(place)
                .any(|earlier| row.state.starts_with(earlier.state));
            assert!(!hidden, "{} is never reached", row.state);
        }
    }

    #[test]
    fn a_full_pool_and_a_lost_connection_ask_to_try_again() {
        let busy = sql_fault(sqlx::Error::PoolTimedOut);
        assert_eq!((busy.code(), busy.reason()), (Code::Unavailable, "DATABASE_BUSY"));
        assert!(busy.retry_delay().is_some());
        let gone = sql_fault(sqlx::Error::Io(std::io::Error::other("reset")));
        assert_eq!(
            (gone.code(), gone.reason()),
            (Code::Unavailable, "DATABASE_UNAVAILABLE")
        );
    }

    #[test]
    fn a_fault_tells_the_state_with_which_postgresql_refused_and_no_other_fault_has_one() {
        let refused = SqlFailure {
            state: "23514".to_owned(),
            message: String::new(),
            constraint: Some("positive".to_owned()),
        };
        assert_eq!(sql_state(&Fault::internal(refused)), Some("23514"));
        assert_eq!(sql_state(&sql_fault(sqlx::Error::PoolTimedOut)), None);
        assert_eq!(sql_state(&Fault::new(Code::Internal, "INTERNAL", "", "")), None);
    }

    #[test]
    fn a_programming_error_shows_the_caller_nothing() {
        let fault = sql_fault(sqlx::Error::ColumnNotFound("personal_number".to_owned()));
        assert_eq!(fault.code(), Code::Internal);
        assert!(!fault.en().contains("personal_number"));
    }
}
