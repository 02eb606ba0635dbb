//! What waits for one Alertmanager: bounded, the oldest gives way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How many alerts may wait for one Alertmanager, as in Prometheus: many more than a fleet has at a time.
pub(super) const CAPACITY: usize = 10_000;

/// An alert that is to be sent.
#[derive(Clone)]
pub(super) struct Message {
    /// Its JSON.
    pub(super) text: Arc<str>,
    /// Its place in the sending that it is of: it goes in a later request than what is of an earlier wave there. Where the
    /// number does not rise, another sending or none needs to be told before.
    pub(super) wave: usize,
}

/// The queue before one Alertmanager. Filling it never waits.
pub(super) struct Queue {
    capacity: usize,
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Message>,
    dropped: u64,
    closed: bool,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
            filled: Notify::new(),
        }
    }

    /// Puts messages, by rising wave, behind those that wait. What finds no room takes the place of the oldest, and of what
    /// was to follow that; after the end all of it is dropped.
    pub(super) fn push(&self, messages: impl Iterator<Item = Message>) {
        let mut state = self.state();
        for message in messages {
            if state.closed {
                state.dropped += 1;
                continue;
            }
            if state.waiting.len() == self.capacity {
                state.waiting.pop_front();
                state.dropped += 1;
                state.drop_followers();
            }
            state.waiting.push_back(message);
        }
        drop(state);
        self.filled.notify_one();
    }

    /// The oldest messages, at most so many and none that has to follow another of them, as soon as there are some; none when
    /// the queue is closed and empty. For one reader.
    pub(super) async fn take(&self, most: usize) -> Option<Vec<Message>> {
        loop {
            {
                let mut state = self.state();
                let count = state.first_request(most);
                if count > 0 {
                    return Some(state.waiting.drain(..count).collect());
                }
                if state.closed {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Drops what was to follow the messages that were taken last: they never arrived, and a symptom without its cause would
    /// be paged for.
    pub(super) fn drop_followers(&self) {
        self.state().drop_followers();
    }

    /// Ends it: what waits can still be taken.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_one();
    }

    /// Drops all that waits, and tells how many that were.
    pub(super) fn clear(&self) -> usize {
        let mut state = self.state();
        let count = state.waiting.len();
        state.waiting.clear();
        state.dropped += count as u64;
        count
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.state().waiting.len()
    }

    /// How many were dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.state().dropped
    }

    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How many of the oldest messages may go in one request.
    fn first_request(&self, most: usize) -> usize {
        let next = self.waiting.iter().skip(1);
        let together = self
            .waiting
            .iter()
            .zip(next)
            .take_while(|(message, next)| next.wave <= message.wave);
        self.waiting.len().min(most).min(1 + together.count())
    }

    fn drop_followers(&mut self) {
        while self.waiting.front().is_some_and(|message| message.wave > 0) {
            self.waiting.pop_front();
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn messages(numbers: std::ops::Range<u32>) -> impl Iterator<Item = Message> {
        numbers.map(|number| Message {
            text: number.to_string().into(),
            wave: 0,
        })
    }

    /// Two sendings: the first with a cause, its symptom and that one's own, the second with a cause and a symptom.
    fn waves() -> impl Iterator<Item = Message> {
        messages(0..6)
            .zip([0, 0, 1, 2, 0, 1])
            .map(|(message, wave)| Message { wave, ..message })
    }

    fn taken(queue: &Queue, most: usize) -> Option<Vec<String>> {
        let batch = queue.take(most).now_or_never().expect("it need not wait")?;
        Some(batch.iter().map(|message| message.text.to_string()).collect())
    }

    #[test]
    fn batches_are_taken_in_order() {
        let queue = Queue::new(10);
        queue.push(messages(0..5));
        assert_eq!(taken(&queue, 3).unwrap(), ["0", "1", "2"]);
        assert_eq!(queue.len(), 2);
        assert_eq!(taken(&queue, 3).unwrap(), ["3", "4"]);
        assert!(queue.take(3).now_or_never().is_none());
    }

    #[test]
    fn when_it_is_full_the_oldest_are_dropped_and_counted() {
        let queue = Queue::new(3);
        queue.push(messages(0..2));
        queue.push(messages(2..7));
        assert_eq!((queue.len(), queue.dropped()), (3, 4));
        assert_eq!(taken(&queue, 64).unwrap(), ["4", "5", "6"]);
    }

    #[test]
    fn what_has_to_follow_another_message_is_taken_after_it() {
        let queue = Queue::new(10);
        queue.push(waves());
        for batch in [&["0", "1"][..], &["2"], &["3", "4"], &["5"]] {
            assert_eq!(taken(&queue, 64).unwrap(), batch);
        }
    }

    #[test]
    fn what_has_to_follow_a_message_that_did_not_arrive_is_dropped() {
        let queue = Queue::new(10);
        queue.push(waves());
        assert_eq!(taken(&queue, 64).unwrap(), ["0", "1"]);
        queue.drop_followers();
        assert_eq!(queue.dropped(), 2);
        assert_eq!(taken(&queue, 64).unwrap(), ["4"]);
    }

    #[test]
    fn what_has_to_follow_a_message_that_gave_way_is_dropped_with_it() {
        let queue = Queue::new(6);
        queue.push(waves());
        queue.push(messages(6..8));
        assert_eq!((queue.len(), queue.dropped()), (4, 4));
        assert_eq!(taken(&queue, 64).unwrap(), ["4"]);
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let queue = Arc::new(Queue::new(3));
        let reader = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.take(2).await }
        });
        tokio::task::yield_now().await;
        queue.push(messages(0..1));
        assert_eq!(reader.await.unwrap().unwrap().len(), 1);
    }

    #[test]
    fn a_closed_queue_is_emptied_and_takes_nothing_more() {
        let queue = Queue::new(3);
        queue.push(messages(0..2));
        queue.close();
        queue.push(messages(2..3));
        assert_eq!(queue.dropped(), 1);
        assert_eq!(taken(&queue, 1).unwrap(), ["0"]);
        assert_eq!((queue.clear(), queue.dropped()), (1, 2));
        assert_eq!(taken(&queue, 1), None);
    }
}
