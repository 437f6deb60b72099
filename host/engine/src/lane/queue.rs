//! The threads of the slow lane, and whose turn it is.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::Thread;
use std::time::Duration;

use super::task::Task;
use super::{HERE, lock};
use crate::priority;

pub(crate) struct Lanes {
    /// Where tasks that may go on arrive. Without a lock: who wakes one may be an I/O worker, and
    /// must not wait for a thread of the lane that holds a lock and gets no time.
    inbox: Sender<Arc<Task>>,
    queue: Mutex<Queue>,
    threads: Vec<Place>,
    stop: AtomicBool,
}

/// A thread, and whether it must be woken.
#[derive(Default)]
struct Place {
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

struct Queue {
    inbox: Receiver<Arc<Task>>,
    /// One for each component.
    lines: Vec<Waiting>,
    /// What the line had got whose turn was last: nobody catches up for the time it was away.
    floor: Duration,
}

#[derive(Default)]
struct Waiting {
    tasks: VecDeque<Arc<Task>>,
    /// The thread time its tasks have had.
    got: Duration,
}

impl Queue {
    /// The next task of the line that had least.
    fn next(&mut self) -> Option<Arc<Task>> {
        while let Ok(task) = self.inbox.try_recv() {
            let Some(line) = self.lines.get_mut(task.line()) else { continue };
            if line.tasks.is_empty() {
                line.got = line.got.max(self.floor);
            }
            line.tasks.push_back(task);
        }
        let line = self.lines.iter_mut().filter(|line| !line.tasks.is_empty()).min_by_key(|line| line.got)?;
        self.floor = line.got;
        line.tasks.pop_front()
    }
}

impl Lanes {
    /// Starts `threads` threads.
    pub(crate) fn start(threads: usize) -> io::Result<Arc<Self>> {
        let (inbox, receiver) = channel();
        let queue = Queue { inbox: receiver, lines: Vec::new(), floor: Duration::ZERO };
        let lanes = Arc::new(Self {
            inbox,
            queue: Mutex::new(queue),
            threads: (0..threads).map(|_| Place::default()).collect(),
            stop: AtomicBool::new(false),
        });
        for at in 0..threads {
            let shared = lanes.clone();
            let spawned =
                std::thread::Builder::new().name(format!("slow-{at}")).spawn(move || shared.work(at));
            if let Err(error) = spawned {
                lanes.stop();
                return Err(error);
            }
        }
        Ok(lanes)
    }

    /// Makes room for one more component, and says its number.
    pub(super) fn add_line(&self) -> usize {
        let mut queue = lock(&self.queue);
        queue.lines.push(Waiting::default());
        queue.lines.len() - 1
    }

    /// Takes a task that may go on.
    pub(super) fn push(&self, task: Arc<Task>) {
        // The receiver lives as long as this does.
        let _ = self.inbox.send(task);
        fence(Ordering::SeqCst);
        for place in &self.threads {
            // Announced before a thread looks a last time, and looked at after a task arrived.
            if place.asleep.swap(false, Ordering::SeqCst) {
                if let Some(thread) = place.thread.get() {
                    thread.unpark();
                }
                return;
            }
        }
    }

    /// Ends the threads, and what they had still to do.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        for place in &self.threads {
            if let Some(thread) = place.thread.get() {
                thread.unpark();
            }
        }
        let mut left = Vec::new();
        let mut queue = lock(&self.queue);
        while let Some(task) = queue.next() {
            left.push(task);
        }
        drop(queue);
        left.iter().for_each(|task| task.abandon());
    }

    fn work(&self, at: usize) {
        let Some(place) = self.threads.get(at) else { return };
        let _first = place.thread.set(std::thread::current());
        HERE.set(true);
        priority::lower(priority::LOWEST);
        while !self.stop.load(Ordering::SeqCst) {
            let next = lock(&self.queue).next();
            if let Some(task) = next {
                self.turn(&task);
                continue;
            }
            place.asleep.store(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            let next = lock(&self.queue).next();
            match next {
                Some(task) => {
                    place.asleep.store(false, Ordering::SeqCst);
                    self.turn(&task);
                }
                None if self.stop.load(Ordering::SeqCst) => {}
                None => std::thread::park(),
            }
            place.asleep.store(false, Ordering::SeqCst);
        }
    }

    fn turn(&self, task: &Arc<Task>) {
        let used = task.turn();
        if let Some(line) = lock(&self.queue).lines.get_mut(task.line()) {
            line.got += used;
        }
    }
}
