//! One warm interpreter, from its start to its end, and the tests' processes it forks.

use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::files;
use super::filter::Filters;
use super::wire::{Wire, WireError};
use super::{Isolation, Limits, Plain};

const PATIENCE_AT_START: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(20);
/// The program's user inside its namespace, as in `walls.py`, and the one it is outside where root starts it.
const INSIDE: u32 = 1000;
const NOBODY: u32 = 65534;

/// No process has more: 47 bits of addresses.
const MOST_MEMORY: u64 = 1 << 47;

const SOURCE: &str = concat!(include_str!("walls.py"), include_str!("harness.py"), include_str!("zygote.py"));

/// What all zygotes of a sandbox have in common.
pub(super) struct Setup {
    pub(super) python: PathBuf,
    pub(super) isolation: Isolation,
    pub(super) modules: Vec<String>,
    pub(super) tmp_bytes: u64,
    pub(super) filters: Filters,
}

/// Why a zygote did not come up.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// This machine does not let such a wall be built; which one and why.
    #[error("{0}")]
    Missing(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl From<WireError> for StartError {
    fn from(error: WireError) -> Self {
        Self::Failed(error.to_string())
    }
}

pub(super) struct Zygote {
    child: Child,
    /// `None` once it is told to end.
    wire: Option<Wire>,
    temporary: Option<PathBuf>,
    /// Says which forbidden calls are made.
    pub(super) listener: Option<OwnedFd>,
    pub(super) n_forks: u64,
}

/// A message of a zygote about one of its tests.
pub(super) enum News {
    Exit { id: i64, exit: Exit },
}

/// How a test's process ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exit {
    /// As wait(2) gives it.
    pub(super) status: i32,
    pub(super) cpu: Duration,
    pub(super) peak_bytes: u64,
}

impl Zygote {
    pub(super) fn start(setup: &Setup) -> Result<Self, StartError> {
        let (wire, theirs) = Wire::pair()?;
        let temporary = if setup.isolation == Isolation::Namespaces { None } else { Some(temporary_directory()?) };
        let mut command = Command::new(&setup.python);
        command
            .args([
                "-S",
                "-s",
                "-B",
                "-X",
                "utf8",
                "-c",
                "import os; exec(compile(os.read(0, 1 << 18), 'zygote', 'exec'))",
            ])
            .env_clear()
            .env("PYTHONHASHSEED", "0")
            .env("MALLOC_ARENA_MAX", "1")
            .env("LANG", "C.UTF-8")
            // Else each test would look up again what its zygote did not happen to call.
            .env("LD_BIND_NOW", "1")
            // Where the interpreter itself may find its libraries; not for programs to see.
            .envs(std::env::var_os("LD_LIBRARY_PATH").map(|path| ("LD_LIBRARY_PATH", path)))
            .current_dir("/")
            // Of its own, so that an interrupt at the terminal is the supervisor's to answer.
            .process_group(0)
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let child = command
            .spawn()
            .map_err(|error| StartError::Failed(format!("start `{}`: {error}", setup.python.display())))?;
        drop(command);
        let mut zygote = Self { child, wire: Some(wire), temporary, listener: None, n_forks: 0 };
        match zygote.set_up(setup) {
            Ok(()) => Ok(zygote),
            Err(StartError::Failed(why)) => Err(StartError::Failed(zygote.with_last_words(why))),
            Err(missing) => Err(missing),
        }
    }

    fn set_up(&mut self, setup: &Setup) -> Result<(), StartError> {
        let dict = |entries: Vec<(&str, Plain)>| Plain::Dict(entries.into_iter().map(|(k, v)| (k.into(), v)).collect());
        let numbers = [
            ("capset", libc::SYS_capset),
            ("close_range", libc::SYS_close_range),
            ("landlock_restrict_self", libc::SYS_landlock_restrict_self),
            ("mount_setattr", libc::SYS_mount_setattr),
            ("pivot_root", libc::SYS_pivot_root),
            ("seccomp", libc::SYS_seccomp),
        ];
        self.wire().send_bytes(SOURCE.as_bytes(), &[])?;
        self.wire().send(
            &dict(vec![
                ("namespaces", Plain::Bool(setup.isolation == Isolation::Namespaces)),
                ("filtered", Plain::Bool(setup.isolation >= Isolation::LandlockSeccomp)),
                ("numbers", dict(numbers.map(|(name, number)| (name, number.into())).to_vec())),
                ("modules", Plain::List(setup.modules.iter().map(|name| name.as_str().into()).collect())),
                ("tmp_bytes", Plain::Int(setup.tmp_bytes.into())),
                (
                    "temporary",
                    self.temporary.as_ref().map_or(Plain::None, |path| path.to_string_lossy().as_ref().into()),
                ),
            ]),
            &[],
        )?;
        loop {
            let (message, fds) = self.wire().receive(PATIENCE_AT_START)?;
            let parts = message.items().unwrap_or_default();
            match (parts.first().and_then(Plain::text), parts.get(1)) {
                (Some("unshared"), _) => {
                    map_users(self.child.id())
                        .map_err(|error| StartError::Missing(format!("user namespace: {error}")))?;
                    self.wire().send(&Plain::None, &[])?;
                }
                (Some("paths"), _) => {
                    let alone = setup.isolation != Isolation::Namespaces;
                    let rules = files::rules(&fds, alone).map_err(StartError::Failed)?;
                    if rules.is_none() && alone {
                        return Err(StartError::Missing("Landlock of ABI 3 or later (Linux 6.2)".into()));
                    }
                    let bytes = |filter: &Vec<u8>| Plain::Bytes(filter.clone());
                    let walls = dict(vec![
                        ("always", Plain::List(setup.filters.always.iter().map(bytes).collect())),
                        ("notify", bytes(&setup.filters.notify)),
                        ("kill", bytes(&setup.filters.kill)),
                        ("pure", bytes(&setup.filters.pure)),
                        ("files", bytes(&setup.filters.files)),
                    ]);
                    let fds = rules.as_ref().map(|rules| vec![rules.pure.as_fd(), rules.files.as_fd()]);
                    self.wire().send(&walls, &fds.unwrap_or_default())?;
                }
                (Some("missing"), Some(Plain::Str(what))) => return Err(StartError::Missing(what.clone())),
                (Some("listener"), _) => self.listener = fds.into_iter().next(),
                (Some("warm"), _) => return Ok(()),
                _ => return Err(StartError::Failed(format!("the zygote said {message:?}"))),
            }
        }
    }

    #[cfg(test)]
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(super) fn wire(&self) -> &Wire {
        self.wire.as_ref().expect("a zygote that was told to end is asked nothing")
    }

    /// Forks a test's process; `fds` become its 0 to 4: standard streams, channel, and the job. Returns its pidfd. News of
    /// other tests that come in between are left in `news`.
    pub(super) fn fork(
        &mut self,
        id: i64,
        limits: &Limits,
        cpu_s: f64,
        fds: &[BorrowedFd<'_>; 5],
        news: &mut Vec<News>,
    ) -> Result<OwnedFd, WireError> {
        self.n_forks += 1;
        let job = Plain::Dict(vec![
            ("id".into(), id.into()),
            ("cpu_s".into(), ((cpu_s.clamp(0.0, 1e6).ceil() as i64) + 1).into()),
            ("memory".into(), Plain::Int(limits.memory_bytes.min(MOST_MEMORY).into())),
            ("threads".into(), i64::from(limits.threads).into()),
            ("files".into(), Plain::Bool(limits.files)),
            ("file_bytes".into(), Plain::Int(limits.memory_bytes.min(MOST_MEMORY).into())),
        ]);
        self.wire().send(&job, fds)?;
        loop {
            let (message, mut fds) = self.wire().receive(PATIENCE)?;
            match message.items() {
                Some([Plain::Str(what), _]) if what == "forked" && fds.len() == 1 => return Ok(fds.remove(0)),
                _ => news.push(read_news(&message)?),
            }
        }
    }

    /// The news that is waiting on the wire.
    pub(super) fn news(&self) -> Result<News, WireError> {
        read_news(&self.wire().receive(PATIENCE)?.0)
    }

    /// Ends it, and adds to `why` what it had to say on standard error.
    pub(super) fn with_last_words(&mut self, why: String) -> String {
        self.wire = None;
        let _ = self.child.kill();
        let mut words = Vec::new();
        if let Some(stderr) = self.child.stderr.take() {
            let _ = stderr.take(4096).read_to_end(&mut words);
        }
        let words = String::from_utf8_lossy(&words);
        match words.trim().lines().last() {
            Some(last) => format!("{why}: {last}"),
            None => why,
        }
    }
}

impl Drop for Zygote {
    /// Ends it: at the end of its socket it exits, and all it forked with it.
    fn drop(&mut self) {
        self.wire = None;
        let until = Instant::now() + Duration::from_secs(2);
        let mut pause = Duration::from_micros(100);
        while !matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
            if Instant::now() > until {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_dir_all(temporary);
        }
    }
}

fn read_news(message: &Plain) -> Result<News, WireError> {
    if let Some([Plain::Str(what), id, status, Plain::Float(cpu), peak]) = message.items()
        && let (Some(id), Some(status), Some(peak)) = (id.integer(), status.integer(), peak.integer())
        && what == "exit"
    {
        let exit = Exit {
            status: status as i32,
            cpu: Duration::try_from_secs_f64(*cpu).unwrap_or_default(),
            peak_bytes: peak.unsigned_abs(),
        };
        return Ok(News::Exit { id, exit });
    }
    Err(WireError::Malformed(format!("{message:?}")))
}

/// Says who the users of a new user namespace are. Root maps itself, to build the walls, and nobody, to run programs; an
/// ordinary user has only itself to map.
fn map_users(process: u32) -> std::io::Result<()> {
    let write = |file: &str, text: String| fs::write(format!("/proc/{process}/{file}"), text);
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if user == 0 {
        let both = format!("0 0 1\n{INSIDE} {NOBODY} 1\n");
        if write("uid_map", both.clone()).and_then(|()| write("gid_map", both)).is_ok() {
            return Ok(());
        }
    }
    write("setgroups", "deny".into())?;
    write("uid_map", format!("{INSIDE} {user} 1\n"))?;
    write("gid_map", format!("{INSIDE} {group} 1\n"))
}

/// A new directory that nobody else may enter, for zygotes without a file system of their own.
fn temporary_directory() -> Result<PathBuf, StartError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let failed = |error: std::io::Error| StartError::Failed(format!("make a temporary directory: {error}"));
    loop {
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sandbox-{}-{n}", std::process::id()));
        match fs::DirBuilder::new().create(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => {
                made.map_err(failed)?;
                fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).map_err(failed)?;
                return Ok(path);
            }
        }
    }
}
