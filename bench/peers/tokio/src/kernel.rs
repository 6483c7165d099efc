//! The busy kernel (see ../../kernel.js), and the clocks.
use std::time::Instant;

pub fn burn(seed: u32, steps: u32) -> u32 {
    let mut x = seed;
    for i in 0..steps {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223 ^ i);
        x ^= x >> 15;
    }
    x
}

/// Nanoseconds of one step on one thread: the best of several.
pub fn step_ns() -> f64 {
    const STEPS: u32 = 100_000;
    let mut best = f64::INFINITY;
    for i in 0..20 {
        let started = Instant::now();
        // Volatile, so that the work is neither foreseen nor left out; std::hint::black_box is newer than Debian's compiler.
        let seed = unsafe { std::ptr::read_volatile(&i) };
        let result = burn(seed, STEPS);
        unsafe { std::ptr::read_volatile(&result) };
        best = best.min(started.elapsed().as_nanos() as f64);
    }
    best / STEPS as f64
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

extern "C" {
    fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
    fn sched_setaffinity(pid: i32, size: usize, mask: *const u64) -> i32;
}

const CLOCK_PROCESS_CPUTIME_ID: i32 = 2;

/// CPU time of this process, all threads.
pub fn cpu_ns() -> u64 {
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    unsafe { clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.seconds as u64 * 1_000_000_000 + time.nanoseconds as u64
}

/// Keeps the calling thread on one core; a negative number leaves it where it is.
pub fn pin(core: i32) {
    if core < 0 {
        return;
    }
    let mut mask = [0u64; 16];
    mask[core as usize / 64] = 1 << (core as usize % 64);
    unsafe { sched_setaffinity(0, std::mem::size_of_val(&mask), mask.as_ptr()) };
}
