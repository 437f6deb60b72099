//! A function that answers with what it is given, or with the error that its name asks for.

#[cfg(target_arch = "wasm32")]
mod echo {
    use monopod_sdk::Host;
    use monopod_sdk::http::Problem;
    use monopod_sdk::ports::Buckets;

    struct Echo;

    monopod_sdk::export!(Echo: function);

    impl monopod_sdk::Function for Echo {
        fn handle(name: &str, body: Vec<u8>) -> Result<Vec<u8>, Problem> {
            // Under whichever prefix it is exposed.
            match name.rsplit('/').next().unwrap_or_default() {
                "echo" | "kept-echo" => Ok(body),
                "name?of=it" => Ok(name.into()),
                // Counts how often it was called, in a unit of work.
                "count" => {
                    let count = Host.get_json::<u64>("counters", "calls")?.unwrap_or(0) + 1;
                    Host.set_json("counters", "calls", &count)?;
                    if body == b"fail" {
                        Err(Problem::unavailable("Not now."))
                    } else {
                        Ok(count.to_string().into())
                    }
                }
                "trap" => core::arch::wasm32::unreachable(),
                "invalid" => Err(Problem::bad_request("Not what it takes.")),
                "conflict" => Err(Problem::conflict("TAKEN", "It is there already.")),
                "fields" => Err(Problem::field("bytes", "GreaterThanZero")),
                _ => Err(Problem::not_found(format!("There is no function {name}."))),
            }
        }
    }
}
