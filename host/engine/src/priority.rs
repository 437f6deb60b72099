//! The priority of a thread: lower for work that nobody waits for.

/// Below everything that serves: with the default of 0 beside it, it gets about a tenth.
const LOW: libc::c_int = 10;

/// Lowers this thread's priority for good. Where the system does not let it, work goes on as it is.
pub(crate) fn lower() {
    // SAFETY: takes and returns numbers. On Linux, 0 stands for the calling thread alone.
    #[expect(unsafe_code, reason = "the standard library sets no priorities")]
    let _refused = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, LOW) };
}
