//! Serves a folder as a hub, to try Tiller by hand without the network.

fn main() {}
