//! Why a token is refused.

use egov_fault::{Code, Fault};

/// Why a token does not make its bearer known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// No token was sent.
    #[error("no token was sent")]
    Missing,
    /// Not a token of this platform's profile; the text says what is wrong and holds nothing of the token.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come, or it claims to be issued in the future.
    #[error("the token is not yet valid")]
    NotYetValid,
    /// It was issued for somebody else.
    #[error("the token was issued for another audience")]
    WrongAudience,
    /// Its issuer is not trusted here, or not for this kind of caller.
    #[error("the issuer of the token is not trusted here for this kind of caller")]
    UnknownIssuer,
    /// It names no key, or one that its issuer does not publish.
    #[error("the token was signed with a key that its issuer does not publish")]
    UnknownKey,
    /// Its algorithm is not on our list, or is not the one of its key.
    #[error("the algorithm of the token is not accepted or does not belong to its key")]
    BadAlgorithm,
    /// The signature does not verify.
    #[error("the signature of the token does not verify")]
    BadSignature,
    /// It is a token of another type.
    #[error("the token is of another type")]
    WrongType,
    /// The token, its session or its account was revoked.
    #[error("the token, its session or its account was revoked")]
    Revoked,
    /// The issuer's keys were never seen, or too long ago, and cannot be fetched.
    #[error("the keys of the token's issuer cannot be fetched")]
    KeysUnavailable,
}

impl TokenRefusal {
    /// The reason as the contract documents it, and the text in Vietnamese.
    const fn row(&self) -> (&'static str, &'static str) {
        match self {
            Self::Missing => ("TOKEN_MISSING", "yêu cầu không kèm mã truy cập"),
            Self::Malformed(_) => ("TOKEN_MALFORMED", "mã truy cập không đúng định dạng"),
            Self::Expired => ("TOKEN_EXPIRED", "mã truy cập đã hết hạn"),
            Self::NotYetValid => ("TOKEN_NOT_YET_VALID", "mã truy cập chưa có hiệu lực"),
            Self::WrongAudience => ("TOKEN_WRONG_AUDIENCE", "mã truy cập được cấp cho hệ thống khác"),
            Self::UnknownIssuer => ("TOKEN_UNKNOWN_ISSUER", "bên cấp mã truy cập không được tin cậy tại đây"),
            Self::UnknownKey => ("TOKEN_UNKNOWN_KEY", "khoá ký mã truy cập không được bên cấp công bố"),
            Self::BadAlgorithm => ("TOKEN_BAD_ALGORITHM", "thuật toán ký mã truy cập không được chấp nhận"),
            Self::BadSignature => ("TOKEN_BAD_SIGNATURE", "chữ ký của mã truy cập không hợp lệ"),
            Self::WrongType => ("TOKEN_WRONG_TYPE", "mã truy cập không đúng loại"),
            Self::Revoked => ("TOKEN_REVOKED", "mã truy cập đã bị thu hồi"),
            Self::KeysUnavailable => ("STORE_UNAVAILABLE", "chưa lấy được khoá của bên cấp mã truy cập"),
        }
    }

    /// The reason as the contract documents it.
    pub const fn reason(&self) -> &'static str {
        self.row().0
    }
}

impl From<TokenRefusal> for Fault {
    fn from(refusal: TokenRefusal) -> Self {
        let (reason, vi) = refusal.row();
        let en = refusal.to_string();
        match refusal {
            TokenRefusal::KeysUnavailable => {
                Fault::new(Code::Unavailable, reason, vi, en).retry_after(std::time::Duration::from_secs(5))
            }
            _ => Fault::new(Code::Unauthenticated, reason, vi, en),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_token_is_unauthenticated_and_missing_keys_are_unavailable() {
        let fault = Fault::from(TokenRefusal::BadSignature);
        assert_eq!(fault.code(), Code::Unauthenticated);
        assert_eq!(fault.reason(), "TOKEN_BAD_SIGNATURE");
        let fault = Fault::from(TokenRefusal::KeysUnavailable);
        assert_eq!(fault.code(), Code::Unavailable);
        assert!(fault.retry_delay().is_some());
    }
}
