//! The URL of a server, with another role and database.

/// The parts of a superuser's URL that are the same for every role and database on that server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerUrl {
    /// Role as it stood in the URL, percent-encoded.
    role: Option<String>,
    /// Password as it stood in the URL, percent-encoded.
    password: Option<String>,
    /// Host and port; empty for a socket, which stands in the parameters.
    host: String,
    /// The parameters but role, password and database.
    parameters: Vec<(String, String)>,
}

impl ServerUrl {
    /// Takes a URL apart; `None` if it is not one of PostgreSQL.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        if !matches!(scheme, "postgres" | "postgresql") {
            return None;
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, _database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (role, password) = user
            .split_once(':')
            .map_or((user, None), |(role, password)| (role, Some(password)));
        let mut parsed = Self {
            role: (!role.is_empty()).then(|| role.to_owned()),
            password: password.map(str::to_owned),
            host: host.to_owned(),
            parameters: Vec::new(),
        };
        for parameter in query.split('&').filter(|text| !text.is_empty()) {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match key {
                "user" => parsed.role = Some(value.to_owned()),
                "password" => parsed.password = Some(value.to_owned()),
                "dbname" => {}
                _ => parsed.parameters.push((key.to_owned(), value.to_owned())),
            }
        }
        Some(parsed)
    }

    /// The password, if the server asks for one.
    pub(crate) fn password(&self) -> Option<String> {
        self.password.as_deref().map(percent_decoded)
    }

    /// A URL for `database` as the superuser.
    pub(crate) fn superuser(&self, database: &str) -> String {
        self.build(database, self.role.as_deref())
    }

    /// A URL for `database` as `role`, both of letters, digits and `_`. Where the server asks for passwords, the roles
    /// of tests have the superuser's.
    pub(crate) fn role(&self, database: &str, role: &str) -> String {
        self.build(database, Some(role))
    }

    /// The role stands in the parameters: a URL without a host cannot have a user before it.
    fn build(&self, database: &str, role: Option<&str>) -> String {
        let parameters: Vec<String> = self
            .parameters
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .chain(role.map(|role| ("user", role)))
            .chain(self.password.as_deref().map(|password| ("password", password)))
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        format!("postgres://{}/{database}?{}", self.host, parameters.join("&"))
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let decoded = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, decoded) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use sqlx::postgres::PgConnectOptions;

    use super::*;

    #[test]
    fn a_socket_url_keeps_its_folder_and_changes_role_and_database() {
        let server = ServerUrl::parse("postgres:///postgres?host=/nh%C3%A0/a%20b&port=5432&user=postgres").unwrap();

        let url = server.role("test_1", "onestop_app");

        assert_eq!(
            url,
            "postgres:///test_1?host=/nh%C3%A0/a%20b&port=5432&user=onestop_app"
        );
        let options = PgConnectOptions::from_str(&url).unwrap();
        assert_eq!(options.get_socket().unwrap().to_str(), Some("/nhà/a b"));
        assert_eq!(options.get_username(), "onestop_app");
        assert_eq!(options.get_database(), Some("test_1"));
        assert_eq!(
            PgConnectOptions::from_str(&server.superuser("x"))
                .unwrap()
                .get_username(),
            "postgres"
        );
    }

    #[test]
    fn a_network_url_keeps_its_host_and_password() {
        let server = ServerUrl::parse("postgresql://admin:p%40ss@db.example:6432/postgres?sslmode=require").unwrap();

        assert_eq!(server.password().as_deref(), Some("p@ss"));
        let options = PgConnectOptions::from_str(&server.role("test_1", "onestop_app")).unwrap();
        assert_eq!((options.get_host(), options.get_port()), ("db.example", 6432));
        assert_eq!(options.get_username(), "onestop_app");
        let options = PgConnectOptions::from_str(&server.superuser("test_1")).unwrap();
        assert_eq!(options.get_username(), "admin");
    }

    #[test]
    fn what_is_no_url_of_postgresql_is_refused() {
        assert_eq!(ServerUrl::parse("mysql://root@localhost/x"), None);
        assert_eq!(ServerUrl::parse("localhost"), None);
    }
}
