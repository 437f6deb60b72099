//! Real servers: each a child process in a folder of its own, on free ports of the loopback.

pub mod postgres;
pub mod rabbitmq;

fn free() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
