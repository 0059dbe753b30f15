//! What is counted.

use crate::domain::pack::Channel;

macro_rules! measures {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal,)*) => {
        /// What is counted. The numbers are stored: none is ever given another meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum Measure {
            $($(#[doc = $doc])* $name = $code,)*
        }

        impl Measure {
            /// All of them, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

measures! {
    /// Nộp trực tiếp.
    RegisteredCounter = 1,
    /// Nộp trực tuyến.
    RegisteredOnline = 2,
    /// Nộp qua bưu chính.
    RegisteredPost = 3,
    /// Không được tiếp nhận.
    Refused = 4,
    /// Rút, dừng before it was taken in.
    LeftBefore = 5,
    /// Tiếp nhận trực tiếp.
    ReceivedCounter = 6,
    /// Tiếp nhận trực tuyến.
    ReceivedOnline = 7,
    /// Tiếp nhận qua bưu chính.
    ReceivedPost = 8,
    /// Đã xử lý trước hạn.
    ProcessedEarly = 9,
    /// Đã xử lý đúng hạn.
    ProcessedOnTime = 10,
    /// Đã xử lý quá hạn.
    ProcessedLate = 11,
    /// Of the processed: rút.
    Withdrawn = 12,
    /// Dừng xử lý.
    Stopped = 13,
    /// Chuyển đến trừ chuyển đi, while the case was open.
    Transferred = 14,
    /// Stock: chờ tiếp nhận.
    Waiting = 15,
    /// Stock: tạm dừng (5, 6).
    Paused = 16,
    /// Stock: đang xử lý, quá hạn.
    Overdue = 17,
    /// Đã trả kết quả.
    Returned = 18,
    /// Lượt yêu cầu bổ sung.
    Supplements = 19,
    /// Thành phần hồ sơ of what was received.
    Components = 20,
    /// Of these, with a file.
    Digitised = 21,
    /// Of these, replaced by data.
    Reused = 22,
    /// Kết quả.
    Results = 23,
    /// Of these, with a file.
    DigitalResults = 24,
    /// Không hài lòng.
    RatedDissatisfied = 25,
    /// Hài lòng.
    RatedSatisfied = 26,
    /// Rất hài lòng.
    RatedVerySatisfied = 27,
    /// Khoản thanh toán that came in.
    Payments = 28,
    /// Of these, trực tuyến.
    OnlinePayments = 29,
}

impl Measure {
    /// The number under which it is stored.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The measure of a number.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.iter().copied().find(|measure| measure.code() == code)
    }

    /// Nộp by channel.
    pub const fn registered(channel: Channel) -> Self {
        match channel {
            Channel::Counter => Self::RegisteredCounter,
            Channel::Online => Self::RegisteredOnline,
            Channel::Post => Self::RegisteredPost,
        }
    }

    /// Tiếp nhận by channel.
    pub const fn received(channel: Channel) -> Self {
        match channel {
            Channel::Counter => Self::ReceivedCounter,
            Channel::Online => Self::ReceivedOnline,
            Channel::Post => Self::ReceivedPost,
        }
    }

    /// The step of a rating.
    pub const fn rated(score: i16) -> Option<Self> {
        match score {
            1 => Some(Self::RatedDissatisfied),
            2 => Some(Self::RatedSatisfied),
            3 => Some(Self::RatedVerySatisfied),
            _ => None,
        }
    }
}
