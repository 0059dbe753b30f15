//! The time a call may take.

use http::HeaderValue;
use tokio::time::Instant;

/// What is left until the deadline, as the next hop gets it. Never zero: that would be no deadline for some.
pub(crate) fn remaining(deadline: Instant) -> HeaderValue {
    let left = deadline.saturating_duration_since(Instant::now());
    let millis = left.as_millis().clamp(1, 99_999_999);
    let text = if millis < 99_999_999 {
        format!("{millis}m")
    } else {
        format!("{}S", left.as_secs().min(99_999_999))
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("1m"))
}
