//! A test's process as seen from outside: its pipes, its clock, its end.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, pidfd_send_signal};

use super::filter::forbidden_call;
use super::outcome::STDERR_BYTES;
use super::wire::WireError;
use super::zygote::{Exit, News, Zygote};
use super::{Limits, MarshalError, Plain};

/// How long a zygote may take to say that a test it knows to be killed has ended.
const PATIENCE: Duration = Duration::from_secs(20);
/// No limit is longer: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// Bytes read from a channel beyond the longest message.
const CHANNEL_AHEAD: usize = 1 << 20;

/// What happened next.
#[derive(Debug)]
pub(super) enum Event {
    /// A message on the channel, whatever it says.
    Frame(Result<Plain, MarshalError>),
    /// It ended; its output is complete.
    Exit(Exit),
    /// The current span's processor time is used up.
    TimeCpu,
    /// The current span's time on the clock is over.
    TimeWall,
    /// It is stopped in this system call.
    Forbidden(&'static str),
    /// More output, or a longer message, than the limits allow.
    Output,
}

/// A test's process.
pub(super) struct Test {
    id: i64,
    pidfd: OwnedFd,
    /// As this process's namespace numbers it; `None` where it ended before it could be asked.
    pid: Option<i32>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    channel: Option<OwnedFd>,
    /// Bytes to the channel that are not written yet.
    outbox: Queue,
    /// Bytes from the channel that are no whole message yet.
    inbox: Queue,
    limits: Limits,
    span: Span,
    /// Standard output that nobody took yet.
    pub(super) out: Vec<u8>,
    /// Standard error that nobody took yet, cut.
    pub(super) err: Vec<u8>,
    exit: Option<Exit>,
    /// A forbidden system call it made.
    forbidden: Option<&'static str>,
    /// Whether its end has been told.
    told: bool,
    /// Whether a limit stopped it; it is waited for then, and no longer read.
    stopped: bool,
}

/// Bytes that are added behind and taken in front, each moved about twice at most.
#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    n_taken: usize,
}

impl Queue {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.n_taken..]
    }

    fn take(&mut self, n: usize) {
        self.n_taken = self.n_taken.saturating_add(n).min(self.bytes.len());
        if self.n_taken * 2 >= self.bytes.len() {
            self.bytes.drain(..self.n_taken);
            self.n_taken = 0;
        }
    }
}

/// A stretch that limits are counted over.
#[derive(Debug, Clone, Copy)]
struct Span {
    started: Instant,
    cpu_before: Duration,
    look_at: Instant,
}

impl Span {
    fn begin(cpu_before: Duration, limits: &Limits) -> Self {
        let started = Instant::now();
        Self { started, cpu_before, look_at: started + seconds(limits.cpu_s) }
    }
}

impl Test {
    /// Forks a process for `job` (mode, source, names of functions, as marshal) that reads `stdin`.
    pub(super) fn fork(
        zygote: &mut Zygote,
        job: &OwnedFd,
        stdin: BorrowedFd<'_>,
        limits: &Limits,
        n_spans: usize,
        news: &mut Vec<News>,
    ) -> Result<Self, WireError> {
        let (stdout, their_stdout) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, their_stderr) = pipe_with(PipeFlags::CLOEXEC)?;
        let (channel, their_channel) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        for fd in [&stdout, &stderr, &channel] {
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        let id = zygote.n_forks as i64;
        let fds = [stdin, their_stdout.as_fd(), their_stderr.as_fd(), their_channel.as_fd(), job.as_fd()];
        let pidfd = zygote.fork(id, limits, limits.cpu_s * n_spans as f64, &fds, news)?;
        Ok(Self {
            id,
            pid: pid_of(&pidfd),
            pidfd,
            stdout: Some(stdout),
            stderr: Some(stderr),
            channel: Some(channel),
            outbox: Queue::default(),
            inbox: Queue::default(),
            limits: *limits,
            span: Span::begin(Duration::ZERO, limits),
            out: Vec::new(),
            err: Vec::new(),
            exit: None,
            forbidden: None,
            told: false,
            stopped: false,
        })
    }

    /// Time is counted anew from here. Output is not: some may have come before the message that begins the span was read.
    pub(super) fn begin_span(&mut self) {
        self.span = Span::begin(self.cpu(), &self.limits);
    }

    /// Processor and clock time since the span began.
    pub(super) fn spent(&self) -> (Duration, Duration) {
        (self.cpu().saturating_sub(self.span.cpu_before), self.span.started.elapsed())
    }

    /// Queues a message to the process.
    pub(super) fn send(&mut self, message: &Plain) {
        let bytes = message.to_marshal();
        self.outbox.bytes.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.outbox.bytes.extend(bytes);
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn is_over(&self) -> bool {
        self.exit.is_some()
    }

    pub(super) fn peak_bytes(&self) -> u64 {
        self.exit.map_or(0, |exit| exit.peak_bytes)
    }

    /// Its end comes as an event, sooner or later.
    pub(super) fn kill(&mut self) {
        self.stopped = true;
        // It may have ended by itself meanwhile.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Whether it has a thread of this number.
    fn has_task(&self, task: u32) -> bool {
        self.pid.is_some_and(|pid| std::path::Path::new(&format!("/proc/{pid}/task/{task}")).exists())
    }

    fn cpu(&self) -> Duration {
        match (self.exit, self.pid) {
            (Some(exit), _) => exit.cpu,
            (None, Some(pid)) => cpu_clock(pid).unwrap_or(self.span.cpu_before),
            (None, None) => self.span.cpu_before,
        }
    }

    fn output_limit(&self) -> usize {
        usize::try_from(self.limits.output_bytes).unwrap_or(usize::MAX)
    }

    fn read_pipes(&mut self) {
        let limit = self.output_limit();
        drain(&mut self.stdout, &mut self.out, limit.saturating_add(1), false);
        drain(&mut self.stderr, &mut self.err, STDERR_BYTES, true);
        drain(&mut self.channel, &mut self.inbox.bytes, limit.saturating_add(CHANNEL_AHEAD), false);
    }

    fn write_channel(&mut self) {
        while let (false, Some(channel)) = (self.outbox.rest().is_empty(), &self.channel) {
            match rustix::net::send(channel, self.outbox.rest(), rustix::net::SendFlags::NOSIGNAL) {
                Ok(n) => self.outbox.take(n),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                // Nobody reads any more; how the process ended will say why.
                Err(_) => self.outbox.take(usize::MAX),
            }
        }
    }

    /// All writers are gone: what the pipes hold is all there is.
    fn has_ended(&mut self, exit: Exit) {
        self.exit = Some(exit);
        self.read_pipes();
    }

    /// What is known without waiting.
    fn ready(&mut self) -> Option<Event> {
        let limit = self.output_limit();
        let mut too_long = self.out.len() > limit;
        if let Some((head, rest)) = self.inbox.rest().split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*head) as usize;
            if length <= limit && rest.len() >= length {
                let frame = Plain::from_marshal(&rest[..length]);
                self.inbox.take(4 + length);
                // What was printed before the message is in the pipe by now.
                self.read_pipes();
                return Some(Event::Frame(frame));
            }
            too_long |= length > limit;
        }
        if let Some(exit) = self.exit {
            return (!std::mem::replace(&mut self.told, true)).then_some(Event::Exit(exit));
        }
        if self.stopped {
            return None;
        }
        let event = match self.forbidden {
            Some(call) => Some(Event::Forbidden(call)),
            None if too_long => Some(Event::Output),
            None => self.overtime(),
        };
        self.stopped = event.is_some();
        event
    }

    fn overtime(&mut self) -> Option<Event> {
        let now = Instant::now();
        if now >= self.span.started + seconds(self.limits.wall_s) {
            return Some(Event::TimeWall);
        }
        if now >= self.span.look_at {
            let spent = self.cpu().saturating_sub(self.span.cpu_before);
            match seconds(self.limits.cpu_s).checked_sub(spent).filter(|left| !left.is_zero()) {
                // One thread of it cannot use its processor time up sooner.
                Some(left) => self.span.look_at = now + left.max(Duration::from_millis(1)),
                None => return Some(Event::TimeCpu),
            }
        }
        None
    }

    fn look_at(&self) -> Option<Instant> {
        let running = !self.stopped && self.exit.is_none();
        running.then(|| self.span.look_at.min(self.span.started + seconds(self.limits.wall_s)))
    }

    fn poll_fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        let quiet = self.stopped || self.exit.is_some();
        let channel = if self.outbox.rest().is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        [(&self.stdout, PollFlags::IN), (&self.stderr, PollFlags::IN), (&self.channel, channel)]
            .into_iter()
            .filter(move |_| !quiet)
            .filter_map(|(fd, flags)| Some(PollFd::from_borrowed_fd(fd.as_ref()?.as_fd(), flags)))
    }
}

/// Waits until something happens to one of a zygote's tests, and says to which.
pub(super) fn next(zygote: &Zygote, tests: &mut [Test], news: &mut Vec<News>) -> Result<(usize, Event), WireError> {
    loop {
        for News::Exit { id, exit } in news.drain(..) {
            tests.iter_mut().filter(|test| test.id == id).for_each(|test| test.has_ended(exit));
        }
        for (i, test) in tests.iter_mut().enumerate() {
            if let Some(event) = test.ready() {
                return Ok((i, event));
            }
        }
        let look_at = tests.iter().filter_map(Test::look_at).min();
        let wait = look_at.map_or(PATIENCE, |at| at.saturating_duration_since(Instant::now()));
        let mut fds = vec![PollFd::new(zygote.wire(), PollFlags::IN)];
        fds.extend(zygote.listener.iter().map(|listener| PollFd::new(listener, PollFlags::IN)));
        fds.extend(tests.iter().flat_map(Test::poll_fds));
        let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) if look_at.is_none() => return Err(WireError::Silent),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let heard = |i: usize| fds[i].revents().contains(PollFlags::IN);
        let forbidden = zygote.listener.as_ref().filter(|_| heard(1)).and_then(forbidden_call);
        if !fds[0].revents().is_empty() {
            news.push(zygote.news()?);
        }
        if let Some((task, call)) = forbidden {
            tests.iter_mut().filter(|test| test.has_task(task)).for_each(|test| test.forbidden = Some(call));
        }
        for test in tests.iter_mut() {
            test.read_pipes();
            test.write_channel();
        }
    }
}

/// Reads what is there without waiting, up to `most` bytes in all; beyond that it is left, or read and dropped. At its
/// end the pipe is closed.
fn drain(pipe: &mut Option<OwnedFd>, into: &mut Vec<u8>, most: usize, discard: bool) {
    let mut buffer = [0; 1 << 14];
    while let Some(fd) = pipe
        && (discard || into.len() < most)
    {
        match rustix::io::read(fd, &mut buffer[..]) {
            Ok(0) => *pipe = None,
            Ok(n) => into.extend(&buffer[..n.min(most.saturating_sub(into.len()))]),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(_) => *pipe = None,
        }
    }
}

fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value.max(0.0)).unwrap_or(Duration::MAX).min(LONGEST)
}

/// The process behind a pidfd, as our namespace numbers it.
fn pid_of(pidfd: &OwnedFd) -> Option<i32> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()?;
    (pid > 0).then_some(pid)
}

/// Processor time of a process so far, all its threads together; `None` where it is gone.
fn cpu_clock(pid: i32) -> Option<Duration> {
    // How Linux numbers the clock of a process: clock_getcpuclockid(3) computes the same.
    let clock = (!pid << 3) | 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid to write for the length of the call, which touches nothing else.
    let result = unsafe { libc::clock_gettime(clock, &mut time) };
    (result == 0).then(|| Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0)))
}

/// A file in memory with these bytes, which nobody can change.
pub(super) fn sealed(bytes: &[u8]) -> Result<OwnedFd, WireError> {
    let fd = memfd_create("sandbox", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::write(&fd, rest)?;
        rest = &rest[written..];
    }
    rustix::fs::seek(&fd, rustix::fs::SeekFrom::Start(0))?;
    fcntl_add_seals(&fd, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(fd)
}
