//! Connects the adapter to the platform.

use monopod_sdk::{Failure, Host, Message, Messages};

struct VisionAdapter;

impl Messages for VisionAdapter {
    fn handle(message: Message) -> Result<(), Failure> {
        crate::handle(&Host, &message)
    }
}

monopod_sdk::export!(VisionAdapter: messages);
