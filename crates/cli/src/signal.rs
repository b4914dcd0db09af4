//! Signals that ask this process to end, heard instead of suffered: what is under way is first brought to a good end.

use std::sync::atomic::AtomicBool;

#[cfg(unix)]
use std::sync::atomic::Ordering;

static ASKED: AtomicBool = AtomicBool::new(false);

/// Set once a scheduler, or whoever ends this process, has sent its polite signal (`SIGTERM`).
pub(crate) fn asked_to_end() -> &'static AtomicBool {
    #[cfg(unix)]
    hear(libc::SIGTERM, 0);
    &ASKED
}

/// Set once a person has asked to stop waiting (Ctrl-C, `SIGTERM`); asked again, the process ends at once.
pub(crate) fn asked_to_stop_waiting() -> &'static AtomicBool {
    #[cfg(unix)]
    for signal in [libc::SIGINT, libc::SIGTERM] {
        hear(signal, libc::SA_RESETHAND);
    }
    &ASKED
}

#[cfg(unix)]
extern "C" fn note(_signal: libc::c_int) {
    ASKED.store(true, Ordering::Relaxed);
}

#[cfg(unix)]
fn hear(signal: libc::c_int, flags: libc::c_int) {
    let handler: extern "C" fn(libc::c_int) = note;
    // SAFETY: the handler only stores to an atomic, which is async-signal-safe; all fields of the action that are left zero
    // are valid as zero, and the pointers are valid for the call. It fails for no signal that is asked for here.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART | flags;
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}
