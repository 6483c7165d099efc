//! `timers CASE COUNT WARMUP_SECONDS SECONDS`, as timers/main.js describes them, on a current-thread runtime. A Sleep is in the wheel once it has been polled, and leaves it when it is dropped.
use std::future::{poll_fn, Future};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::time::{sleep, Sleep};

const FIRST_MS: u64 = 10_000;
const SPREAD_MS: u64 = 600_000;
const SLEEP: Duration = Duration::from_millis(10);

fn delay_of(index: usize) -> Duration {
    Duration::from_millis(FIRST_MS + (index as u64 * 7_919) % SPREAD_MS)
}

/// Whether the next round is measured; None when the time is over. Each phase has one round at least.
struct Phases {
    lengths: [f64; 2],
    phase: usize,
    began: Option<Instant>,
}

impl Phases {
    fn new(warmup: f64, seconds: f64) -> Phases {
        Phases { lengths: [warmup, seconds], phase: 0, began: None }
    }

    fn next(&mut self) -> Option<bool> {
        if let Some(began) = self.began {
            if began.elapsed().as_secs_f64() >= self.lengths[self.phase] {
                self.phase += 1;
                self.began = None;
            }
        }
        if self.phase == self.lengths.len() {
            return None;
        }
        self.began.get_or_insert_with(Instant::now);
        Some(self.phase == 1)
    }
}

async fn insert(crowd: &mut Vec<Pin<Box<Sleep>>>, count: usize) {
    for index in 0..count {
        let mut timer = Box::pin(sleep(delay_of(index)));
        let is_pending = poll_fn(|context| Poll::Ready(timer.as_mut().poll(context).is_pending())).await;
        assert!(is_pending, "no timer of a crowd expires");
        crowd.push(timer);
    }
}

async fn pending(count: usize, mut phases: Phases) -> String {
    let mut crowd = Vec::with_capacity(count);
    let (mut timers, mut insert_ns, mut cancel_ns) = (0, 0, 0);
    let before = resident_bytes();
    let mut bytes = 0.0;
    while let Some(counts) = phases.next() {
        let started = Instant::now();
        insert(&mut crowd, count).await;
        let inserted = Instant::now();
        // The allocator keeps what it has had, so only the first crowd shows in the resident memory.
        if bytes == 0.0 {
            bytes = (resident_bytes() - before) as f64 / count as f64;
        }
        let cancelling = Instant::now();
        crowd.clear();
        if counts {
            timers += count as u64;
            insert_ns += (inserted - started).as_nanos();
            cancel_ns += cancelling.elapsed().as_nanos();
        }
    }
    format!("{{\"count\":{},\"insertNs\":{},\"cancelNs\":{},\"bytes\":{:.1}}}", timers, insert_ns, cancel_ns, bytes)
}

fn resident_bytes() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: i64 = statm.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    pages * 4096
}

async fn tasks(count: usize, time: Option<Duration>, mut phases: Phases) -> String {
    let (mut rounds, mut ns) = (0u64, 0);
    while let Some(counts) = phases.next() {
        let started = Instant::now();
        let mut handles = Vec::with_capacity(count);
        for _ in 0..count {
            handles.push(tokio::spawn(async move {
                if let Some(time) = time {
                    sleep(time).await;
                }
            }));
        }
        for handle in handles {
            handle.await.expect("a task");
        }
        if counts {
            rounds += 1;
            ns += started.elapsed().as_nanos();
        }
    }
    format!("{{\"count\":{},\"ns\":{}}}", rounds, ns)
}

async fn hops(count: usize, mut phases: Phases) -> String {
    let (mut hops, mut ns) = (0u64, 0);
    while let Some(counts) = phases.next() {
        let started = Instant::now();
        for _ in 0..count {
            yield_now().await;
        }
        if counts {
            hops += count as u64;
            ns += started.elapsed().as_nanos();
        }
    }
    format!("{{\"count\":{},\"ns\":{}}}", hops, ns)
}

/// As tokio::task::yield_now, which newer versions put off to the end of a turn of the driver: that would measure the driver.
async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|context| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

pub fn run(arguments: &[String]) {
    let number = |index: usize| arguments[index].parse::<f64>().expect("a number");
    let count = number(1) as usize;
    let phases = Phases::new(number(2), number(3));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let case = arguments[0].clone();
    let line = runtime.block_on(async move {
        let task = tokio::spawn(async move {
            match case.as_str() {
                "pending" => pending(count, phases).await,
                "sleep" => tasks(count, Some(SLEEP), phases).await,
                "spawn" => tasks(count, None, phases).await,
                _ => hops(count, phases).await,
            }
        });
        task.await.expect("the driver")
    });
    println!("{}", line);
}
