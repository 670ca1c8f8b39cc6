//! Which system calls may be made.
//!
//! A zygote and all its tests are under one set of filters, installed once: what is on no list fails with `EPERM`, which
//! Python turns into a `PermissionError`; calls that no honest program makes stop it, and the supervisor is told which it
//! was; calls of another architecture or of the x32 ABI end the process. A test adds one short filter of its own, which
//! takes away what only its zygote needs. The strictest answer counts, so a filter can only take away.

mod calls;

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};

use calls::{ABSENT, ALLOWED, ALLOWED_OLD, FILES, FILES_OLD, FORBIDDEN, ZYGOTE};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The programs, each as the bytes seccomp(2) takes: 8 for each instruction.
pub(super) struct Filters {
    /// For a zygote, and so for its tests.
    pub(super) always: Vec<Vec<u8>>,
    /// For a zygote: forbidden calls wait for the supervisor to look at them.
    pub(super) notify: Vec<u8>,
    /// In the place of `notify` where somebody listens already: forbidden calls end the process.
    pub(super) kill: Vec<u8>,
    /// For a test that has no files to write.
    pub(super) pure: Vec<u8>,
    /// For a test with a `/tmp`.
    pub(super) files: Vec<u8>,
}

/// An action that no list uses, to be replaced by one that the compiler of filters does not know.
const PLACEHOLDER: u16 = 0x7e57;

impl Filters {
    /// # Errors
    /// On an architecture the filter's compiler does not know.
    pub(super) fn new() -> Result<Self, String> {
        let errno = |error: i32| SeccompAction::Errno(error.unsigned_abs());
        let forbidden = || FORBIDDEN.iter().map(|&(call, _)| (call, Vec::new()));

        let mut allowed = every(&[ALLOWED, ALLOWED_OLD, FILES, FILES_OLD, ZYGOTE, ABSENT]);
        allowed.extend(forbidden());
        allowed.extend(allowed_in_part().map_err(of_backend)?);
        let allow = without_x32(program(allowed, errno(libc::EPERM), SeccompAction::Allow)?);
        let absent = program(every(&[ABSENT]), SeccompAction::Allow, errno(libc::ENOSYS))?;
        let stop = |action| program(forbidden().collect(), SeccompAction::Allow, action);
        let notify = notifying(stop(SeccompAction::Trace(PLACEHOLDER.into()))?);

        let zygote_only = zygote_only().map_err(of_backend)?;
        let taken_away = |lists: &[&[c_long]]| {
            let rules = every(lists).into_iter().chain(zygote_only.clone()).collect();
            program(rules, SeccompAction::Allow, errno(libc::EPERM))
        };
        Ok(Self {
            always: vec![bytes(&allow), bytes(&absent)],
            notify: bytes(&notify),
            kill: bytes(&stop(SeccompAction::KillProcess)?),
            pure: bytes(&taken_away(&[ZYGOTE, FILES, FILES_OLD])?),
            files: bytes(&taken_away(&[ZYGOTE])?),
        })
    }
}

/// Which process, as we number processes or threads, made which forbidden call. Its thread stays stopped, as nobody
/// answers, until it is killed; `None` where it is gone already.
pub(super) fn forbidden_call(listener: &OwnedFd) -> Option<(u32, &'static str)> {
    // SAFETY: `seccomp_notif` is plain numbers, which the kernel wants to be zero; it is valid to write for the call.
    let notice: libc::seccomp_notif = unsafe {
        let mut notice = std::mem::zeroed();
        if libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &mut notice) != 0 {
            return None;
        }
        notice
    };
    let name = FORBIDDEN.iter().find(|(call, _)| *call == c_long::from(notice.data.nr));
    Some((notice.pid, name.map_or("unknown", |(_, name)| *name)))
}

fn of_backend(error: BackendError) -> String {
    format!("seccomp filter: {error}")
}

fn every(lists: &[&[c_long]]) -> Rules {
    lists.iter().copied().flatten().map(|&call| (call, Vec::new())).collect()
}

fn program(rules: Rules, otherwise: SeccompAction, listed: SeccompAction) -> Result<BpfProgram, String> {
    let arch = std::env::consts::ARCH.try_into().map_err(|_| format!("no filter for {}", std::env::consts::ARCH))?;
    SeccompFilter::new(rules, otherwise, listed, arch).and_then(BpfProgram::try_from).map_err(of_backend)
}

fn notifying(mut program: BpfProgram) -> BpfProgram {
    let placeholder = libc::SECCOMP_RET_TRACE | u32::from(PLACEHOLDER);
    program.iter_mut().filter(|step| step.k == placeholder).for_each(|step| step.k = libc::SECCOMP_RET_USER_NOTIF);
    program
}

/// The x32 ABI shares the architecture's number, and its calls have a bit of their own.
fn without_x32(mut program: BpfProgram) -> BpfProgram {
    const LOAD_CALL: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const KILL_PROCESS: u32 = 0x8000_0000;
    if cfg!(target_arch = "x86_64") {
        program.splice(
            0..0,
            [
                sock_filter { code: LOAD_CALL, jt: 0, jf: 0, k: 0 },
                sock_filter { code: JUMP_IF_AT_LEAST, jt: 0, jf: 1, k: 0x4000_0000 },
                sock_filter { code: RETURN, jt: 0, jf: 0, k: KILL_PROCESS },
            ],
        );
    }
    program
}

fn bytes(program: &BpfProgram) -> Vec<u8> {
    let mut out = Vec::with_capacity(program.len() * 8);
    for instruction in program {
        out.extend(instruction.code.to_ne_bytes());
        out.extend([instruction.jt, instruction.jf]);
        out.extend(instruction.k.to_ne_bytes());
    }
    out
}

fn rule(argument: u8, size: SeccompCmpArgLen, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, size, operator, value)?])
}

fn any_of(argument: u8, values: &[u64]) -> Result<Vec<SeccompRule>, BackendError> {
    values.iter().map(|&value| rule(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)).collect()
}

const NEW_NAMESPACES: u64 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u64;

/// Calls allowed for some of their arguments only.
fn allowed_in_part() -> Result<Rules, BackendError> {
    let plain_fork = rule(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(NEW_NAMESPACES), 0)?;
    let pair = SeccompRule::new(vec![
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, libc::AF_UNIX as u64)?,
        SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(0xf), libc::SOCK_STREAM as u64)?,
    ])?;
    let files = [
        libc::F_DUPFD,
        libc::F_DUPFD_CLOEXEC,
        libc::F_GETFD,
        libc::F_SETFD,
        libc::F_GETFL,
        libc::F_SETFL,
        libc::F_GETLK,
        libc::F_SETLK,
        libc::F_SETLKW,
    ];
    let controls = [libc::TCGETS, libc::TIOCGWINSZ, libc::FIONREAD, libc::FIOCLEX, libc::FIONCLEX, libc::FIONBIO];
    let processes = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_PDEATHSIG];
    Ok(Rules::from([
        (libc::SYS_clone, vec![plain_fork]),
        // Its own limits, which it cannot raise.
        (libc::SYS_prlimit64, any_of(0, &[0])?),
        // Pairs of sockets that lead nowhere, for event loops; to no address, which datagrams of a pair may still have.
        (libc::SYS_socketpair, vec![pair]),
        (libc::SYS_sendto, vec![rule(4, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?]),
        (libc::SYS_fcntl, any_of(1, &files.map(|request| request as u64))?),
        (libc::SYS_ioctl, any_of(1, &controls)?),
        (libc::SYS_prctl, any_of(0, &processes.map(|option| option as u64))?),
    ]))
}

/// What a test may not do for some arguments, and its zygote may: make a process rather than a thread, and choose what
/// happens to it when its parent dies.
fn zygote_only() -> Result<Rules, BackendError> {
    let process = rule(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(libc::CLONE_THREAD as u64), 0)?;
    Ok(Rules::from([(libc::SYS_clone, vec![process]), (libc::SYS_prctl, any_of(0, &[libc::PR_SET_PDEATHSIG as u64])?)]))
}
