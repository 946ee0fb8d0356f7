//! Where the stores of a local `LogStore` listen: one pair of ports for each copy, all on loopback.

use std::net::{Ipv4Addr, SocketAddr};

use crate::build::CopyName;

/// How far behind the first port the status is served.
const STATUS_DISTANCE: u16 = 100;

/// Ports that there are not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortsError {
    /// The last port would be behind the last that there is.
    #[error(
        "{copies} copies and the status need ports {first} to {last}, but 65535 is the last; give a smaller --port-base"
    )]
    OutOfRange {
        /// How many copies there are.
        copies: u8,
        /// The first port.
        first: u16,
        /// The last one that would be needed.
        last: u32,
    },
}

/// The ports of all copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    first: u16,
    copies: u8,
}

/// The addresses of one copy's store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The HTTP API.
    pub listen: SocketAddr,
    /// Health checks and metrics.
    pub admin: SocketAddr,
}

impl Ports {
    /// The ports from `first` on: two for each copy, and one for the status further behind.
    ///
    /// # Errors
    /// When there are not so many.
    pub fn from(first: u16, copies: u8) -> Result<Self, PortsError> {
        match first.checked_add(STATUS_DISTANCE) {
            Some(_) => Ok(Self { first, copies }),
            None => Err(PortsError::OutOfRange { copies, first, last: u32::from(first) + u32::from(STATUS_DISTANCE) }),
        }
    }

    /// The addresses of a copy.
    #[must_use]
    pub fn of(self, copy: CopyName) -> Addresses {
        let listen = self.first + 2 * u16::from(copy.index());
        Addresses { listen: loopback(listen), admin: loopback(listen + 1) }
    }

    /// Where the status is served unless told otherwise.
    #[must_use]
    pub fn status(self) -> SocketAddr {
        loopback(self.first + STATUS_DISTANCE)
    }

    /// Whether a copy on these ports would meet another copy that still is on its old ones. Copies are replaced one by
    /// one, so both are there for a while.
    #[must_use]
    pub fn meets(self, old: Self) -> bool {
        let pairs = |ports: Self| CopyName::first(ports.copies).map(move |copy| (copy, ports.of(copy)));
        let meet = |new: Addresses, old: Addresses| {
            [new.listen, new.admin].iter().any(|address| [old.listen, old.admin].contains(address))
        };
        pairs(self).any(|(copy, new)| pairs(old).any(|(other, old)| copy != other && meet(new, old)))
    }

    /// The first and the last port of the stores.
    #[must_use]
    pub fn range(self) -> (u16, u16) {
        (self.first, self.first + 2 * u16::from(self.copies) - 1)
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(index: usize) -> CopyName {
        CopyName::first(5).nth(index).unwrap()
    }

    #[test]
    fn each_copy_has_two_ports_of_its_own() {
        let ports = Ports::from(8000, 2).unwrap();
        assert_eq!(ports.of(copy(0)).listen.to_string(), "127.0.0.1:8000");
        assert_eq!(ports.of(copy(0)).admin.to_string(), "127.0.0.1:8001");
        assert_eq!(ports.of(copy(1)).listen.to_string(), "127.0.0.1:8002");
        assert_eq!((ports.status().port(), ports.range()), (8100, (8000, 8003)));
    }

    #[test]
    fn ports_behind_the_last_are_refused() {
        assert!(Ports::from(65435, 5).is_ok());
        assert!(Ports::from(65436, 1).unwrap_err().to_string().contains("65535 is the last"));
    }

    #[test]
    fn ports_of_different_copies_do_not_meet() {
        let ports = |first| Ports::from(first, 2).unwrap();
        assert!(ports(8002).meets(ports(8000)), "copy a would come to where copy b is");
        assert!(ports(8001).meets(ports(8000)));
        assert!(ports(7999).meets(ports(8000)));
        assert!(!ports(8004).meets(ports(8000)));
        assert!(!ports(8000).meets(ports(8000)), "a copy ends before it starts again");
        assert!(!Ports::from(8001, 1).unwrap().meets(Ports::from(8000, 1).unwrap()));
    }
}
