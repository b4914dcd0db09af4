//! Signals that ask this process to end, heard instead of suffered: what is under way is first brought to a good end.

use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Set once a scheduler, or whoever ends this process, has sent its polite signal (`SIGTERM`).
pub(crate) fn asked_to_end() -> &'static AtomicBool {
    #[cfg(unix)]
    handle(libc::SIGTERM, note as Handler as libc::sighandler_t, 0);
    &ASKED
}

/// While it lives, a first Ctrl-C or `SIGTERM` is heard and not suffered; a second one ends the process at once.
pub(crate) struct Heard(());

impl Heard {
    /// Listens from now on.
    pub(crate) fn listen() -> Self {
        ASKED.store(false, Ordering::Relaxed);
        #[cfg(unix)]
        for signal in [libc::SIGINT, libc::SIGTERM] {
            handle(signal, note as Handler as libc::sighandler_t, libc::SA_RESETHAND);
        }
        Self(())
    }

    /// Set once somebody has asked.
    pub(crate) fn flag(&self) -> &'static AtomicBool {
        &ASKED
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        #[cfg(unix)]
        for signal in [libc::SIGINT, libc::SIGTERM] {
            handle(signal, libc::SIG_DFL, 0);
        }
    }
}

#[cfg(unix)]
type Handler = extern "C" fn(libc::c_int);

#[cfg(unix)]
extern "C" fn note(_signal: libc::c_int) {
    ASKED.store(true, Ordering::Relaxed);
}

#[cfg(unix)]
fn handle(signal: libc::c_int, handler: libc::sighandler_t, flags: libc::c_int) {
    // SAFETY: our handler only stores to an atomic, which is async-signal-safe; fields of the action that are left zero are
    // valid as zero, and the pointers are valid for the call. It fails for no signal that is asked for here.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_RESTART | flags;
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}
