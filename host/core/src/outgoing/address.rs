//! Which addresses a name may lead to. A name that somebody else's server resolves is no
//! proof of where it leads: what counts is the address that is connected to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What an address is for. Only [`Kind::Public`] ones are reached without being granted by
/// address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anybody's, out in the internet.
    Public,
    /// This machine.
    Loopback,
    /// A private network (RFC 1918, RFC 4193), a provider's shared one (RFC 6598).
    Private,
    /// This network segment (RFC 3927, RFC 4291).
    LinkLocal,
    /// A cloud's metadata service: it hands out credentials to whoever can reach it.
    Metadata,
    /// Many at once.
    Multicast,
    /// An IPv4 address dressed as IPv6: mapped, translated (NAT64), 6to4, Teredo. It would
    /// pass a check that knows only one of the two.
    Dressed,
    /// For documentation, benchmarks, protocols, the future, or nobody.
    Reserved,
}

impl Kind {
    /// As messages call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "the address of a cloud's metadata service",
            Self::Multicast => "a multicast address",
            Self::Dressed => "an IPv4 address dressed as IPv6",
            Self::Reserved => "a reserved address",
        }
    }
}

/// Metadata services of Amazon (machines, containers, pods), Alibaba, Azure and Oracle;
/// Google, Hetzner and others use the first too.
const METADATA_V4: [Ipv4Addr; 6] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
/// The same of Amazon (machines, pods) and Google.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// What `address` is for.
pub fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    }
}

/// After IANA's registry of special-purpose addresses. Where that calls a block globally
/// reachable but only protocols live there, it is reserved here.
fn kind_v4(address: Ipv4Addr) -> Kind {
    if METADATA_V4.contains(&address) {
        return Kind::Metadata;
    }
    match address.octets() {
        [127, ..] => Kind::Loopback,
        [10, ..] | [192, 168, ..] => Kind::Private,
        [172, b, ..] if (16..32).contains(&b) => Kind::Private,
        [100, b, ..] if (64..128).contains(&b) => Kind::Private,
        [169, 254, ..] => Kind::LinkLocal,
        [a, ..] if (224..240).contains(&a) => Kind::Multicast,
        [0 | 240..=255, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Kind::Reserved,
        _ => Kind::Public,
    }
}

fn kind_v6(address: Ipv6Addr) -> Kind {
    if METADATA_V6.contains(&address) {
        return Kind::Metadata;
    }
    if address == Ipv6Addr::LOCALHOST {
        return Kind::Loopback;
    }
    if inner(address).is_some() {
        return Kind::Dressed;
    }
    match address.segments() {
        [a, ..] if a & 0xfe00 == 0xfc00 => Kind::Private,
        // Site-local (fec0::/10) was given up, and is somebody's private network still.
        [a, ..] if a & 0xffc0 == 0xfe80 => Kind::LinkLocal,
        [a, ..] if a & 0xffc0 == 0xfec0 => Kind::Private,
        [a, ..] if a & 0xff00 == 0xff00 => Kind::Multicast,
        // Protocols (2001::/23), documentation.
        [0x2001, b, ..] if b < 0x200 => Kind::Reserved,
        [0x2001, 0xdb8, ..] => Kind::Reserved,
        [0x3fff, b, ..] if b < 0x1000 => Kind::Reserved,
        // All that was ever given out lies in 2000::/3.
        [a, ..] if a & 0xe000 == 0x2000 => Kind::Public,
        _ => Kind::Reserved,
    }
}

/// The IPv4 address inside an IPv6 address that carries one.
fn inner(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // Compatible (given up) and mapped. `::` and `::1` are themselves.
        [0, 0, 0, 0, 0, 0, a, b] if (a, b) > (0, 1) => v4(a, b),
        [0, 0, 0, 0, 0, 0xffff, a, b] => v4(a, b),
        // Translated (RFC 2765).
        [0, 0, 0, 0, 0xffff, 0, a, b] => v4(a, b),
        // NAT64 (RFC 6052), and that within one's own network (RFC 8215).
        [0x64, 0xff9b, 0, 0, 0, 0, a, b] => v4(a, b),
        [0x64, 0xff9b, 1, .., a, b] => v4(a, b),
        // 6to4, and Teredo, which turns the client's bits over.
        [0x2002, a, b, ..] => v4(a, b),
        [0x2001, 0, .., a, b] => v4(!a, !b),
        _ => None,
    }
}

/// A network: an address and how many of its leading bits count, `10.96.0.0/12`; without a
/// `/` one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The one address.
    pub fn of(address: IpAddr) -> Self {
        Self { address, prefix: bits(address) }
    }

    fn contains(&self, address: IpAddr) -> bool {
        // A shift by all bits is no shift at all to the machine: hence the `checked`.
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(32 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(128 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Whether `address` may be connected to for a name that was granted `networks`: without
/// any, public addresses; with some, those in them and no others. A metadata service only
/// where exactly its address is granted. An IPv4 address dressed as IPv6 only where what it
/// carries could be reached too.
pub fn allowed(address: IpAddr, networks: &[Network]) -> Result<(), Kind> {
    let kind = kind(address);
    let granted = networks.iter().filter(|network| network.contains(address));
    let good = match kind {
        Kind::Public => networks.is_empty() || granted.count() > 0,
        Kind::Metadata => granted.into_iter().any(|network| network.prefix == bits(address)),
        Kind::Multicast => false,
        Kind::Dressed => {
            let carried = match address {
                IpAddr::V6(address) => inner(address),
                IpAddr::V4(_) => None,
            };
            granted.count() > 0
                && carried.is_some_and(|inside| {
                    let exact = networks.contains(&Network::of(address));
                    exact || kind_v4(inside) == Kind::Public || allowed(inside.into(), networks).is_ok()
                })
        }
        Kind::Loopback | Kind::Private | Kind::LinkLocal | Kind::Reserved => {
            granted.count() > 0 && !address.is_unspecified()
        }
    };
    if good { Ok(()) } else { Err(kind) }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a network: write an address, or a network such as 10.96.0.0/12");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let digits = |it: &&str| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit());
        let prefix = match prefix {
            None => bits(address),
            Some(prefix) => Some(prefix).filter(digits).and_then(|it| it.parse().ok()).ok_or_else(wrong)?,
        };
        if prefix == 0 || prefix > bits(address) {
            return Err(wrong());
        }
        let network = Self { address, prefix };
        let first = network.first();
        if first != address {
            return Err(format!("`{text}` has bits set behind its first {prefix}: write {first}/{prefix}"));
        }
        Ok(network)
    }
}

impl Network {
    /// Its first address: all bits behind the prefix are 0.
    fn first(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(a) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                Ipv4Addr::from_bits(a.to_bits() & mask).into()
            }
            IpAddr::V6(a) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                Ipv6Addr::from_bits(a.to_bits() & mask).into()
            }
        }
    }

    /// Whether it is this machine itself.
    pub fn is_loopback(&self) -> bool {
        kind(self.address) == Kind::Loopback
    }

    /// With its prefix, as a NetworkPolicy wants it.
    pub fn cidr(&self) -> String {
        format!("{}/{}", self.address, self.prefix)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == bits(self.address) {
            write!(f, "{}", self.address)
        } else {
            f.write_str(&self.cidr())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Kind {
        kind(text.parse().unwrap())
    }

    #[test]
    fn an_address_is_what_the_registries_say() {
        use Kind::*;
        for (text, wanted) in [
            ("1.1.1.1", Public),
            ("93.184.216.34", Public),
            ("172.15.255.255", Public),
            ("172.32.0.0", Public),
            ("100.63.255.255", Public),
            ("100.128.0.0", Public),
            ("192.0.1.1", Public),
            ("2606:4700::1111", Public),
            ("2001:200::1", Public),
            ("2a00:1450::1", Public),
            ("127.0.0.1", Loopback),
            ("127.255.255.254", Loopback),
            ("::1", Loopback),
            ("10.0.0.1", Private),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("192.168.1.1", Private),
            ("100.64.0.1", Private),
            ("100.127.255.255", Private),
            ("fc00::1", Private),
            ("fdff::1", Private),
            ("fec0::1", Private),
            ("169.254.1.1", LinkLocal),
            ("fe80::1", LinkLocal),
            ("febf::1", LinkLocal),
            ("169.254.169.254", Metadata),
            ("169.254.170.2", Metadata),
            ("100.100.100.200", Metadata),
            ("168.63.129.16", Metadata),
            ("fd00:ec2::254", Metadata),
            ("fd20:ce::254", Metadata),
            ("224.0.0.1", Multicast),
            ("239.255.255.255", Multicast),
            ("ff02::1", Multicast),
            ("::ffff:127.0.0.1", Dressed),
            ("::ffff:8.8.8.8", Dressed),
            ("::127.0.0.1", Dressed),
            ("::ffff:0:127.0.0.1", Dressed),
            ("64:ff9b::7f00:1", Dressed),
            ("64:ff9b:1::a00:1", Dressed),
            ("2002:7f00:1::", Dressed),
            ("2001::1", Dressed),
            ("0.0.0.0", Reserved),
            ("0.1.2.3", Reserved),
            ("192.0.0.8", Reserved),
            ("192.0.2.1", Reserved),
            ("192.88.99.1", Reserved),
            ("198.18.0.1", Reserved),
            ("198.51.100.1", Reserved),
            ("203.0.113.1", Reserved),
            ("240.0.0.1", Reserved),
            ("255.255.255.255", Reserved),
            ("::", Reserved),
            ("100::1", Reserved),
            ("2001:10::1", Reserved),
            ("2001:db8::1", Reserved),
            ("3fff::1", Reserved),
            ("5f00::1", Reserved),
            ("4000::1", Reserved),
        ] {
            assert_eq!(of(text), wanted, "{text}");
        }
    }

    #[test]
    fn only_public_addresses_are_reached_without_a_grant_and_only_granted_ones_with_it() {
        let check = |address: &str, networks: &str, good: bool| {
            let networks: Vec<Network> = networks.split_whitespace().map(|it| it.parse().unwrap()).collect();
            assert_eq!(
                allowed(address.parse().unwrap(), &networks).is_ok(),
                good,
                "{address} of {networks:?}"
            );
        };
        check("1.1.1.1", "", true);
        for bad in
            ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:1.1.1.1", "0.0.0.0", "224.0.0.1"]
        {
            check(bad, "", false);
        }
        check("10.1.2.3", "10.0.0.0/8", true);
        check("11.1.2.3", "10.0.0.0/8", false);
        check("1.1.1.1", "10.0.0.0/8", false);
        check("10.1.2.3", "10.1.2.3", true);
        check("10.1.2.4", "10.1.2.3", false);
        check("fd00::1", "10.0.0.0/8 fd00::/8", true);
        // A network is no grant of the metadata service that lies in it.
        check("169.254.169.254", "169.254.0.0/16", false);
        check("169.254.169.254", "169.254.169.254", true);
        check("fd00:ec2::254", "fd00::/8", false);
        check("168.63.129.16", "168.0.0.0/8", false);
        // Never, whatever is granted.
        check("224.0.0.1", "224.0.0.0/4", false);
        check("0.0.0.0", "0.0.0.0/8", false);
        // Dressed: what is inside counts.
        check("64:ff9b::8.8.8.8", "64:ff9b::/96", true);
        check("64:ff9b::10.0.0.1", "64:ff9b::/96", false);
        check("64:ff9b::10.0.0.1", "64:ff9b::/96 10.0.0.0/8", true);
        check("64:ff9b::169.254.169.254", "64:ff9b::/96 169.254.0.0/16", false);
        check("::ffff:127.0.0.1", "127.0.0.1", false);
        check("::ffff:127.0.0.1", "::ffff:127.0.0.1", true);
    }

    #[test]
    fn a_network_is_written_in_one_way() {
        for (text, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3/32", "10.1.2.3"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), shown);
        }
        assert_eq!("::1".parse::<Network>().unwrap().cidr(), "::1/128");
        for bad in
            ["", "10", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/+8", "::/129", "0.0.0.0/0", "a/8", "10.0.0/8"]
        {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        let error = "10.1.2.3/8".parse::<Network>().unwrap_err();
        assert!(error.ends_with("write 10.0.0.0/8"), "{error}");
    }
}
