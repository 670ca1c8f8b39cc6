//! [`Pool`]: threads that put requests to a user's rule, each to a worker of its own, and try again where that fails.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Failure, message};
use crate::verdict::{Lack, Verdict};

/// What answers requests: a process, a connection.
pub(super) trait Worker {
    /// Makes sure that requests can be answered. What it says of itself.
    fn open(&mut self) -> Result<String, Failure>;

    /// The answer to one request. A worker that failed is of use again afterwards.
    fn ask(&mut self, request: &str) -> Result<String, Failure>;
}

/// How often and after what pause a request that failed is put again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Patience {
    pub(super) retries: usize,
    /// Before the first retry; doubled for each further one.
    pub(super) backoff: Duration,
}

/// Threads with a worker each. They end when this is dropped, and so do their workers.
pub(super) struct Pool {
    /// `None` once no more will come.
    queue: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

enum Job {
    Open { answer: Sender<Result<String, Failure>> },
    Ask { request: String, n: usize, place: usize, answer: Sender<(usize, Vec<Verdict>)> },
}

impl Pool {
    /// `n` threads, each with what `worker` makes there.
    pub(super) fn start<W: Worker>(
        n: usize,
        patience: Patience,
        worker: impl Fn() -> W + Send + Sync + 'static,
    ) -> Pool {
        let (queue, jobs) = mpsc::channel();
        let (jobs, worker) = (Arc::new(Mutex::new(jobs)), Arc::new(worker));
        let start = |i| {
            let (jobs, worker) = (jobs.clone(), worker.clone());
            let run = move || serve(&jobs, worker(), patience);
            thread::Builder::new().name(format!("reward {i}")).spawn(run)
        };
        let threads = (0..n).map_while(|i| start(i).ok()).collect();
        Pool { queue: Some(queue), threads }
    }

    /// What the first worker that is free says of itself.
    pub(super) fn open(&self) -> Result<String, Failure> {
        let (answer, opened) = mpsc::channel();
        self.put(Job::Open { answer });
        opened.recv().unwrap_or_else(|_| Err(Failure::new("no thread could be started")))
    }

    /// The verdicts on `n` completions for each request, in order. Requests go side by side.
    pub(super) fn ask(&self, requests: Vec<(String, usize)>) -> Vec<Verdict> {
        let (answer, answers) = mpsc::channel();
        let sizes: Vec<usize> = requests.iter().map(|(_, n)| *n).collect();
        for (place, (request, n)) in requests.into_iter().enumerate() {
            self.put(Job::Ask { request, n, place, answer: answer.clone() });
        }
        drop(answer);
        let lost = |n: &usize| vec![Verdict::failed("no worker took the request"); *n];
        let mut verdicts: Vec<Vec<Verdict>> = sizes.iter().map(lost).collect();
        for (place, given) in answers {
            verdicts[place] = given;
        }
        verdicts.concat()
    }

    fn put(&self, job: Job) {
        if let Some(queue) = &self.queue {
            // Without a thread the job is dropped, and whoever waits for it hears of that.
            let _ = queue.send(job);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        drop(self.queue.take());
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn serve(jobs: &Mutex<Receiver<Job>>, mut worker: impl Worker, patience: Patience) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        // Whoever asked may have given up.
        let _ = match job {
            Err(_) => return,
            Ok(Job::Open { answer }) => answer.send(worker.open()).map_err(drop),
            Ok(Job::Ask { request, n, place, answer }) => {
                answer.send((place, persist(&mut worker, &request, n, patience))).map_err(drop)
            }
        };
    }
}

/// The verdicts on `n` completions, after as many tries as it takes.
fn persist(worker: &mut impl Worker, request: &str, n: usize, patience: Patience) -> Vec<Verdict> {
    let mut pause = patience.backoff;
    for tries in 1.. {
        let found = worker.ask(request).and_then(|answer| message::verdicts(&answer, n));
        let last = tries > patience.retries;
        match found {
            Ok(verdicts) if last || verdicts.iter().all(|one| one.lack() != Some(Lack::Failed)) => return verdicts,
            Err(failure) if last || !failure.again => {
                let times = if tries == 1 { String::new() } else { format!(" ({tries} tries)") };
                return vec![Verdict::failed(format!("{failure}{times}")); n];
            }
            Ok(_) | Err(_) => {}
        }
        thread::sleep(pause);
        pause = pause.saturating_mul(2);
    }
    Vec::new()
}
