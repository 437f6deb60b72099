//! Responses that a guest makes, however wrong, against the engine: what comes out is a response
//! that can be written to a client, or an error. The input is the puppet's script.

use monopod_tests::puppet::{Puppet, seeds};
use tokio::runtime::Runtime;

use crate::run::Target;

pub struct Responses {
    puppet: Puppet,
    runtime: Runtime,
}

impl Responses {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { puppet: Puppet::new(), runtime }
    }
}

impl Target for Responses {
    fn seeds(&self) -> Vec<Vec<u8>> {
        seeds().into_iter().map(|(_, script)| script).collect()
    }

    fn words(&self) -> Vec<Vec<u8>> {
        // Steps of the puppet with what a client would stumble over.
        let names = ["content-length", "connection", "host", "set-cookie", ":status", "a b", "x\r\ny", "te"];
        let header = |name: &str, value: &[u8]| {
            let mut step = vec![0, name.len() as u8];
            step.extend_from_slice(name.as_bytes());
            step.push(value.len() as u8);
            step.extend_from_slice(value);
            step
        };
        let mut words: Vec<Vec<u8>> = names.iter().map(|name| header(name, b"5")).collect();
        words.extend([header("x", b"a\r\nb"), header("x", &[0]), header("content-length", b"+5")]);
        // Statuses 100, 101, 204, 304, 599, 999 and 65535.
        words.extend([100_u16, 101, 204, 304, 599, 999, u16::MAX].map(|status| {
            let [low, high] = status.to_le_bytes();
            vec![4, 5, 6, low, high, 7, 8, 9]
        }));
        words.extend((0..16).map(|step| vec![step]));
        words
    }

    fn answer(&mut self, input: &[u8]) -> Result<String, String> {
        self.runtime.block_on(self.puppet.answer(input))
    }
}
