//! Several calls in one instance: the store holds the state of the one whose host call is under
//! way, and the others lie beside it. Which it is, the host asks wasmtime with every host call that
//! it makes a difference to: each begins in a task of the guest, and that in a call.
//!
//! What runs when its call is over, and what starts an instance, is nobody's: it is anonymous, has
//! no time left, and changes nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use monopod_core::context::Context;
use monopod_core::identity::Principal;
use monopod_core::unit::{Cause, Unit};
use wasmtime::StoreContextMut;
use wasmtime::component::GuestTaskId;

use super::{Guest, unit};
use crate::account;
use crate::invoke::Reply;
use crate::output::Printing;

/// The calls of an instance that several share.
#[derive(Default)]
pub(super) struct Calls {
    /// In the place of the one that the store holds lies nobody's.
    aside: HashMap<Number, Aside>,
    /// Which task belongs to which. A task that has ended leaves its id to the next, its call may
    /// last a little longer: so the id alone would not do.
    tasks: HashMap<GuestTaskId, Number>,
    now: Option<Number>,
    last: Number,
}

/// A call of an instance, counted from its first.
pub(crate) type Number = u64;

/// The state of a call while the store holds another's.
pub(crate) struct Aside {
    context: Context,
    unit: Unit,
    unit_size: usize,
    unit_reads: u32,
    reply: Option<Arc<Reply>>,
    cursors: Vec<String>,
    printing: [Printing; 3],
}

/// What the store holds when no call is under way.
pub(super) fn nobody() -> (Context, Arc<Reply>) {
    let reply = Reply::default();
    reply.seal();
    (Context::new(Principal::Anonymous, Duration::ZERO), Arc::new(reply))
}

/// The guest, as it is for the call that this host call belongs to.
pub(crate) fn calling<'a>(store: &'a mut StoreContextMut<'_, Guest>) -> &'a mut Guest {
    if let Some(calls) = store.data_mut().calls.take() {
        let call = match store.async_call_stack() {
            // The last is the task that the host began.
            Ok(stack) => stack.last().and_then(|task| calls.tasks.get(&task).copied()),
            Err(_) => None,
        };
        let guest = store.data_mut();
        guest.calls = Some(calls);
        guest.switch(call);
    }
    store.data_mut()
}

impl Guest {
    /// Begins a call of an instance that several share.
    pub(crate) fn enter(&mut self, task: GuestTaskId, context: Context, reply: Arc<Reply>) -> Number {
        self.switch(None);
        self.budget();
        let aside = Aside {
            unit: unit(self.loaded.component.name.clone(), Cause::Request, &context),
            unit_size: 0,
            unit_reads: 0,
            reply: Some(reply),
            cursors: Vec::new(),
            printing: std::array::from_fn(|_| Printing::new(&context)),
            context,
        };
        let calls = self.calls.get_or_insert_default();
        calls.last += 1;
        calls.aside.insert(calls.last, aside);
        calls.tasks.insert(task, calls.last);
        calls.last
    }

    /// Ends it: its unit of work. What its tasks do from now on is nobody's.
    pub(crate) fn leave(&mut self, call: Number) -> Option<Unit> {
        self.switch(Some(call));
        for output in [&self.logs, &self.stdout, &self.stderr] {
            output.end();
        }
        self.switch(None);
        self.budget();
        let calls = self.calls.as_mut()?;
        calls.tasks.retain(|_, number| *number != call);
        Some(calls.aside.remove(&call)?.unit)
    }

    /// The instance ends before its calls.
    pub(crate) fn fail(&mut self) {
        self.switch(None);
        for reply in self.calls.iter().flat_map(|calls| calls.aside.values()).filter_map(|c| c.reply.as_ref())
        {
            reply.fail();
        }
    }

    /// Nobody knows which of its calls an instance has used its time for: what one call may use, it
    /// may use between two moments at which a call begins or ends. A guest that spins sees none.
    fn budget(&mut self) {
        self.host_calls = 0;
        self.ticks = 0;
        self.spent = account::tick();
    }

    /// Makes the store that of `call`; of nobody, if it is none of those under way.
    fn switch(&mut self, call: Option<Number>) {
        let Some(mut calls) = self.calls.take() else { return };
        if calls.now != call {
            if let Some(aside) = calls.now.take().and_then(|now| calls.aside.get_mut(&now)) {
                self.swap(aside);
            }
            if let Some(aside) = call.and_then(|call| calls.aside.get_mut(&call)) {
                self.swap(aside);
                calls.now = call;
            }
        }
        self.calls = Some(calls);
    }

    fn swap(&mut self, aside: &mut Aside) {
        std::mem::swap(&mut self.context, &mut aside.context);
        std::mem::swap(&mut self.unit, &mut aside.unit);
        std::mem::swap(&mut self.unit_size, &mut aside.unit_size);
        std::mem::swap(&mut self.unit_reads, &mut aside.unit_reads);
        std::mem::swap(&mut self.reply, &mut aside.reply);
        std::mem::swap(&mut self.cursors, &mut aside.cursors);
        for (output, printing) in
            [&self.logs, &self.stdout, &self.stderr].into_iter().zip(&mut aside.printing)
        {
            output.swap(printing);
        }
        self.outgoing.begin(&self.shared, &self.context);
    }
}
