//! Connects the orchestrator to the platform.

use monopod_sdk::{Failure, Host, Http, Message, Messages, Problem, Request, Response, Timer, TimerEvents};

struct Orchestrator;

impl Http for Orchestrator {
    fn handle(request: Request) -> Result<Response, Problem> {
        crate::answer(&Host, request)
    }
}

impl Messages for Orchestrator {
    fn handle(message: Message) -> Result<(), Failure> {
        crate::handle(&Host, &message)
    }
}

impl TimerEvents for Orchestrator {
    fn fire(timer: Timer) -> Result<(), Failure> {
        crate::fire(&Host, &timer)
    }
}

monopod_sdk::export!(Orchestrator: http, messages, timers);
