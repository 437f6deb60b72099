//! A TCP proxy that a test drives: it can hold back what the server says, and cut what is open.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// Bytes that are passed on at once.
const CHUNK: usize = 64 << 10;

/// Passes everything on until it is told otherwise. It ends with this value.
pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Default)]
struct Now {
    held: bool,
    ended: bool,
    open: Vec<TcpStream>,
}

impl Proxy {
    /// One in front of a port of the loopback.
    pub fn before(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let this = Self { port, state: Arc::clone(&state) };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if state.now.lock().unwrap().ended {
                    return;
                }
                // A server that is down: the client is hung up on.
                let (Ok(client), Ok(server)) = (client, TcpStream::connect((Ipv4Addr::LOCALHOST, server)))
                else {
                    continue;
                };
                let twin = |stream: &TcpStream| stream.try_clone().unwrap();
                state.now.lock().unwrap().open.extend([twin(&client), twin(&server)]);
                let (from, to, there) = (twin(&client), twin(&server), Arc::clone(&state));
                std::thread::spawn(move || pass(from, to, &there, false));
                let back = Arc::clone(&state);
                std::thread::spawn(move || pass(server, client, &back, true));
            }
        });
        this
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on nothing that the server says arrives; what clients say does.
    pub fn hold(&self) {
        self.state.now.lock().unwrap().held = true;
    }

    /// What was held back arrives, and everything after it.
    pub fn release(&self) {
        self.state.now.lock().unwrap().held = false;
        self.state.changed.notify_all();
    }

    /// Cuts every connection that is open. New ones are passed on as before.
    pub fn cut(&self) {
        for stream in self.state.now.lock().unwrap().open.drain(..) {
            // Its other end may be gone already.
            let _gone = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.now.lock().unwrap().ended = true;
        self.release();
        self.cut();
        // Wakes the one that accepts, so that it sees the end.
        let _seen = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, state: &State, answers: bool) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(size @ 1..) = from.read(&mut chunk) {
        if answers {
            let now = state.now.lock().unwrap();
            drop(state.changed.wait_while(now, |now| now.held).unwrap());
        }
        if to.write_all(&chunk[..size]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        let _gone = stream.shutdown(Shutdown::Both);
    }
}
