//! A component that makes whatever response the request's body asks for, through the plain
//! interface of `wasi:http`: each byte is a step, with operands behind it. Steps that the host
//! refuses are passed over, so that any bytes are a script.

#[cfg(target_arch = "wasm32")]
mod puppet {
    #![allow(unsafe_code, clippy::all, clippy::restriction, reason = "partly generated code")]

    wit_bindgen::generate!({
        inline: "
            package monopod:puppet;
            world puppet {
                import wasi:http/types@0.2.12;
                export wasi:http/incoming-handler@0.2.12;
            }
        ",
        world: "monopod:puppet/puppet",
        path: [
            "../../../wit/deps/io.wit",
            "../../../wit/deps/clocks.wit",
            "../../../wit/deps/random.wit",
            "../../../wit/deps/filesystem.wit",
            "../../../wit/deps/sockets.wit",
            "../../../wit/deps/cli.wit",
            "../../../wit/deps/http.wit",
        ],
        generate_all,
    });

    use wasi::http::types::{
        ErrorCode, Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
    };
    use wasi::io::streams::OutputStream;

    struct Puppet;

    export!(Puppet);

    /// The longest script: one that is longer repeats itself.
    const SCRIPT: usize = 4_096;

    struct Script {
        steps: Vec<u8>,
        at: usize,
    }

    impl Script {
        fn of(request: IncomingRequest) -> Self {
            let mut steps = Vec::new();
            if let Ok(body) = request.consume()
                && let Ok(stream) = body.stream()
            {
                while steps.len() < SCRIPT
                    && let Ok(chunk) = stream.blocking_read(SCRIPT as u64)
                {
                    steps.extend(chunk);
                }
            }
            steps.truncate(SCRIPT);
            Self { steps, at: 0 }
        }

        fn byte(&mut self) -> Option<u8> {
            let byte = self.steps.get(self.at).copied()?;
            self.at += 1;
            Some(byte)
        }

        fn bytes(&mut self) -> Vec<u8> {
            let length = usize::from(self.byte().unwrap_or(0)) % 64;
            (0..length).map_while(|_| self.byte()).collect()
        }
    }

    #[derive(Default)]
    struct Answer {
        out: Option<ResponseOutparam>,
        headers: Option<Fields>,
        response: Option<OutgoingResponse>,
        body: Option<OutgoingBody>,
        stream: Option<OutputStream>,
    }

    impl Answer {
        fn step(&mut self, step: u8, script: &mut Script) {
            match step % 16 {
                0 => self.header(script.bytes(), script.bytes()),
                1 => self.header(b"content-length".to_vec(), script.bytes()),
                2 => self.header(b"transfer-encoding".to_vec(), b"chunked".to_vec()),
                3 => self.header(script.bytes(), vec![b'v'; 8 << 10]),
                4 => self.headers = Some(Fields::new()),
                5 => {
                    self.response = Some(OutgoingResponse::new(self.headers.take().unwrap_or_default()));
                }
                6 => {
                    let status = u16::from_le_bytes([script.byte().unwrap_or(0), script.byte().unwrap_or(0)]);
                    if let Some(response) = &self.response {
                        let _ = response.set_status_code(status % 1_200);
                    }
                }
                7 => self.body = self.response.as_ref().and_then(|response| response.body().ok()),
                8 => self.set(),
                9 => self.stream = self.body.as_ref().and_then(|body| body.write().ok()),
                10 => self.write(&script.bytes()),
                11 => self.write(&vec![b'x'; 4_096]),
                12 => self.stream = None,
                13 => self.finish(None),
                14 => {
                    let trailers = self.headers.take().unwrap_or_default();
                    self.finish(Some(trailers));
                }
                _ => match script.byte().unwrap_or(0) % 8 {
                    0 => self.body = None,
                    1 => self.response = None,
                    2 => {
                        if let Some(out) = self.out.take() {
                            ResponseOutparam::set(out, Err(ErrorCode::ConfigurationError));
                        }
                    }
                    3 => panic!("asked to"),
                    4 => self.out = None,
                    // What is well formed, so that more of what follows is reached.
                    _ => {
                        self.headers.get_or_insert_with(Fields::new);
                        for step in [5, 7, 8, 9] {
                            self.step(step, script);
                        }
                    }
                },
            }
        }

        fn header(&mut self, name: Vec<u8>, value: Vec<u8>) {
            let headers = self.headers.get_or_insert_with(Fields::new);
            let _ = headers.append(&String::from_utf8_lossy(&name), &value);
        }

        fn set(&mut self) {
            if let (Some(response), Some(out)) = (self.response.take(), self.out.take()) {
                ResponseOutparam::set(out, Ok(response));
            }
        }

        fn write(&mut self, bytes: &[u8]) {
            if let Some(stream) = &self.stream {
                let _ = stream.blocking_write_and_flush(bytes);
            }
        }

        fn finish(&mut self, trailers: Option<Fields>) {
            self.stream = None;
            if let Some(body) = self.body.take() {
                let _ = OutgoingBody::finish(body, trailers);
            }
        }
    }

    impl Default for Fields {
        fn default() -> Self {
            Self::new()
        }
    }

    impl exports::wasi::http::incoming_handler::Guest for Puppet {
        fn handle(request: IncomingRequest, out: ResponseOutparam) {
            let mut script = Script::of(request);
            let mut answer = Answer { out: Some(out), ..Answer::default() };
            while let Some(step) = script.byte() {
                answer.step(step, &mut script);
            }
            // A stream is dropped before its body, a body before its response.
            answer.stream = None;
            answer.body = None;
        }
    }
}
