//! A hub on loopback for tests.
