//! Messages between the supervisor and a zygote: plain values over a socket that keeps their bounds, with descriptors.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::Plain;

/// The supervisor's end.
pub(super) struct Wire {
    socket: OwnedFd,
}

/// Why a message could not be had; whatever it is, the zygote is given up.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("the zygote ended")]
    Ended,
    #[error("the zygote does not answer")]
    Silent,
    #[error("the zygote's socket: {0}")]
    Socket(#[from] rustix::io::Errno),
    #[error("the zygote's message: {0}")]
    Malformed(String),
}

impl Wire {
    /// A pair: ours, and the end the zygote gets.
    pub(super) fn pair() -> Result<(Self, OwnedFd), WireError> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self { socket: ours }, theirs))
    }

    pub(super) fn send(&self, message: &Plain, fds: &[BorrowedFd<'_>]) -> Result<(), WireError> {
        self.send_bytes(&message.to_marshal(), fds)
    }

    pub(super) fn send_bytes(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), WireError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(WireError::Malformed("too many descriptors".into()));
        }
        loop {
            match sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => return Err(WireError::Ended),
                sent => return sent.map(|_| ()).map_err(WireError::from),
            }
        }
    }

    /// The next message, waited for until `patience` is over.
    pub(super) fn receive(&self, patience: Duration) -> Result<(Plain, Vec<OwnedFd>), WireError> {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&timeout)) {
                Ok(0) => return Err(WireError::Silent),
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut bytes = [0; 1 << 12];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut into = [IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.socket, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CONNRESET) => return Err(WireError::Ended),
                received => break received?,
            }
        };
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        if received.bytes == 0 {
            return Err(WireError::Ended);
        }
        let message =
            Plain::from_marshal(&bytes[..received.bytes]).map_err(|error| WireError::Malformed(error.to_string()))?;
        Ok((message, fds))
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
