//! Webhooks: where they may go, and how they are signed (Standard Webhooks 1.0).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How many bytes of secret a subscription gets.
pub(crate) const SECRET_BYTES: usize = 32;

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

/// The secret as a subscriber keeps it.
pub(crate) fn secret_text(secret: &[u8]) -> String {
    format!("whsec_{}", STANDARD.encode(secret))
}

/// The header `webhook-signature`: version 1, HMAC-SHA256 over id, time and body.
pub(crate) fn signature(secret: &[u8], id: &str, seconds: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
    context.update(format!("{id}.{seconds}.").as_bytes());
    context.update(body);
    format!("v1,{}", STANDARD.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = signature(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

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
