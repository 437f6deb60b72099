//! Greets in code, and announces what its caller says.

#[cfg(target_arch = "wasm32")]
mod herald {
    use monopod_sdk::Host;
    use monopod_sdk::graph::{Answers, Field, Refusal, Value};
    use monopod_sdk::http::{Method, Problem, Request, Response};
    use monopod_sdk::ports::{Outgoing, Publisher};

    /// The longest announcement, in bytes.
    const LONGEST: usize = 1_024;

    struct Herald;

    monopod_sdk::export!(Herald: http, fields);

    impl monopod_sdk::Fields for Herald {
        fn resolve(field: Field) -> Answers {
            // A suite brings schemas in which there are more of them.
            if !field.name.starts_with("greet") {
                return Err(Refusal::new("NOT_FOUND", format!("there is no field {}", field.name)));
            }
            Ok(field.parents.iter().map(|_| Ok(Value::from("Hello World!"))).collect())
        }
    }

    impl monopod_sdk::Http for Herald {
        fn handle(request: Request) -> Result<Response, Problem> {
            match (request.method(), request.path()) {
                (Method::Post, "/announce") => {
                    let payload = request.body(LONGEST)?;
                    let message = Outgoing { topic: "announcements".into(), payload, ..Outgoing::default() };
                    Host.publish(&message)?;
                    Ok(Response::raw_json(r#"{"done":true}"#))
                }
                _ => Err(Problem::no_route(&request)),
            }
        }
    }
}
