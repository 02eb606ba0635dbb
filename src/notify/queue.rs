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
    /// It goes in a later request than what is of an earlier wave of the same sending.
    pub(super) wave: usize,
}

/// A message and the sending that it came with.
struct Waiting {
    message: Message,
    sending: u64,
}

/// What goes in one request.
pub(super) struct Batch {
    pub(super) texts: Vec<Arc<str>>,
    /// The sending of the last message, and its wave there.
    last: (u64, usize),
}

/// The queue before one Alertmanager. Filling it never waits.
pub(super) struct Queue {
    capacity: usize,
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// How many sendings there were.
    sendings: u64,
    /// How many messages were taken last.
    taken: usize,
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

    /// Puts the messages of one sending, by rising wave, behind those that wait. What finds no room takes the place of the
    /// oldest, and of what was to follow that; after the end all of it is dropped.
    pub(super) fn push(&self, messages: impl Iterator<Item = Message>) {
        let mut state = self.state();
        state.sendings += 1;
        let sending = state.sendings;
        for message in messages {
            if state.closed {
                state.dropped += 1;
                continue;
            }
            if state.waiting.len() == self.capacity
                && let Some(Waiting { message, sending }) = state.waiting.pop_front()
            {
                state.dropped += 1;
                state.drop_followers((sending, message.wave));
            }
            state.waiting.push_back(Waiting { message, sending });
        }
        drop(state);
        self.filled.notify_one();
    }

    /// The oldest messages, at most so many and none that has to follow another of them, as soon as there are some; none when
    /// the queue is closed and empty. For one reader.
    pub(super) async fn take(&self, most: usize) -> Option<Batch> {
        loop {
            {
                let mut state = self.state();
                state.taken = state.first_request(most);
                if let Some(last) = state.taken.checked_sub(1).map(|last| &state.waiting[last]) {
                    let last = (last.sending, last.message.wave);
                    let count = state.taken;
                    let texts = state.waiting.drain(..count).map(|waiting| waiting.message.text);
                    return Some(Batch {
                        texts: texts.collect(),
                        last,
                    });
                }
                if state.closed {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Drops what was to follow a batch: it never arrived, and a symptom without its cause would be paged for.
    pub(super) fn drop_followers(&self, of: &Batch) {
        self.state().drop_followers(of.last);
    }

    /// Ends it: what waits can still be taken.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_one();
    }

    /// Drops all that waits and gives up what was taken last, and tells how many that were.
    pub(super) fn clear(&self) -> usize {
        let mut state = self.state();
        let count = state.waiting.len() + std::mem::take(&mut state.taken);
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
        let together =
            self.waiting.iter().zip(next).take_while(|(one, next)| {
                next.sending != one.sending || next.message.wave <= one.message.wave
            });
        self.waiting.len().min(most).min(1 + together.count())
    }

    /// Drops what is of a later wave than this one of the same sending.
    fn drop_followers(&mut self, (sending, wave): (u64, usize)) {
        let before = self.waiting.len();
        self.waiting
            .retain(|waiting| waiting.sending != sending || waiting.message.wave <= wave);
        self.dropped += (before - self.waiting.len()) as u64;
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

    /// Two sendings: the first with two causes, a symptom and that one's own, the second with a cause and a symptom.
    fn push_waves(queue: &Queue) {
        for (numbers, waves) in [(0..4, &[0, 0, 1, 2][..]), (4..6, &[0, 1])] {
            let messages = messages(numbers).zip(waves);
            queue.push(messages.map(|(message, wave)| Message {
                wave: *wave,
                ..message
            }));
        }
    }

    fn batch(queue: &Queue, most: usize) -> Option<Batch> {
        queue.take(most).now_or_never().expect("it need not wait")
    }

    fn texts(batch: &Batch) -> Vec<String> {
        batch.texts.iter().map(|text| text.to_string()).collect()
    }

    fn taken(queue: &Queue, most: usize) -> Option<Vec<String>> {
        Some(texts(&batch(queue, most)?))
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
        push_waves(&queue);
        for batch in [&["0", "1"][..], &["2"], &["3", "4"], &["5"]] {
            assert_eq!(taken(&queue, 64).unwrap(), batch);
        }
    }

    #[test]
    fn what_has_to_follow_a_message_that_did_not_arrive_is_dropped() {
        let queue = Queue::new(10);
        push_waves(&queue);
        // Its other cause waits still, and is no follower.
        let first = batch(&queue, 1).unwrap();
        assert_eq!(texts(&first), ["0"]);
        queue.drop_followers(&first);
        assert_eq!(queue.dropped(), 2);
        assert_eq!(taken(&queue, 64).unwrap(), ["1", "4"]);
        assert_eq!(taken(&queue, 64).unwrap(), ["5"]);
    }

    #[test]
    fn what_follows_nothing_in_its_own_sending_is_not_dropped() {
        let queue = Queue::new(10);
        queue.push(messages(0..1));
        // Its causes went elsewhere.
        queue.push(messages(1..2).map(|message| Message { wave: 1, ..message }));
        let first = batch(&queue, 1).unwrap();
        queue.drop_followers(&first);
        assert_eq!(taken(&queue, 64).unwrap(), ["1"]);
    }

    #[test]
    fn what_has_to_follow_a_message_that_gave_way_is_dropped_with_it() {
        let queue = Queue::new(6);
        push_waves(&queue);
        queue.push(messages(6..8));
        assert_eq!((queue.len(), queue.dropped()), (5, 3));
        assert_eq!(taken(&queue, 64).unwrap(), ["1", "4"]);
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
        assert_eq!(reader.await.unwrap().unwrap().texts.len(), 1);
    }

    #[test]
    fn a_closed_queue_is_emptied_and_takes_nothing_more() {
        let queue = Queue::new(3);
        queue.push(messages(0..2));
        queue.close();
        queue.push(messages(2..3));
        assert_eq!(queue.dropped(), 1);
        assert_eq!(taken(&queue, 1).unwrap(), ["0"]);
        // What was taken, and what waits.
        assert_eq!((queue.clear(), queue.dropped()), (2, 3));
        assert_eq!(taken(&queue, 1), None);
    }
}
