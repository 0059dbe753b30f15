//! What a caller of identity can act on, and the one table that turns it into a [`Fault`].

use std::borrow::Cow;
use std::time::Duration;

use egov_fault::{Code, Fault, Violation};
use jiff::{SignedDuration, Timestamp};

use crate::domain::client::KeyRefusal;
use crate::domain::federated_sign_in::Unusable;
use crate::domain::id_token::IdTokenRefusal;
use crate::domain::issuer;
use crate::domain::reorganisation::Flaw;
pub use crate::domain::role::DateProblem;

/// The area whose reasons these are (`ErrorInfo.domain`).
pub const DOMAIN: &str = "identity.egov";

/// A refusal of identity. Whatever else fails is a [`Fault`] of the crate where it failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Name, password, challenge or code is wrong; which one is not said.
    #[error("name, password or code is wrong")]
    SignInRefused,
    /// Too many failed sign-ins.
    #[error("too many failed sign-ins; try again later")]
    AccountLocked {
        /// Try again after this long.
        retry_after: Duration,
    },
    /// The refresh token was used before; the session was ended.
    #[error("the refresh token was used before; the session has been ended")]
    RefreshTokenReused,
    /// The refresh token is unknown, expired or revoked.
    #[error("the refresh token is not valid")]
    RefreshTokenInvalid,
    /// There is no such unit on this day.
    #[error("there is no such unit on this day")]
    UnitNotFound,
    /// There is no such account that the caller may read.
    #[error("there is no such account")]
    AccountNotFound,
    /// The user name is taken.
    #[error("the user name is taken")]
    UsernameTaken,
    /// No policy knows this role, or it is not one that is granted.
    #[error("no policy knows this role")]
    RoleUnknown,
    /// There is no such role grant.
    #[error("there is no such role grant")]
    GrantNotFound,
    /// There is no such system.
    #[error("there is no such system")]
    SystemNotFound,
    /// There is no such reorganisation.
    #[error("there is no such reorganisation")]
    ReorganisationNotFound,
    /// It was applied or cancelled, or its day has come.
    #[error("the reorganisation is not waiting for its day any more")]
    ReorganisationNotPlanned,
    /// It changed since the caller read it.
    #[error("it changed since it was read; read it again and repeat")]
    StaleEtag,
    /// The client id is taken.
    #[error("the client id is taken")]
    ClientIdTaken,
    /// The key cannot be accepted.
    #[error("{0}")]
    KeyRefused(KeyRefusal),
    /// There is no such key of tokens.
    #[error("there is no such key of tokens")]
    KeyNotFound,
    /// The key was withdrawn before.
    #[error("the key was withdrawn already")]
    KeyAlreadyWithdrawn,
    /// Keys of this purpose are not rotated here.
    #[error("keys of this purpose are not rotated: what old ones made is needed without an end")]
    KeyNotRotatable,
    /// Sessions were to end where there are none.
    #[error("only officials have sessions")]
    NoSessionsToEnd,
    /// The role grant has ended.
    #[error("the role grant has ended; give the role anew")]
    GrantEnded,
    /// The policies do not let this role be delegated.
    #[error("the policies do not let this role be delegated")]
    RoleNotDelegable,
    /// The delegation would reach beyond its grant, or lasts too long.
    #[error("a delegation begins today or later, lies within the days of its grant and lasts at most 366 days")]
    DelegationBeyondGrant,
    /// The same grant is delegated to the same account in that time.
    #[error("the role is delegated to this account in that time already")]
    DelegationExists,
    /// The account acts for as many others as one may.
    #[error("the account acts for ten others already")]
    DelegationsFull,
    /// There is no such delegation that the caller may see.
    #[error("there is no such delegation")]
    DelegationNotFound,
    /// There is no such open session.
    #[error("there is no such open session")]
    SessionNotFound,
    /// The activation code or the one-time code is wrong; which one is not said.
    #[error("the activation code or the one-time code is wrong, or the activation code has expired")]
    ActivationRefused,
    /// The account was activated already.
    #[error("the account was activated already")]
    AlreadyActivated,
    /// The caller may not do this: the permission is missing here.
    #[error("the permission {permission} is missing")]
    PermissionMissing {
        /// The missing permission.
        permission: String,
    },
    /// Nobody administers themselves.
    #[error("nobody changes their own access")]
    OwnAccess,
    /// Too many sign-ins at once.
    #[error("too many sign-ins at once; try again")]
    Overloaded,
    /// There is no such issuer that the caller may see.
    #[error("there is no such issuer")]
    IssuerNotFound,
    /// The issuer is registered already.
    #[error("the issuer is registered already")]
    IssuerTaken,
    /// Nobody signs in by this issuer any more.
    #[error("nobody signs in by this issuer any more")]
    IssuerDisabled,
    /// The issuer does not answer.
    #[error("the issuer does not answer; try again")]
    IssuerUnavailable,
    /// What the issuer publishes or answers cannot be used.
    #[error("the issuer cannot be used: {0}")]
    IssuerUnusable(Unusable),
    /// The issuer may not speak for the unit of the account.
    #[error("the issuer may not speak for the unit of the account")]
    IssuerNotForUnit,
    /// The redirect URI is not registered for the issuer.
    #[error("the redirect URI is not registered for this issuer")]
    RedirectUriRefused,
    /// The sign-in is unknown, completed, too old, or was begun in another browser.
    #[error(
        "the sign-in is unknown, completed or older than ten minutes, or was begun in another browser; begin again"
    )]
    FederatedStateRefused,
    /// The issuer does not accept the code.
    #[error("the issuer does not accept the code; begin again")]
    CodeRefused,
    /// What the issuer says of the person is not accepted.
    #[error("the ID token of the issuer is not accepted: {0}")]
    IdTokenRefused(IdTokenRefusal),
    /// No account is linked to what the issuer calls the person.
    #[error("no account is linked to what the issuer calls the person; an administrator of the unit links it")]
    IdentityNotLinked,
    /// The account is closed.
    #[error("the account is closed")]
    AccountClosed,
    /// The issuer does not prove a second factor, and the account has no authenticator here.
    #[error(
        "the issuer does not prove a second factor, and the account has no authenticator here; activate the account"
    )]
    SecondFactorMissing,
    /// The subject is linked, or the account has a link at this issuer.
    #[error("what the issuer calls the person is linked to an account, or the account has a link at this issuer")]
    IdentityTaken,
    /// There is no such link that the caller may see.
    #[error("there is no such link")]
    IdentityNotFound,
    /// A date field is no day of the calendar, or the end lies before the beginning.
    #[error("the request has an invalid date")]
    InvalidDate {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: DateProblem,
    },
}

impl IdentityError {
    /// A lock that lasts until `until`.
    pub fn locked(until: Timestamp, now: Timestamp) -> Self {
        let left = until.duration_since(now).max(SignedDuration::from_secs(1));
        Self::AccountLocked {
            retry_after: left.unsigned_abs(),
        }
    }

    /// Code, reason and the Vietnamese text of each.
    const fn row(&self) -> (Code, &'static str, &'static str) {
        match self {
            Self::SignInRefused => (
                Code::Unauthenticated,
                "SIGN_IN_REFUSED",
                "tên đăng nhập, mật khẩu hoặc mã xác thực không đúng",
            ),
            Self::AccountLocked { .. } => (
                Code::ResourceExhausted,
                "ACCOUNT_LOCKED",
                "đăng nhập sai quá nhiều lần, vui lòng thử lại sau",
            ),
            Self::RefreshTokenReused => (
                Code::Unauthenticated,
                "REFRESH_TOKEN_REUSED",
                "mã làm mới đã được sử dụng, phiên làm việc đã bị kết thúc",
            ),
            Self::RefreshTokenInvalid => (
                Code::Unauthenticated,
                "REFRESH_TOKEN_INVALID",
                "mã làm mới không còn hiệu lực",
            ),
            Self::UnitNotFound => (Code::NotFound, "UNIT_NOT_FOUND", "không có đơn vị này vào ngày đã nêu"),
            Self::AccountNotFound => (Code::NotFound, "ACCOUNT_NOT_FOUND", "không có tài khoản này"),
            Self::UsernameTaken => (Code::AlreadyExists, "USERNAME_TAKEN", "tên đăng nhập đã được sử dụng"),
            Self::RoleUnknown => (
                Code::InvalidArgument,
                "ROLE_UNKNOWN",
                "không có vai trò này trong chính sách",
            ),
            Self::GrantNotFound => (Code::NotFound, "GRANT_NOT_FOUND", "không có lần giao vai trò này"),
            Self::SystemNotFound => (Code::NotFound, "SYSTEM_NOT_FOUND", "không có hệ thống này"),
            Self::ReorganisationNotFound => (
                Code::NotFound,
                "REORGANISATION_NOT_FOUND",
                "không có phương án sắp xếp này",
            ),
            Self::ReorganisationNotPlanned => (
                Code::FailedPrecondition,
                "REORGANISATION_NOT_PLANNED",
                "phương án sắp xếp không còn chờ đến ngày hiệu lực",
            ),
            Self::StaleEtag => (
                Code::Aborted,
                "STALE_ETAG",
                "dữ liệu đã thay đổi từ khi được đọc; hãy đọc lại rồi thực hiện lại",
            ),
            Self::ClientIdTaken => (Code::AlreadyExists, "CLIENT_ID_TAKEN", "mã hệ thống đã được sử dụng"),
            Self::KeyRefused(_) => (
                Code::InvalidArgument,
                "KEY_REFUSED",
                "khoá công khai không được chấp nhận",
            ),
            Self::KeyNotFound => (Code::NotFound, "KEY_NOT_FOUND", "không có khoá ký mã truy cập này"),
            Self::KeyAlreadyWithdrawn => (
                Code::FailedPrecondition,
                "KEY_ALREADY_WITHDRAWN",
                "khoá này đã bị thu hồi trước đó",
            ),
            Self::KeyNotRotatable => (
                Code::FailedPrecondition,
                "KEY_NOT_ROTATABLE",
                "khoá dùng cho mục đích này không được thay: những gì khoá cũ đã tạo ra còn cần đến lâu dài",
            ),
            Self::NoSessionsToEnd => (
                Code::InvalidArgument,
                egov_fault::INVALID_FIELD,
                "yêu cầu có trường không hợp lệ",
            ),
            Self::GrantEnded => (
                Code::FailedPrecondition,
                "GRANT_ENDED",
                "lần giao vai trò này đã kết thúc, hãy giao lại",
            ),
            Self::RoleNotDelegable => (
                Code::FailedPrecondition,
                "ROLE_NOT_DELEGABLE",
                "chính sách không cho phép uỷ quyền vai trò này",
            ),
            Self::DelegationBeyondGrant => (
                Code::FailedPrecondition,
                "DELEGATION_BEYOND_GRANT",
                "thời hạn uỷ quyền phải bắt đầu từ hôm nay trở đi, nằm trong thời hạn giao vai trò và không quá 366 ngày",
            ),
            Self::DelegationExists => (
                Code::AlreadyExists,
                "DELEGATION_EXISTS",
                "vai trò đã được uỷ quyền cho tài khoản này trong thời gian đó",
            ),
            Self::DelegationsFull => (
                Code::FailedPrecondition,
                "DELEGATIONS_FULL",
                "tài khoản đang nhận uỷ quyền của mười người",
            ),
            Self::DelegationNotFound => (Code::NotFound, "DELEGATION_NOT_FOUND", "không có việc uỷ quyền này"),
            Self::SessionNotFound => (
                Code::NotFound,
                "SESSION_NOT_FOUND",
                "không có phiên làm việc này hoặc phiên đã kết thúc",
            ),
            Self::ActivationRefused => (
                Code::Unauthenticated,
                "ACTIVATION_REFUSED",
                "mã kích hoạt hoặc mã xác thực không đúng, hoặc mã kích hoạt đã hết hạn",
            ),
            Self::AlreadyActivated => (
                Code::FailedPrecondition,
                "ALREADY_ACTIVATED",
                "tài khoản đã được kích hoạt",
            ),
            Self::PermissionMissing { .. } => (
                Code::PermissionDenied,
                "PERMISSION_MISSING",
                "không có quyền thực hiện việc này",
            ),
            Self::OwnAccess => (
                Code::PermissionDenied,
                "PERMISSION_MISSING",
                "không ai được tự thay đổi quyền của mình",
            ),
            Self::Overloaded => (
                Code::ResourceExhausted,
                "OVERLOADED",
                "quá nhiều lượt đăng nhập cùng lúc, vui lòng thử lại",
            ),
            Self::IssuerNotFound => (Code::NotFound, "ISSUER_NOT_FOUND", "không có bên cấp danh tính này"),
            Self::IssuerTaken => (Code::AlreadyExists, "ISSUER_TAKEN", "bên cấp danh tính đã được đăng ký"),
            Self::IssuerDisabled => (
                Code::FailedPrecondition,
                "ISSUER_DISABLED",
                "bên cấp danh tính này không còn được dùng để đăng nhập",
            ),
            Self::IssuerUnavailable => (
                Code::Unavailable,
                "ISSUER_UNAVAILABLE",
                "bên cấp danh tính không trả lời, vui lòng thử lại",
            ),
            Self::IssuerUnusable(_) => (
                Code::FailedPrecondition,
                "ISSUER_UNUSABLE",
                "không thể dùng bên cấp danh tính này",
            ),
            Self::IssuerNotForUnit => (
                Code::PermissionDenied,
                "ISSUER_NOT_FOR_UNIT",
                "bên cấp danh tính không được xác nhận cho đơn vị của tài khoản",
            ),
            Self::RedirectUriRefused => (
                Code::InvalidArgument,
                "REDIRECT_URI_REFUSED",
                "địa chỉ quay lại chưa được đăng ký cho bên cấp danh tính này",
            ),
            Self::FederatedStateRefused => (
                Code::Unauthenticated,
                "FEDERATED_STATE_REFUSED",
                "lần đăng nhập không tồn tại, đã hoàn tất, quá mười phút hoặc được bắt đầu ở trình duyệt khác; hãy bắt đầu lại",
            ),
            Self::CodeRefused => (
                Code::Unauthenticated,
                "CODE_REFUSED",
                "bên cấp danh tính không chấp nhận mã uỷ quyền; hãy bắt đầu lại",
            ),
            Self::IdTokenRefused(_) => (
                Code::Unauthenticated,
                "ID_TOKEN_REFUSED",
                "mã định danh của bên cấp danh tính không được chấp nhận",
            ),
            Self::IdentityNotLinked => (
                Code::PermissionDenied,
                "IDENTITY_NOT_LINKED",
                "danh tính này chưa được liên kết với tài khoản nào; người quản trị của đơn vị thực hiện liên kết",
            ),
            Self::AccountClosed => (Code::FailedPrecondition, "ACCOUNT_CLOSED", "tài khoản đã bị đóng"),
            Self::SecondFactorMissing => (
                Code::FailedPrecondition,
                "SECOND_FACTOR_MISSING",
                "bên cấp danh tính không xác nhận yếu tố thứ hai và tài khoản chưa có mã xác thực tại đây; hãy kích hoạt tài khoản",
            ),
            Self::IdentityTaken => (
                Code::AlreadyExists,
                "IDENTITY_TAKEN",
                "danh tính đã được liên kết với một tài khoản, hoặc tài khoản đã có liên kết tại bên cấp danh tính này",
            ),
            Self::IdentityNotFound => (Code::NotFound, "IDENTITY_NOT_FOUND", "không có liên kết này"),
            Self::InvalidDate { .. } => (
                Code::InvalidArgument,
                egov_fault::INVALID_FIELD,
                "yêu cầu có trường không hợp lệ",
            ),
        }
    }
}

impl From<IdentityError> for Fault {
    fn from(error: IdentityError) -> Self {
        let (code, reason, vi) = error.row();
        let vi: Cow<'static, str> = match &error {
            IdentityError::IssuerUnusable(unusable) => format!("{vi}: {}", unusable.vi()).into(),
            IdentityError::IdTokenRefused(refusal) => format!("{vi}: {}", refusal.vi()).into(),
            _ => vi.into(),
        };
        let fault = Fault::new(code, reason, vi, error.to_string());
        match error {
            // The reasons that all contracts share keep the shared domain.
            IdentityError::PermissionMissing { permission } => fault.with("permission", permission),
            IdentityError::OwnAccess => fault.with("permission", "another administrator"),
            IdentityError::StaleEtag => fault,
            IdentityError::Overloaded => fault.retry_after(Duration::from_secs(1)),
            IdentityError::NoSessionsToEnd => Fault::invalid(vec![Violation {
                field: "end_sessions".to_owned(),
                rule: "scope.sessions".to_owned(),
                vi: "chỉ cán bộ, công chức, viên chức mới có phiên làm việc để kết thúc".to_owned(),
                en: "only officials have sessions that could end".to_owned(),
            }]),
            IdentityError::InvalidDate { field, problem } => Fault::invalid(vec![violation(field, problem)]),
            IdentityError::IssuerUnavailable => fault.domain(DOMAIN).retry_after(Duration::from_secs(5)),
            IdentityError::IssuerUnusable(unusable) => fault.domain(DOMAIN).with("problem", unusable.as_str()),
            IdentityError::IdTokenRefused(refusal) => fault.domain(DOMAIN).with("check", refusal.check()),
            IdentityError::AccountLocked { retry_after } => fault.domain(DOMAIN).retry_after(retry_after),
            _ => fault.domain(DOMAIN),
        }
    }
}

/// A plan that breaks rules; every one is named.
pub(crate) fn plan_refused(flaws: Vec<Flaw>) -> Fault {
    let violations = flaws
        .into_iter()
        .map(|flaw| Violation {
            field: flaw.field,
            rule: flaw.rule.to_owned(),
            vi: flaw.vi,
            en: flaw.en,
        })
        .collect();
    Fault::invalid(violations)
}

/// A registration of an issuer that breaks rules; every one is named.
pub(crate) fn registration_refused(flaws: Vec<issuer::Flaw>) -> Fault {
    let violations = flaws
        .into_iter()
        .map(|flaw| Violation {
            field: flaw.field,
            rule: flaw.rule.to_owned(),
            vi: flaw.vi.to_owned(),
            en: flaw.en.to_owned(),
        })
        .collect();
    Fault::invalid(violations)
}

fn violation(field: &'static str, problem: DateProblem) -> Violation {
    let (rule, vi, en) = match problem {
        DateProblem::NotADay => ("date.day", "không phải là một ngày", "is not a day of the calendar"),
        DateProblem::EndsBeforeItBegins => (
            "date.period",
            "ngày kết thúc phải sau ngày bắt đầu",
            "must be after the first day",
        ),
        DateProblem::Past => ("date.past", "không được ở trong quá khứ", "must not lie in the past"),
    };
    Violation {
        field: field.to_owned(),
        rule: rule.to_owned(),
        vi: vi.to_owned(),
        en: en.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egov_proto::egov::identity::v1::ErrorReason;
    use egov_proto::egov::types::v1::ErrorReason as SharedReason;

    fn every() -> Vec<IdentityError> {
        use IdentityError as E;
        vec![
            E::SignInRefused,
            E::AccountLocked {
                retry_after: Duration::from_mins(1),
            },
            E::RefreshTokenReused,
            E::RefreshTokenInvalid,
            E::UnitNotFound,
            E::AccountNotFound,
            E::UsernameTaken,
            E::RoleUnknown,
            E::GrantNotFound,
            E::GrantEnded,
            E::RoleNotDelegable,
            E::DelegationBeyondGrant,
            E::DelegationExists,
            E::DelegationsFull,
            E::DelegationNotFound,
            E::SessionNotFound,
            E::ActivationRefused,
            E::AlreadyActivated,
            E::SystemNotFound,
            E::ReorganisationNotFound,
            E::ReorganisationNotPlanned,
            E::StaleEtag,
            E::ClientIdTaken,
            E::KeyRefused(KeyRefusal::Private),
            E::KeyNotFound,
            E::KeyAlreadyWithdrawn,
            E::KeyNotRotatable,
            E::NoSessionsToEnd,
            E::PermissionMissing {
                permission: "identity.roles.manage".to_owned(),
            },
            E::OwnAccess,
            E::Overloaded,
            E::IssuerNotFound,
            E::IssuerTaken,
            E::IssuerDisabled,
            E::IssuerUnavailable,
            E::IssuerUnusable(Unusable::TooLarge),
            E::IssuerNotForUnit,
            E::RedirectUriRefused,
            E::FederatedStateRefused,
            E::CodeRefused,
            E::IdTokenRefused(IdTokenRefusal::Nonce),
            E::IdentityNotLinked,
            E::AccountClosed,
            E::SecondFactorMissing,
            E::IdentityTaken,
            E::IdentityNotFound,
            E::InvalidDate {
                field: "effective_to",
                problem: DateProblem::NotADay,
            },
        ]
    }

    #[test]
    fn every_reason_stands_in_the_contract_of_its_domain() {
        for error in every() {
            let fault = Fault::from(error.clone());
            let name = format!("ERROR_REASON_{}", fault.reason());
            let known = match fault.error_domain() {
                DOMAIN => ErrorReason::from_str_name(&name).is_some(),
                "egov" => SharedReason::from_str_name(&name).is_some(),
                other => panic!("{other} is not a domain of identity"),
            };
            assert!(known, "{error:?}: {name}");
        }
    }

    #[test]
    fn every_check_of_an_id_token_and_every_problem_of_an_issuer_has_its_word_and_its_sentence() {
        let mut words: Vec<_> = IdTokenRefusal::ALL
            .map(|refusal| (refusal.check(), refusal.vi(), refusal.to_string()))
            .into_iter()
            .chain(Unusable::ALL.map(|unusable| (unusable.as_str(), unusable.vi(), unusable.to_string())))
            .collect();
        let count = words.len();
        words.sort_unstable();
        words.dedup_by_key(|(_, vi, _)| *vi);
        assert_eq!(words.len(), count);
        let fault = Fault::from(IdentityError::IdTokenRefused(IdTokenRefusal::Nonce));
        assert_eq!(fault.metadata().get("check").map(String::as_str), Some("nonce"));
    }

    #[test]
    fn a_lock_says_when_to_come_back_and_never_before_a_second() {
        let now: Timestamp = "2026-11-23T01:00:00Z".parse().unwrap();
        let until = now + SignedDuration::from_mins(2);
        let fault = Fault::from(IdentityError::locked(until, now));
        assert_eq!(fault.retry_delay(), Some(Duration::from_mins(2)));
        let fault = Fault::from(IdentityError::locked(now, now));
        assert_eq!(fault.retry_delay(), Some(Duration::from_secs(1)));
    }
}
