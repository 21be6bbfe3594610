//! Files on their way: against a hub on loopback that fails in every way a network can.

#![expect(clippy::unwrap_used, reason = "helper functions of tests")]

mod faults;
mod kill;
mod place;
mod share;
mod stop;
mod tools;
