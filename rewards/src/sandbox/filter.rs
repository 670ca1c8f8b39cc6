//! Which system calls a test's process may make.
//!
//! Three programs, of which the strictest answer counts. Two hold for a zygote and all its tests: calls that no honest
//! program makes end the process, and so do calls of another architecture or of the x32 ABI; `clone3` does not exist,
//! so that the C library falls back on `clone`, whose flags a filter can read. The third is a test's own: what is not on
//! its list fails with `EPERM`, which Python turns into a `PermissionError`.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

/// The programs, each as the bytes seccomp(2) takes: 8 for each instruction.
pub(super) struct Filters {
    /// For a zygote, before anything else.
    pub(super) always: Vec<Vec<u8>>,
    /// For a test that has no files to write.
    pub(super) pure: Vec<u8>,
    /// For a test with a `/tmp`.
    pub(super) files: Vec<u8>,
}

impl Filters {
    /// # Errors
    /// On an architecture the filter's compiler does not know.
    pub(super) fn new() -> Result<Self, String> {
        let forbidden = program(every(FORBIDDEN), SeccompAction::Allow, SeccompAction::KillProcess)?;
        let absent = program(every(ABSENT), SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.unsigned_abs()))?;
        let allowed = |lists: &[&[c_long]]| {
            let mut rules: BTreeMap<i64, Vec<SeccompRule>> = lists.iter().flat_map(|list| every(list)).collect();
            rules.extend(with_arguments()?);
            program(rules, SeccompAction::Errno(libc::EPERM.unsigned_abs()), SeccompAction::Allow)
        };
        Ok(Self {
            always: vec![bytes(&without_x32(forbidden)), bytes(&absent)],
            pure: bytes(&allowed(&[ALLOWED, ALLOWED_OLD])?),
            files: bytes(&allowed(&[ALLOWED, ALLOWED_OLD, FILES, FILES_OLD])?),
        })
    }
}

fn every(calls: &[c_long]) -> BTreeMap<i64, Vec<SeccompRule>> {
    calls.iter().map(|&call| (call, Vec::new())).collect()
}

fn program(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, String> {
    let arch = std::env::consts::ARCH.try_into().map_err(|_| format!("no filter for {}", std::env::consts::ARCH))?;
    SeccompFilter::new(rules, otherwise, listed, arch)
        .and_then(BpfProgram::try_from)
        .map_err(|error| format!("seccomp filter: {error}"))
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

/// Calls allowed for some of their arguments only.
fn with_arguments() -> Result<BTreeMap<i64, Vec<SeccompRule>>, String> {
    let when = |argument, size, operator, value| SeccompCondition::new(argument, size, operator, value);
    let (word, double) = (|| SeccompCmpArgLen::Dword, || SeccompCmpArgLen::Qword);
    let thread = libc::CLONE_THREAD as u64;
    let spaces = [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ]
    .iter()
    .fold(0, |flags, &flag| flags | flag as u64);
    let any_of = |call, argument, values: &[u64]| -> Result<_, seccompiler::BackendError> {
        let rules = values
            .iter()
            .map(|&value| SeccompRule::new(vec![when(argument, word(), SeccompCmpOp::Eq, value)?]))
            .collect::<Result<Vec<_>, _>>()?;
        Ok((call, rules))
    };
    let build = || -> Result<_, seccompiler::BackendError> {
        Ok([
            // A thread, and never a process.
            (
                libc::SYS_clone,
                vec![SeccompRule::new(vec![when(0, double(), SeccompCmpOp::MaskedEq(thread | spaces), thread)?])?],
            ),
            // Its own limits, which it cannot raise.
            (libc::SYS_prlimit64, vec![SeccompRule::new(vec![when(0, word(), SeccompCmpOp::Eq, 0)?])?]),
            // Pairs of sockets that lead nowhere, for event loops.
            (
                libc::SYS_socketpair,
                vec![SeccompRule::new(vec![when(0, word(), SeccompCmpOp::Eq, libc::AF_UNIX as u64)?])?],
            ),
            any_of(libc::SYS_prctl, 0, &[libc::PR_SET_NAME as u64, libc::PR_GET_NAME as u64])?,
            any_of(
                libc::SYS_ioctl,
                1,
                &[libc::TCGETS, libc::TIOCGWINSZ, libc::FIONREAD, libc::FIOCLEX, libc::FIONCLEX, libc::FIONBIO],
            )?,
            any_of(
                libc::SYS_fcntl,
                1,
                &[
                    libc::F_DUPFD,
                    libc::F_DUPFD_CLOEXEC,
                    libc::F_GETFD,
                    libc::F_SETFD,
                    libc::F_GETFL,
                    libc::F_SETFL,
                    libc::F_GETLK,
                    libc::F_SETLK,
                    libc::F_SETLKW,
                ]
                .map(|request| request as u64),
            )?,
        ]
        .into_iter()
        .collect())
    };
    build().map_err(|error| format!("seccomp filter: {error}"))
}

const FORBIDDEN: &[c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
];

const ABSENT: &[c_long] = &[libc::SYS_clone3, libc::SYS_openat2];

const ALLOWED: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_futex,
    libc::SYS_get_robust_list,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getgroups,
    libc::SYS_getitimer,
    libc::SYS_getpgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_getresgid,
    libc::SYS_getresuid,
    libc::SYS_getrusage,
    libc::SYS_getsid,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_getuid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pselect6,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sendto,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_setitimer,
    libc::SYS_shutdown,
    libc::SYS_sigaltstack,
    libc::SYS_statx,
    libc::SYS_sysinfo,
    libc::SYS_times,
    libc::SYS_uname,
    libc::SYS_write,
    libc::SYS_writev,
];

/// What newer architectures no longer have.
#[cfg(target_arch = "x86_64")]
const ALLOWED_OLD: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_alarm,
    libc::SYS_arch_prctl,
    libc::SYS_dup2,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_getpgrp,
    libc::SYS_getrlimit,
    libc::SYS_lstat,
    libc::SYS_open,
    libc::SYS_pause,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_select,
    libc::SYS_setrlimit,
    libc::SYS_stat,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_OLD: &[c_long] = &[];

/// Changing what lies in `/tmp`; where else is the matter of the mounts and of Landlock. Modes, owners and times stay out:
/// Landlock does not watch over them.
const FILES: &[c_long] = &[
    libc::SYS_chdir,
    libc::SYS_fallocate,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_mkdirat,
    libc::SYS_pwrite64,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
];
#[cfg(target_arch = "x86_64")]
const FILES_OLD: &[c_long] = &[libc::SYS_mkdir, libc::SYS_rename, libc::SYS_rmdir, libc::SYS_unlink];
#[cfg(not(target_arch = "x86_64"))]
const FILES_OLD: &[c_long] = &[];
