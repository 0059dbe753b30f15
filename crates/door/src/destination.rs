//! Where the door may connect to.
//!
//! An endpoint is entered by whoever provides a service, and the door connects to it from inside the platform's network, where much
//! can be reached that no partner should reach. So an address is judged twice: as it is written, when it is entered; and as what it
//! resolves to, each time that a connection is made. A name that leads elsewhere by then is not followed.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::join_all;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

/// Where clouds tell a machine its credentials, beside the link-local addresses.
const CREDENTIALS: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254)),
];

/// The longest name of a host (RFC 1035, 2.3.4).
const LONGEST_NAME: usize = 253;

/// How often it is looked where the platform's own services are.
const LOOKED_EVERY: Duration = Duration::from_secs(15);

/// How long after the first look has begun a connection waits for what it finds.
const FIRST_LOOK: Duration = Duration::from_millis(500);

/// Why an address is none that an endpoint may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// The host is no name and no address in the usual form.
    NoHost,
    /// Link-local, multicast, unspecified, reserved, or where clouds tell credentials.
    Nobodys,
    /// This machine.
    ThisMachine,
    /// A service of the platform itself.
    Own,
    /// Outside the networks that are allowed.
    OutOfNetworks,
}

impl Forbidden {
    /// The reason, in English.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoHost => "its host is neither a name nor an address in the usual form",
            Self::Nobodys => "a link-local, multicast, unspecified or reserved address is nobody's service",
            Self::ThisMachine => "it is on the machine of the platform itself",
            Self::Own => "it is a service of the platform itself",
            Self::OutOfNetworks => "it is outside the networks in which this installation looks for services",
        }
    }
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl std::error::Error for Forbidden {}

/// What was given is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network: write it as 10.20.0.0/16 or fd12::/48, without bits behind its length")]
pub struct NotANetwork(pub String);

/// A network; one of IPv4 as the part of IPv6 by which its addresses are mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    base: u128,
    bits: u32,
}

/// An address as a number of IPv6.
fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(four) => four.to_ipv6_mapped().to_bits(),
        IpAddr::V6(six) => six.to_bits(),
    }
}

impl Network {
    /// The bits of an address that lie behind the length of the network.
    const fn behind(&self) -> u128 {
        match 1_u128.checked_shl(128 - self.bits) {
            Some(one) => one - 1,
            None => u128::MAX,
        }
    }

    fn contains(&self, ip: IpAddr) -> bool {
        number(ip) & !self.behind() == self.base
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = || NotANetwork(text.to_owned());
        let (address, bits) = match text.trim().split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text.trim(), None),
        };
        let ip: IpAddr = address.parse().map_err(|_| wrong())?;
        let (before, all) = if ip.is_ipv4() { (96_u32, 32_u32) } else { (0, 128) };
        let bits = match bits {
            Some(bits) => bits.parse::<u32>().map_err(|_| wrong())?,
            None => all,
        };
        if bits > all {
            return Err(wrong());
        }
        let network = Self {
            base: number(ip),
            bits: before + bits,
        };
        // Most likely a slip: another network is meant than the one that is written.
        if network.base & network.behind() != 0 {
            return Err(wrong());
        }
        Ok(network)
    }
}

/// Where endpoints may lie. Without further words: anywhere but on this machine, and not at the services of the platform itself.
#[derive(Clone, Debug, Default)]
pub struct Destinations {
    anywhere: bool,
    networks: Vec<Network>,
    /// `host` or `host:port`, in their normal form.
    hosts: Vec<String>,
    this_machine: bool,
    own: Vec<Arc<Own>>,
}

/// A service of the platform itself. Where it is is looked up beside the calls: a slow resolver must not cost an endpoint its time.
#[derive(Debug)]
struct Own {
    host: String,
    port: u16,
    /// When the first look began; from then on there is one again and again.
    begun: OnceLock<Instant>,
    /// Where it was found last; nothing until a look has ended.
    found: watch::Sender<Option<Vec<SocketAddr>>>,
}

impl Own {
    fn new(host: &str, port: u16) -> Self {
        Self {
            host: normal(host),
            port,
            begun: OnceLock::new(),
            found: watch::Sender::new(None),
        }
    }

    /// Where it is, as far as is known. Only the connections of the first moments wait for it, and for a moment.
    async fn places(self: &Arc<Self>) -> Vec<SocketAddr> {
        let begun = *self.begun.get_or_init(|| {
            self.keep_looking();
            Instant::now()
        });
        let mut found = self.found.subscribe();
        let _ = timeout_at(begun + FIRST_LOOK, found.wait_for(Option::is_some)).await;
        let places = found.borrow().clone();
        places.unwrap_or_default()
    }

    /// Looks again and again, as long as anybody needs it. What cannot be looked up is where it was.
    fn keep_looking(self: &Arc<Self>) {
        let (host, port, own) = (self.host.clone(), self.port, Arc::downgrade(self));
        tokio::spawn(async move {
            loop {
                let found = lookup_host((host.as_str(), port)).await;
                let Some(own) = own.upgrade() else { return };
                match found {
                    Ok(found) => {
                        let places = found.map(|one| SocketAddr::new(one.ip().to_canonical(), one.port()));
                        own.found.send_replace(Some(places.collect()));
                    }
                    Err(error) => {
                        tracing::debug!(host, cause = %error, "a service of the platform cannot be looked up");
                        own.found.send_modify(|found| {
                            found.get_or_insert_default();
                        });
                    }
                }
                drop(own);
                sleep(LOOKED_EVERY).await;
            }
        });
    }
}

impl Destinations {
    /// Everywhere, unjudged: for a door whose endpoints no partner enters, as in tests and measurements.
    pub fn anywhere() -> Self {
        Self {
            anywhere: true,
            ..Self::default()
        }
    }

    /// Not at these, by host and port: services of the platform itself.
    #[must_use]
    pub fn without(mut self, own: Vec<(String, u16)>) -> Self {
        self.own = own
            .into_iter()
            .map(|(host, port)| Arc::new(Own::new(&host, port)))
            .collect();
        self
    }

    /// Within these networks only (`10.20.0.0/16`); none leaves it as it was.
    ///
    /// # Errors
    /// The first that is no network.
    pub fn within(mut self, networks: &[String]) -> Result<Self, NotANetwork> {
        self.networks = networks
            .iter()
            .map(|text| text.parse::<Network>())
            .collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Also at these, wherever they lie: `host` or `host:port`.
    #[must_use]
    pub fn also(mut self, hosts: &[String]) -> Self {
        self.hosts = hosts
            .iter()
            .map(|host| match host.trim().parse::<SocketAddr>() {
                Ok(address) => address.to_string(),
                Err(_) => normal(host.trim()),
            })
            .collect();
        self
    }

    /// Also on this machine and at the services of the platform, or not: for trying out.
    #[must_use]
    pub fn this_machine(mut self, reached: bool) -> Self {
        self.this_machine = reached;
        self
    }

    /// Whether an endpoint may be entered with this host and port, as they are written. What a name resolves to is judged when it is
    /// connected to.
    ///
    /// # Errors
    /// Why it may not.
    pub fn judge(&self, host: &str, port: u16) -> Result<(), Forbidden> {
        if self.anywhere {
            return Ok(());
        }
        let host = normal(host);
        let vouched = self.vouches_for(&host, port);
        if let Ok(ip) = host.parse::<IpAddr>() {
            let own: Vec<SocketAddr> = self
                .own
                .iter()
                .filter_map(|own| Some(SocketAddr::new(own.host.parse().ok()?, own.port)))
                .collect();
            return self.judge_address(SocketAddr::new(ip, port), vouched, &own);
        }
        if !is_name(&host) {
            return Err(Forbidden::NoHost);
        }
        if vouched || self.this_machine {
            return Ok(());
        }
        if host == "localhost" || host.ends_with(".localhost") {
            return Err(Forbidden::ThisMachine);
        }
        if self.own.iter().any(|own| own.host == host && own.port == port) {
            return Err(Forbidden::Own);
        }
        Ok(())
    }

    /// The addresses of a host that may be connected to now.
    ///
    /// # Errors
    /// `PermissionDenied` with a [`Forbidden`] if there are none but such that may not; what the look-up says.
    pub async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.judge(host, port).map_err(denied)?;
        let host = normal(host);
        let found: Vec<SocketAddr> = lookup_host((host.as_str(), port)).await?.collect();
        if self.anywhere {
            return Ok(found);
        }
        let vouched = self.vouches_for(&host, port);
        let own = if vouched || self.this_machine {
            Vec::new()
        } else {
            self.own_at(port).await
        };
        self.among(&found, vouched, &own)
    }

    /// A connection to a host, at one of the addresses that it may have.
    ///
    /// # Errors
    /// As [`addresses`](Self::addresses); the system's.
    pub async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let addresses = self.addresses(host, port).await?;
        TcpStream::connect(addresses.as_slice()).await
    }

    /// Where the platform's own services with this port are, as far as is known.
    async fn own_at(&self, port: u16) -> Vec<SocketAddr> {
        let with_port = self.own.iter().filter(|own| own.port == port);
        join_all(with_port.map(Own::places)).await.concat()
    }

    /// Those of the addresses that were found for a host that it may have.
    fn among(&self, found: &[SocketAddr], vouched: bool, own: &[SocketAddr]) -> io::Result<Vec<SocketAddr>> {
        let mut allowed = Vec::with_capacity(found.len());
        let mut why = None;
        for address in found {
            match self.judge_address(*address, vouched, own) {
                Ok(()) => allowed.push(*address),
                Err(forbidden) => why = Some(forbidden),
            }
        }
        match why {
            Some(forbidden) if allowed.is_empty() => Err(denied(forbidden)),
            _ => Ok(allowed),
        }
    }

    fn judge_address(&self, address: SocketAddr, vouched: bool, own: &[SocketAddr]) -> Result<(), Forbidden> {
        let ip = address.ip().to_canonical();
        if meant(ip).into_iter().any(is_nobodys) {
            return Err(Forbidden::Nobodys);
        }
        if vouched {
            return Ok(());
        }
        if meant(ip)
            .into_iter()
            .any(|one| one.is_loopback() || is_this_machine(one))
        {
            return if self.this_machine {
                Ok(())
            } else {
                Err(Forbidden::ThisMachine)
            };
        }
        let is_own = |one: IpAddr| own.contains(&SocketAddr::new(one, address.port()));
        if !self.this_machine && meant(ip).into_iter().any(is_own) {
            return Err(Forbidden::Own);
        }
        if self.networks.is_empty() || self.networks.iter().any(|network| network.contains(ip)) {
            Ok(())
        } else {
            Err(Forbidden::OutOfNetworks)
        }
    }

    /// Whether the operator named this host, given in its normal form.
    fn vouches_for(&self, host: &str, port: u16) -> bool {
        let with_port = match host.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, port).to_string(),
            Err(_) => format!("{host}:{port}"),
        };
        self.hosts.iter().any(|one| *one == host || *one == with_port)
    }
}

fn denied(why: Forbidden) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// A host in the form in which it is compared: without brackets and final dot, in lower case.
fn normal(host: &str) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.to_string(),
        Err(_) => host.trim_end_matches('.').to_ascii_lowercase(),
    }
}

/// Whether it is a name. One whose last part is a number is an address to many a resolver, in a form that nobody writes who has nothing
/// to hide (`0x7f.1`, `2130706433`).
fn is_name(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let last = host.rsplit('.').next().unwrap_or_default();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = last
        .strip_prefix("0x")
        .map_or_else(|| digits(last), |hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    host.len() <= LONGEST_NAME && host.bytes().all(plain) && !last.is_empty() && !is_number
}

/// An address, and the one of IPv4 that it stands for, if it does: by NAT64 (RFC 6052), 6to4 (RFC 3056), or as a compatible one
/// (RFC 4291, 2.5.5.1).
fn meant(ip: IpAddr) -> [IpAddr; 2] {
    let IpAddr::V6(six) = ip else { return [ip, ip] };
    if six.is_loopback() || six.is_unspecified() {
        return [ip, ip];
    }
    let four = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)));
    let other = match six.segments() {
        [0, 0, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            four(high, low)
        }
        _ => ip,
    };
    [ip, other]
}

/// Whether no service can have an address, or nobody can tell whose it is (Teredo, the local prefix of NAT64).
fn is_nobodys(ip: IpAddr) -> bool {
    CREDENTIALS.contains(&ip)
        || match ip {
            IpAddr::V4(four) => {
                let [first, ..] = four.octets();
                first == 0 || first >= 224 || four.is_link_local()
            }
            IpAddr::V6(six) => {
                six.is_unspecified()
                    || six.is_multicast()
                    || six.is_unicast_link_local()
                    // fd00:ec2::/32 is where a cloud has what it tells a machine (fd00:ec2::254) and services of its own.
                    || matches!(
                        six.segments(),
                        [0x2001, 0, ..] | [0x64, 0xff9b, 1, ..] | [0xfd00, 0x0ec2, ..]
                    )
            }
        }
}

/// Whether this machine has an address: then a socket can be bound to it, and reaches it from there. Nothing is sent. An address of which
/// that cannot be told counts as this machine's.
fn is_this_machine(ip: IpAddr) -> bool {
    // Any port will do: a datagram socket connects without a word. Where addresses of others may be bound to, they are not reached so.
    let reached = UdpSocket::bind((ip, 0)).and_then(|socket| socket.connect((ip, 9)));
    match reached {
        Ok(()) => true,
        Err(error) => !matches!(
            error.kind(),
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strict() -> Destinations {
        Destinations::default().without(vec![("Db.Inner".to_owned(), 5432), ("192.0.2.9".to_owned(), 4222)])
    }

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn an_address_that_is_nobodys_or_the_platforms_own_is_no_endpoint() {
        use Forbidden::{NoHost, Nobodys, Own, ThisMachine};
        for (host, port, wanted) in [
            ("api.nghean.example", 443, Ok(())),
            ("198.51.100.7", 50051, Ok(())),
            ("[fd12:3456::7]", 50051, Ok(())),
            ("192.0.2.9", 443, Ok(())),
            ("169.254.169.254", 80, Err(Nobodys)),
            ("[::ffff:169.254.169.254]", 80, Err(Nobodys)),
            ("[64:ff9b::a9fe:a9fe]", 80, Err(Nobodys)),
            ("[2002:a9fe:a9fe::1]", 80, Err(Nobodys)),
            ("[fe80::1]", 80, Err(Nobodys)),
            ("[fd00:ec2::254]", 80, Err(Nobodys)),
            ("[fd00:ec2::23]", 80, Err(Nobodys)),
            ("[fd00:ec2:ffff::1]", 443, Err(Nobodys)),
            ("[fd00:ec3::1]", 443, Ok(())),
            ("100.100.100.200", 80, Err(Nobodys)),
            ("0.0.0.0", 80, Err(Nobodys)),
            ("[::]", 80, Err(Nobodys)),
            ("224.0.0.1", 80, Err(Nobodys)),
            ("255.255.255.255", 80, Err(Nobodys)),
            ("[ff02::1]", 80, Err(Nobodys)),
            ("127.0.0.1", 80, Err(ThisMachine)),
            ("127.8.8.8", 80, Err(ThisMachine)),
            ("[::1]", 80, Err(ThisMachine)),
            ("[::ffff:127.0.0.1]", 80, Err(ThisMachine)),
            ("[64:ff9b::7f00:1]", 80, Err(ThisMachine)),
            ("localhost", 80, Err(ThisMachine)),
            ("LocalHost.", 80, Err(ThisMachine)),
            ("a.localhost", 80, Err(ThisMachine)),
            ("db.inner", 5432, Err(Own)),
            ("DB.inner.", 5432, Err(Own)),
            ("db.inner", 443, Ok(())),
            ("192.0.2.9", 4222, Err(Own)),
            ("2130706433", 80, Err(NoHost)),
            ("0x7f000001", 80, Err(NoHost)),
            ("127.1", 80, Err(NoHost)),
            ("0177.0.0.1", 80, Err(NoHost)),
            ("api.test.0x1", 80, Err(NoHost)),
            ("fe80::1%eth0", 80, Err(NoHost)),
            ("", 80, Err(NoHost)),
        ] {
            assert_eq!(strict().judge(host, port), wanted, "{host}:{port}");
        }
    }

    #[test]
    fn what_a_name_leads_to_is_judged_each_time() {
        let found = |texts: &[&str]| -> Vec<SocketAddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        let own = found(&["192.0.2.5:443"]);
        let strict = strict();
        let judged = |texts: &[&str]| strict.among(&found(texts), false, &own);
        assert_eq!(judged(&["198.51.100.7:443"]).unwrap(), found(&["198.51.100.7:443"]));
        // Of several, those that it may have.
        assert_eq!(
            judged(&["127.0.0.1:443", "198.51.100.7:443", "192.0.2.5:443"]).unwrap(),
            found(&["198.51.100.7:443"])
        );
        for wrong in [
            "127.0.0.1:443",
            "169.254.169.254:443",
            "192.0.2.5:443",
            "[::ffff:192.0.2.5]:443",
        ] {
            let error = judged(&[wrong]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{wrong}");
        }
        // Whatever the operator vouches for, this is nobody's.
        assert!(strict.among(&found(&["169.254.169.254:443"]), true, &[]).is_err());
        assert!(strict.among(&found(&["127.0.0.1:443"]), true, &[]).is_ok());
    }

    #[test]
    fn an_operator_says_in_which_networks_and_at_which_hosts_services_lie() {
        use Forbidden::{Nobodys, OutOfNetworks, ThisMachine};
        let named = strict()
            .within(&list(&["198.51.0.0/16", "fd12:3456::/32"]))
            .unwrap()
            .also(&list(&[
                "127.0.0.1:9000",
                "[::1]:9000",
                "Api.Example",
                "169.254.1.1",
                "192.0.2.7",
            ]));
        for (host, port, wanted) in [
            ("198.51.255.1", 1, Ok(())),
            ("198.52.0.1", 1, Err(OutOfNetworks)),
            ("fd12:3456:1::1", 1, Ok(())),
            ("fd13::1", 1, Err(OutOfNetworks)),
            ("127.0.0.1", 9000, Ok(())),
            ("::1", 9000, Ok(())),
            ("127.0.0.1", 9001, Err(ThisMachine)),
            ("192.0.2.7", 1, Ok(())),
            ("169.254.1.1", 1, Err(Nobodys)),
            // A name is judged by what it leads to.
            ("other.example", 1, Ok(())),
        ] {
            assert_eq!(named.judge(host, port), wanted, "{host}:{port}");
        }
        assert!(named.vouches_for("api.example", 443));
        // A wide network says nothing of this machine; the demonstration does.
        let wide = strict().within(&list(&["0.0.0.0/0", "::/0"])).unwrap();
        assert_eq!(wide.judge("127.0.0.1", 80), Err(ThisMachine));
        let demonstration = strict().this_machine(true);
        assert_eq!(demonstration.judge("127.0.0.1", 80), Ok(()));
        assert_eq!(demonstration.judge("localhost", 80), Ok(()));
        assert_eq!(demonstration.judge("db.inner", 5432), Ok(()));
        assert_eq!(demonstration.judge("169.254.169.254", 80), Err(Nobodys));
        for wrong in [
            "10.20.0.0/33",
            "10.20.0.1/16",
            "10.20/16",
            "a/8",
            "10.0.0.0/-1",
            "::/129",
            "",
        ] {
            assert!(strict().within(&list(&[wrong])).is_err(), "{wrong}");
        }
        assert!(strict().within(&list(&["10.20.0.1", "fd12::7"])).is_ok());
    }

    #[tokio::test]
    async fn nothing_on_this_machine_is_connected_to_unless_it_may_be() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "::ffff:127.0.0.1"] {
            let error = strict().connect(host, port).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{host}");
        }
        assert!(strict().this_machine(true).connect("127.0.0.1", port).await.is_ok());
        let named = strict().also(&[format!("127.0.0.1:{port}")]);
        assert!(named.connect("127.0.0.1", port).await.is_ok());
        // Whatever further address this machine has, it is this machine.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket.connect("192.0.2.1:9").is_ok()
            && let Ok(own) = socket.local_addr()
            && !own.ip().is_unspecified()
            && !own.ip().is_loopback()
        {
            assert_eq!(strict().judge(&own.ip().to_string(), port), Err(Forbidden::ThisMachine));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_resolver_costs_the_first_connections_a_moment_and_no_later_one_anything() {
        let strict = Destinations::default().without(vec![("db.inner".to_owned(), 443), ("ev.inner".to_owned(), 443)]);
        // Looks that do not end.
        for own in &strict.own {
            own.begun.set(Instant::now()).unwrap();
        }
        let before = Instant::now();
        for _ in 0..20 {
            assert!(strict.own_at(443).await.is_empty());
        }
        assert!(before.elapsed() <= FIRST_LOOK + Duration::from_millis(50));
        // What was found is known from then on, at this port.
        let own: Vec<SocketAddr> = vec!["192.0.2.5:443".parse().unwrap()];
        strict.own[1].found.send_replace(Some(own.clone()));
        let before = Instant::now();
        assert_eq!(strict.own_at(443).await, own);
        assert!(strict.own_at(444).await.is_empty());
        assert!(before.elapsed() < Duration::from_millis(10));
        let error = strict.addresses("192.0.2.5", 443).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    #[tokio::test]
    async fn where_the_platforms_own_services_are_is_looked_up() {
        let strict = Destinations::default().without(vec![("localhost".to_owned(), 443)]);
        let mut found = strict.own[0].found.subscribe();
        strict.own_at(443).await;
        assert!(found.wait_for(Option::is_some).await.is_ok());
        assert!(strict.own_at(443).await.iter().any(|one| one.ip().is_loopback()));
    }

    proptest! {
        #[test]
        fn any_text_is_judged_and_no_form_of_an_inner_address_passes(
            text in "\\PC{0,40}",
            octets in any::<[u8; 3]>(),
            form in 0..4_usize,
        ) {
            let _ = strict().judge(&text, 80);
            let [b, c, d] = octets;
            let four = Ipv4Addr::new(127, b, c, d);
            let number = u32::from(four);
            let written = match form {
                0 => four.to_string(),
                1 => format!("::ffff:{four}"),
                2 => format!("{number}"),
                _ => format!("{number:#x}"),
            };
            prop_assert!(strict().judge(&written, 80).is_err(), "{}", written);
        }

        #[test]
        fn a_network_holds_what_has_its_first_bits(base in any::<u32>(), other in any::<u32>(), bits in 0..=32_u32) {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            let network: Network = format!("{}/{bits}", Ipv4Addr::from_bits(base & mask)).parse().unwrap();
            let held = network.contains(IpAddr::V4(Ipv4Addr::from_bits(other)));
            prop_assert_eq!(held, other & mask == base & mask);
            prop_assert!(network.contains(IpAddr::V4(Ipv4Addr::from_bits(base))));
        }
    }
}
