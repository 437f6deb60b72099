//! The front door from outside: real sockets, real TLS, fakes behind it.

#[cfg(test)]
mod blobs;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod house;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod open;
#[cfg(test)]
mod outgoing;
#[cfg(test)]
mod plain;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod slow;
