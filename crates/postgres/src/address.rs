//! Where a server is reached.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The superuser's role in every cluster that this crate makes.
pub(crate) const SUPERUSER: &str = "postgres";

/// Names the socket file; there is no network port.
pub(crate) const PORT: u16 = 5432;

/// Where a cluster is reached: the folder of its socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    socket_dir: PathBuf,
}

impl Address {
    pub(crate) fn new(socket_dir: PathBuf) -> Self {
        Self { socket_dir }
    }

    /// The folder that holds the socket: `host` in PostgreSQL's terms.
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The number in the socket's name: `port` in PostgreSQL's terms. Nothing listens on the network.
    pub fn port(&self) -> u16 {
        PORT
    }

    /// The superuser's role.
    pub fn superuser(&self) -> &str {
        SUPERUSER
    }

    /// A URL that connects to `database` as `role`, for sqlx and for libpq's programs alike.
    pub fn url(&self, database: &str, role: &str) -> String {
        format!(
            "postgres:///{}?host={}&port={PORT}&user={}",
            percent_encoded(database.as_bytes()),
            percent_encoded(self.socket_dir.as_os_str().as_bytes()),
            percent_encoded(role.as_bytes()),
        )
    }
}

/// Everything but letters, digits, `-`, `.`, `_`, `~` and `/` as `%XX` (RFC 3986, section 2.1).
fn percent_encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(char::from(*byte));
            }
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_survives_blanks_and_vietnamese_letters_in_the_path() {
        let address = Address::new(PathBuf::from("/nhà/một cửa/run"));

        assert_eq!(
            address.url("onestop", "onestop_app"),
            "postgres:///onestop?host=/nh%C3%A0/m%E1%BB%99t%20c%E1%BB%ADa/run&port=5432&user=onestop_app"
        );
    }
}
