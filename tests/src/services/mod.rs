//! Real servers: each a child process in a folder of its own, on free ports of the loopback.

pub mod rabbitmq;
