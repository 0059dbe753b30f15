//! Why something at the counter is refused: one enum of what a caller can act on, one table to code, reason and words.

use egov_fault::{Code, Fault};
use egov_proto::egov::onestop::v1::ErrorReason;

use crate::domain::counters::{NotInState, PriorityRefused};
use crate::error::words;

/// Why something at the counter is refused.
#[derive(Debug, thiserror::Error)]
pub enum CounterRefused {
    /// There is no such group, or the caller may not know of it: the two look the same.
    #[error("counter group not found")]
    GroupNotFound,
    /// Another group of the unit has the code or the letter.
    #[error("code or letter of the group taken")]
    GroupTaken,
    /// The group changed since the caller read it.
    #[error("stale etag")]
    StaleEtag,
    /// The group gives no tickets.
    #[error("counter group closed")]
    GroupClosed,
    /// The group has no such counter.
    #[error("no counter {0}")]
    CounterUnknown(i32),
    /// A ticket is at the counter.
    #[error("a ticket is at the counter")]
    CounterBusy,
    /// There is no such ticket of today, or the caller may not know of it.
    #[error("ticket not found")]
    TicketNotFound,
    /// The state of the ticket does not allow it.
    #[error(transparent)]
    State(#[from] NotInState),
    /// The priority does not count.
    #[error(transparent)]
    Priority(#[from] PriorityRefused),
}

impl From<CounterRefused> for Fault {
    fn from(refused: CounterRefused) -> Self {
        use ErrorReason as R;
        match refused {
            CounterRefused::GroupNotFound => words(
                Code::NotFound,
                R::CounterGroupNotFound,
                "không tìm thấy nhóm quầy",
                "there is no such group of counters",
            )
            .fault(),
            CounterRefused::GroupTaken => words(
                Code::AlreadyExists,
                R::CounterGroupTaken,
                "mã hoặc chữ cái này đã thuộc nhóm quầy khác của đơn vị",
                "another group of the unit has this code or letter",
            )
            .fault(),
            CounterRefused::StaleEtag => Fault::new(
                Code::Aborted,
                "STALE_ETAG",
                "nhóm quầy đã thay đổi từ khi được đọc; hãy đọc lại rồi thực hiện lại",
                "the group changed since it was read; read it again and repeat",
            ),
            CounterRefused::GroupClosed => words(
                Code::FailedPrecondition,
                R::CounterGroupClosed,
                "nhóm quầy đang đóng, không cấp số",
                "the group of counters is closed and gives no tickets",
            )
            .fault(),
            CounterRefused::CounterUnknown(counter) => words(
                Code::InvalidArgument,
                R::CounterUnknown,
                "nhóm không có quầy này",
                "the group has no such counter",
            )
            .fault()
            .with("counter", counter.to_string()),
            CounterRefused::CounterBusy => words(
                Code::FailedPrecondition,
                R::CounterBusy,
                "quầy đang phục vụ một số; hãy kết thúc hoặc bỏ qua số đó trước",
                "a ticket is at the counter; finish or skip it first",
            )
            .fault(),
            CounterRefused::TicketNotFound => words(
                Code::NotFound,
                R::TicketNotFound,
                "không tìm thấy phiếu số thứ tự của hôm nay",
                "there is no such ticket of today",
            )
            .fault(),
            CounterRefused::State(refused) => words(
                Code::FailedPrecondition,
                R::TicketState,
                "trạng thái của phiếu không cho phép thao tác này",
                "the state of the ticket does not allow this",
            )
            .fault()
            .with("act", refused.act)
            .with("state", refused.state.code().to_string()),
            CounterRefused::Priority(PriorityRefused::Unknown(code)) => words(
                Code::InvalidArgument,
                R::PriorityUnknown,
                "không có diện ưu tiên này đang có hiệu lực",
                "there is no such priority in force",
            )
            .fault()
            .with("priority", code),
            CounterRefused::Priority(PriorityRefused::NotDecided(code)) => words(
                Code::FailedPrecondition,
                R::FactNotDecided,
                "diện ưu tiên này chưa được xác nhận hoặc quyết định",
                "this priority is neither confirmed nor decided",
            )
            .fault()
            .with("priority", code),
        }
    }
}
