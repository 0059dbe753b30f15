//! Webhooks: where they may go. How they are signed stands in [`egov_events::WebhookSecret`].

/// The hosts to which events may be sent, as the operator has registered them: `host` or `host:port`. A name on this list is
/// trusted; what it resolves to is the business of the network that the operator runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AllowedHosts {
    hosts: Vec<String>,
}

impl AllowedHosts {
    pub(crate) fn new(hosts: &[String]) -> Self {
        Self {
            hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        }
    }

    /// Whether events may be sent to this address: https (http only to a registered address of this machine, for trying it out), to
    /// a registered host and port, without a user, and without a fragment.
    pub(crate) fn allow(&self, address: &str) -> bool {
        let Ok(url) = reqwest::Url::parse(address) else {
            return false;
        };
        let Some(host) = url.host_str() else { return false };
        let host = host.to_ascii_lowercase();
        let plain = matches!(host.as_str(), "127.0.0.1" | "[::1]" | "localhost");
        let scheme = match url.scheme() {
            "https" => true,
            "http" => plain,
            _ => false,
        };
        let named = match url.port() {
            None => host,
            Some(port) => format!("{host}:{port}"),
        };
        scheme
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
            && self.hosts.contains(&named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_registered_hosts_are_reached() {
        let hosts = ["Nhan.Example.vn", "127.0.0.1:8080", "gw.example.vn:8443"].map(str::to_owned);
        let allowed = AllowedHosts::new(&hosts);
        for good in [
            "https://nhan.example.vn/hook",
            "https://NHAN.example.vn:443/hook?x=1",
            "http://127.0.0.1:8080/",
            "https://gw.example.vn:8443/",
        ] {
            assert!(allowed.allow(good), "{good}");
        }
        for bad in [
            "http://nhan.example.vn/hook",
            "https://nhan.example.vn:8443/",
            "https://nhan.example.vn.evil.example/",
            "https://evil.example/@nhan.example.vn",
            "https://nhan.example.vn@evil.example/",
            "https://user@nhan.example.vn/",
            "https://nhan.example.vn/#x",
            "https://169.254.169.254/latest/meta-data",
            "https://127.0.0.1/",
            "http://127.0.0.1:8081/",
            "file:///etc/passwd",
            "gopher://nhan.example.vn/",
            "nhan.example.vn",
            "",
        ] {
            assert!(!allowed.allow(bad), "{bad}");
        }
        assert!(
            !AllowedHosts::default().allow("https://nhan.example.vn/"),
            "nothing is registered at first"
        );
    }

    proptest! {
        #[test]
        fn whatever_is_asked_only_a_registered_host_is_allowed(address in "(https?://)?[a-z@:./#?\\\\%0-9\\[\\]]{0,30}(nhan\\.vn)?[a-z@:./#?\\\\%0-9]{0,20}") {
            let allowed = AllowedHosts::new(&["nhan.vn".to_owned()]);
            if allowed.allow(&address) {
                let url = reqwest::Url::parse(&address).unwrap();
                prop_assert_eq!((url.scheme(), url.host_str(), url.port()), ("https", Some("nhan.vn"), None));
            }
        }
    }
}
