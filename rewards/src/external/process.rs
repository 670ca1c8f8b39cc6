//! [`Process`]: a program that answers lines with lines, each by a deadline.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

use super::Failure;

/// Longest line that is read, in bytes.
const LONGEST_ANSWER: usize = 64 << 20;

/// Bytes of what a process prints that are kept, from the end.
const KEPT: usize = 16 << 10;

/// How long a process may take to end once its input is closed.
const GRACE: Duration = Duration::from_millis(500);

/// How often a process that is silent is asked whether it still lives.
const LOOK: Duration = Duration::from_millis(100);

/// A running process. It is killed, with all of its process group, when this is dropped, and by the system when the
/// thread that started it ends: so each is started by a thread that lives as long as it is needed.
pub(super) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
    /// `None` once it is closed.
    errors: Option<ChildStderr>,
    /// Output that was read and not yet taken.
    unread: Vec<u8>,
    /// The end of what it printed since the last question.
    printed: Vec<u8>,
}

impl Process {
    /// Starts `command` with pipes for input, output and errors.
    pub(super) fn start(command: &mut Command) -> io::Result<Process> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        // SAFETY: between fork and exec only prctl is called, which is safe to call there and takes no pointer.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
        let mut child = command.spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = pipes else {
            return Err(io::Error::other("a process without pipes"));
        };
        rustix::io::ioctl_fionbio(&input, true)?;
        rustix::io::ioctl_fionbio(&output, true)?;
        rustix::io::ioctl_fionbio(&errors, true)?;
        Ok(Process { child, input: Some(input), output, errors: Some(errors), unread: Vec::new(), printed: Vec::new() })
    }

    /// Writes `line` and waits for one in answer, for no longer than `limit`. After a failure the process is of no more
    /// use.
    pub(super) fn ask(&mut self, line: &str, limit: Duration) -> Result<String, Failure> {
        self.printed.clear();
        let deadline = Instant::now() + limit;
        let question = [line.as_bytes(), b"\n"].concat();
        let mut rest = &question[..];
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let answer: Vec<u8> = self.unread.drain(..=end).collect();
                self.read_errors();
                return String::from_utf8(answer).map_err(|_| self.failure("the answer is not UTF-8"));
            }
            if self.unread.len() > LONGEST_ANSWER {
                return Err(self.failure(format!("the answer is longer than {LONGEST_ANSWER} bytes")));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.failure(format!("no answer after {} s", limit.as_secs_f64())));
            }
            self.wait(!rest.is_empty(), left.min(LOOK));
            self.read_errors();
            if !rest.is_empty() {
                match self.write(rest) {
                    Ok(n) => rest = &rest[n..],
                    Err(_) => return Err(self.ended()),
                }
            }
            match self.read() {
                Ok(0) => return Err(self.ended()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // A child of its own may hold the pipe open.
                    if matches!(self.child.try_wait(), Ok(Some(_))) && matches!(self.read(), Err(_) | Ok(0)) {
                        return Err(self.ended());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failure(format!("read the answer: {error}"))),
            }
        }
    }

    /// Waits until there is something to do, for no longer than `limit`.
    fn wait(&self, writes: bool, limit: Duration) {
        let mut fds = vec![PollFd::new(&self.output, PollFlags::IN)];
        if let Some(errors) = &self.errors {
            fds.push(PollFd::new(errors, PollFlags::IN));
        }
        if let (true, Some(input)) = (writes, &self.input) {
            fds.push(PollFd::new(input, PollFlags::OUT));
        }
        let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
        // Whatever came of it, the reads and writes that follow find out.
        let _ = poll(&mut fds, Some(&limit));
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(input) = &mut self.input else { return Ok(0) };
        match input.write(bytes) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
            written => written,
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 1 << 16];
        let n = self.output.read(&mut bytes)?;
        self.unread.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn read_errors(&mut self) {
        let mut bytes = [0; 1 << 14];
        while let Some(errors) = &mut self.errors {
            match errors.read(&mut bytes) {
                Ok(0) => self.errors = None,
                Ok(n) => {
                    self.printed.extend_from_slice(&bytes[..n]);
                    let surplus = self.printed.len().saturating_sub(KEPT);
                    self.printed.drain(..surplus);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// The failure of a process that closed its end of a pipe.
    fn ended(&mut self) -> Failure {
        let status = self.wait_for(GRACE);
        self.read_errors();
        let how = match status {
            None => "closed its output".to_owned(),
            Some(status) => match (status.code(), status.signal()) {
                (_, Some(signal)) => format!("was killed by signal {signal}"),
                (code, None) => format!("ended with exit code {}", code.unwrap_or_default()),
            },
        };
        self.failure(format!("the process {how} before it answered"))
    }

    fn wait_for(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
                _ => return None,
            }
        }
    }

    fn failure(&self, what: impl Into<String>) -> Failure {
        Failure::new(what).saying(&String::from_utf8_lossy(&self.printed))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Whoever reads to the end of its input ends by itself.
        drop(self.input.take());
        let _ = self.wait_for(GRACE);
        if let Some(group) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
