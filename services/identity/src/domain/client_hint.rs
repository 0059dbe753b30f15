//! With what somebody signed in, as far as they would recognise it in a list of sessions.
//!
//! A user agent as it is sent tells versions and details that together single out a device; kept, it would be personal data that
//! nobody needs. What is kept is a product and a platform out of the lists below, or the bare first word of a program of its own.
//! Addresses are not kept at all: behind the proxies of offices they name the proxy, and elsewhere where somebody was.

/// The longest hint; the column holds no more.
pub(crate) const LONGEST: usize = 60;

/// What stands in a user agent and what it is called, the more particular first: every browser also claims to be others.
const PRODUCTS: [(&str, &str); 8] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("OPR/", "Opera"),
    ("coc_coc_browser", "Cốc Cốc"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// The same for platforms.
const PLATFORMS: [(&str, &str); 6] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
];

/// The hint that a user agent gives; empty if it gives none.
pub(crate) fn client_hint(user_agent: &str) -> String {
    let find = |known: &[(&str, &'static str)]| {
        known
            .iter()
            .find(|(word, _)| user_agent.contains(word))
            .map(|(_, name)| *name)
    };
    match (find(&PRODUCTS), find(&PLATFORMS)) {
        (Some(product), Some(platform)) => format!("{product}, {platform}"),
        (Some(product), None) => product.to_owned(),
        (None, platform) => {
            // "tonic/0.14": a program that names itself. Letters only, so that no number of a device hides in it.
            let word: String = user_agent
                .chars()
                .take_while(|c| c.is_ascii_alphabetic() || matches!(c, '-' | '_'))
                .take(LONGEST / 2)
                .collect();
            let own = (!word.is_empty() && word != "Mozilla").then_some(word);
            match (own, platform) {
                (Some(own), Some(platform)) => format!("{own}, {platform}"),
                (Some(own), None) => own,
                (None, platform) => platform.unwrap_or_default().to_owned(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_browser_is_known_by_product_and_platform_without_any_version() {
        for (agent, hint) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
                "Chrome, Windows",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
                "Edge, Windows",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
                "Firefox, Linux",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
                "Safari, iPhone",
            ),
            ("tonic/0.14.2", "tonic"),
            ("grpc-java-netty/1.60", "grpc-java-netty"),
            ("Mozilla/5.0", ""),
            ("", ""),
            ("192.0.2.1", ""),
        ] {
            assert_eq!(client_hint(agent), hint, "{agent}");
        }
    }

    proptest! {
        #[test]
        fn no_hint_is_long_or_holds_a_digit(agent in any::<String>()) {
            let hint = client_hint(&agent);
            prop_assert!(hint.chars().count() <= LONGEST, "{hint}");
            prop_assert!(!hint.chars().any(|c| c.is_ascii_digit()), "{hint}");
        }
    }
}
