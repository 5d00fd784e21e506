//! Asks a question that may never be answered, such as statfs of a dead NFS server, without waiting for longer than a
//! deadline: on a thread of its own that is given up when it hangs. Must not ask what hung again for a while.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use tokio::time::Instant;

/// Threads given up that still hang, at most. Each holds its stack until the file system answers; beyond these nothing is
/// asked any more.
const MAX_STUCK: usize = 4;
/// Time until what hung is asked again.
const SILENCE: Duration = Duration::from_mins(10);
/// What hung and is not to be asked, at most; more than threads can be given up within a silence.
const MAX_SILENT: usize = 64;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// It did not come in time, or the same question hung before.
    #[error("no answer came in time")]
    Hung,
    /// No thread can be had for it.
    #[error("failed to start a thread to ask on")]
    NoThread(#[source] io::Error),
}

/// Asks questions one at a time.
#[derive(Debug)]
pub(super) struct Asker<Q, A> {
    answer: fn(Q) -> A,
    deadline: Duration,
    worker: Option<Worker<Q, A>>,
    stuck: Arc<AtomicUsize>,
    silent_until: HashMap<String, Instant>,
}

#[derive(Debug)]
struct Worker<Q, A> {
    questions: SyncSender<Q>,
    answers: Receiver<A>,
}

impl<Q: Send + 'static, A: Send + 'static> Asker<Q, A> {
    /// Has `answer` called on another thread, and waits for it until `deadline`.
    pub(super) fn new(answer: fn(Q) -> A, deadline: Duration) -> Self {
        Self {
            answer,
            deadline,
            worker: None,
            stuck: Arc::new(AtomicUsize::new(0)),
            silent_until: HashMap::new(),
        }
    }

    /// Asks `question` about `what`, which stands for all questions that hang together.
    pub(super) fn ask(&mut self, what: &str, question: Q) -> Result<A, AskError> {
        let now = Instant::now();
        self.silent_until.retain(|_, until| *until > now);
        if self.silent_until.contains_key(what) || self.stuck.load(Ordering::Relaxed) >= MAX_STUCK {
            return Err(AskError::Hung);
        }
        let worker = match self.worker.take() {
            Some(worker) => worker,
            None => self.start().map_err(AskError::NoThread)?,
        };
        if worker.questions.send(question).is_err() {
            return Err(AskError::Hung);
        }
        match worker.answers.recv_timeout(self.deadline) {
            Ok(answer) => {
                self.worker = Some(worker);
                Ok(answer)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                // It counts as stuck until it finds that nobody listens any more.
                self.stuck.fetch_add(1, Ordering::Relaxed);
                if self.silent_until.len() < MAX_SILENT {
                    self.silent_until.insert(what.to_owned(), now + SILENCE);
                }
                Err(AskError::Hung)
            }
        }
    }

    fn start(&self) -> io::Result<Worker<Q, A>> {
        let (questions, asked) = sync_channel::<Q>(0);
        let (sender, answers) = sync_channel(0);
        let (answer, stuck) = (self.answer, Arc::clone(&self.stuck));
        thread::Builder::new()
            .name("asker".to_owned())
            .spawn(move || {
                for question in asked {
                    if sender.send(answer(question)).is_err() {
                        stuck.fetch_sub(1, Ordering::Relaxed);
                        return;
                    }
                }
            })?;
        Ok(Worker { questions, answers })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::SyncSender;

    use super::*;

    const DEADLINE: Duration = Duration::from_millis(20);
    const PATIENCE: Duration = Duration::from_secs(30);

    /// Answers when the other end is let go: a question that hangs as long as a test wants.
    type Question = Receiver<u32>;

    fn wait(question: Question) -> u32 {
        question.recv().unwrap_or(0)
    }

    fn answered(answer: u32) -> Question {
        let (sender, question) = sync_channel(1);
        sender.send(answer).unwrap();
        question
    }

    fn hanging() -> (SyncSender<u32>, Question) {
        sync_channel(0)
    }

    #[test]
    fn is_not_held_up_by_what_hangs_and_does_not_ask_it_again() {
        let mut asker = Asker::new(wait, PATIENCE);
        assert_eq!(asker.ask("disk", answered(7)).unwrap(), 7);
        asker.deadline = DEADLINE;
        let (_hold, question) = hanging();
        assert!(matches!(asker.ask("nfs", question), Err(AskError::Hung)));
        asker.deadline = PATIENCE;
        assert_eq!(asker.ask("disk", answered(8)).unwrap(), 8);
        assert!(
            matches!(asker.ask("nfs", answered(9)), Err(AskError::Hung)),
            "asked again"
        );
    }

    #[test]
    fn gives_up_no_more_threads_than_its_bound_and_recovers() {
        let mut asker = Asker::new(wait, DEADLINE);
        let mut holds = Vec::new();
        for number in 0..MAX_STUCK {
            let (hold, question) = hanging();
            holds.push(hold);
            assert!(asker.ask(&format!("nfs-{number}"), question).is_err());
        }
        asker.deadline = PATIENCE;
        assert!(asker.ask("disk", answered(1)).is_err(), "all threads hang");
        drop(holds);
        let recovered = Instant::now() + PATIENCE;
        while asker.ask("disk", answered(1)).is_err() {
            assert!(Instant::now() < recovered, "never recovered");
            thread::yield_now();
        }
    }
}
