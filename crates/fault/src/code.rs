//! The kinds of failure, and the one table to the two transports.

/// The kinds of failure that a caller can tell apart: the codes of `google.rpc.Code`, without `OK` and `UNKNOWN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The request is wrong whatever the state of the system; correct it.
    InvalidArgument,
    /// The system is not in the state that the operation needs; change that first.
    FailedPrecondition,
    /// There is no such resource, or the caller may not know of it: the two look the same.
    NotFound,
    /// What the caller wants to make exists.
    AlreadyExists,
    /// The caller is known, may know of the resource, and may not do this.
    PermissionDenied,
    /// The caller is not known; sign in again.
    Unauthenticated,
    /// A quota or a size limit is used up.
    ResourceExhausted,
    /// Somebody else changed the resource in between; read it again and repeat.
    Aborted,
    /// Cannot answer at present; the same request may succeed later.
    Unavailable,
    /// The caller's deadline passed; the operation may have happened.
    DeadlineExceeded,
    /// Past the end of what exists, for example an offset behind a file.
    OutOfRange,
    /// The caller went away.
    Cancelled,
    /// There is no such operation here.
    Unimplemented,
    /// Stored data is damaged.
    DataLoss,
    /// A failure of ours.
    Internal,
}

impl Code {
    /// Every code, in the order of this enum.
    pub const ALL: [Self; 15] = [
        Self::InvalidArgument,
        Self::FailedPrecondition,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::Unauthenticated,
        Self::ResourceExhausted,
        Self::Aborted,
        Self::Unavailable,
        Self::DeadlineExceeded,
        Self::OutOfRange,
        Self::Cancelled,
        Self::Unimplemented,
        Self::DataLoss,
        Self::Internal,
    ];

    /// One row a code: the gRPC code, the HTTP status (the mapping of `google/rpc/code.proto`), the name.
    const fn row(self) -> (tonic::Code, u16, &'static str) {
        match self {
            Self::InvalidArgument => (tonic::Code::InvalidArgument, 400, "INVALID_ARGUMENT"),
            Self::FailedPrecondition => (tonic::Code::FailedPrecondition, 400, "FAILED_PRECONDITION"),
            Self::NotFound => (tonic::Code::NotFound, 404, "NOT_FOUND"),
            Self::AlreadyExists => (tonic::Code::AlreadyExists, 409, "ALREADY_EXISTS"),
            Self::PermissionDenied => (tonic::Code::PermissionDenied, 403, "PERMISSION_DENIED"),
            Self::Unauthenticated => (tonic::Code::Unauthenticated, 401, "UNAUTHENTICATED"),
            Self::ResourceExhausted => (tonic::Code::ResourceExhausted, 429, "RESOURCE_EXHAUSTED"),
            Self::Aborted => (tonic::Code::Aborted, 409, "ABORTED"),
            Self::Unavailable => (tonic::Code::Unavailable, 503, "UNAVAILABLE"),
            Self::DeadlineExceeded => (tonic::Code::DeadlineExceeded, 504, "DEADLINE_EXCEEDED"),
            Self::OutOfRange => (tonic::Code::OutOfRange, 400, "OUT_OF_RANGE"),
            Self::Cancelled => (tonic::Code::Cancelled, 499, "CANCELLED"),
            Self::Unimplemented => (tonic::Code::Unimplemented, 501, "UNIMPLEMENTED"),
            Self::DataLoss => (tonic::Code::DataLoss, 500, "DATA_LOSS"),
            Self::Internal => (tonic::Code::Internal, 500, "INTERNAL"),
        }
    }

    /// The HTTP status of a REST answer with this code.
    pub const fn http_status(self) -> u16 {
        self.row().1
    }

    /// The gRPC code.
    pub const fn to_tonic(self) -> tonic::Code {
        self.row().0
    }

    /// The name as `google.rpc.Code` spells it, for example `NOT_FOUND`.
    pub const fn name(self) -> &'static str {
        self.row().2
    }

    /// The code of a gRPC answer. `OK` and `UNKNOWN` have no counterpart: a failure that carries one of them is a
    /// failure of the other side, hence [`Code::Internal`].
    pub fn from_tonic(code: tonic::Code) -> Self {
        Self::ALL
            .into_iter()
            .find(|ours| ours.to_tonic() == code)
            .unwrap_or(Self::Internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_way_to_grpc_and_back() {
        for code in Code::ALL {
            assert_eq!(Code::from_tonic(code.to_tonic()), code);
        }
        assert_eq!(Code::from_tonic(tonic::Code::Unknown), Code::Internal);
        assert_eq!(Code::from_tonic(tonic::Code::Ok), Code::Internal);
    }

    #[test]
    fn every_code_has_the_http_status_of_a_failure() {
        for code in Code::ALL {
            assert!((400..600).contains(&code.http_status()), "{code:?}");
        }
    }
}
