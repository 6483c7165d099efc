//! `sync THREADS CASE WARMUP_SECONDS SECONDS`, as ../../sync/main.js describes them. With one thread it is the current-thread runtime. Tokio's channel has one receiver; in fan-out the consumers share it behind
//! Tokio's mutex, as its guide shows.
use crate::kernel::cpu_ns;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{channel, Receiver, Sender};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

const OPERATIONS: u32 = 100_000;
const TASKS: u32 = 10_000;
const MANY: u32 = 1_000;

type Outcome = Pin<Box<dyn Future<Output = u32> + Send>>;

async fn join(handles: Vec<JoinHandle<()>>) {
    for handle in handles {
        handle.await.expect("a task");
    }
}

async fn spawn() -> u32 {
    let count = Arc::new(AtomicU32::new(0));
    let mut handles = Vec::with_capacity(TASKS as usize);
    for _ in 0..TASKS {
        let count = count.clone();
        handles.push(tokio::spawn(async move {
            count.fetch_add(1, Ordering::Relaxed);
        }));
    }
    join(handles).await;
    count.load(Ordering::Relaxed)
}

async fn play(mut from: Receiver<u32>, to: Sender<u32>, limit: u32, sum: Arc<AtomicU32>) {
    while let Some(value) = from.recv().await {
        if value >= limit {
            sum.fetch_add(value, Ordering::Relaxed);
            return;
        }
        if to.send(value + 1).await.is_err() {
            return;
        }
    }
}

async fn ping_pong(pairs: u32) -> u32 {
    let limit = OPERATIONS / pairs;
    let sum = Arc::new(AtomicU32::new(0));
    let mut handles = Vec::new();
    for _ in 0..pairs {
        let (to_there, there) = channel(1);
        let (to_back, back) = channel(1);
        to_there.send(1).await.expect("room");
        handles.push(tokio::spawn(play(there, to_back, limit, sum.clone())));
        handles.push(tokio::spawn(play(back, to_there, limit, sum.clone())));
    }
    join(handles).await;
    sum.load(Ordering::Relaxed)
}

fn produce(producers: u32, to: Sender<u32>) {
    let share = OPERATIONS / producers;
    for n in 0..producers {
        let to = to.clone();
        tokio::spawn(async move {
            for i in 1..=share {
                to.send(n * share + i).await.expect("a receiver");
            }
        });
    }
}

async fn fan_in() -> u32 {
    let (to, mut from) = channel(256);
    produce(MANY, to);
    let mut sum = 0;
    while let Some(value) = from.recv().await {
        sum ^= value;
    }
    sum
}

async fn fan_out() -> u32 {
    let (to, from) = channel(256);
    let from = Arc::new(Mutex::new(from));
    let sum = Arc::new(AtomicU32::new(0));
    let mut handles = Vec::new();
    for _ in 0..MANY {
        let (from, sum) = (from.clone(), sum.clone());
        handles.push(tokio::spawn(async move {
            let mut own = 0;
            loop {
                let received = from.lock().await.recv().await;
                match received {
                    Some(value) => own ^= value,
                    None => break,
                }
            }
            sum.fetch_xor(own, Ordering::Relaxed);
        }));
    }
    produce(1, to);
    join(handles).await;
    sum.load(Ordering::Relaxed)
}

async fn channel_alone() -> u32 {
    let (to, mut from) = channel(1);
    let mut sum = 0;
    for _ in 0..OPERATIONS {
        to.send(1).await.expect("room");
        sum += from.recv().await.expect("a value");
    }
    sum
}

async fn lock(tasks: u32) -> u32 {
    let guarded = Arc::new(Mutex::new(0u32));
    let mut handles = Vec::new();
    for _ in 0..tasks {
        let guarded = guarded.clone();
        handles.push(tokio::spawn(async move {
            for _ in 0..OPERATIONS / tasks {
                *guarded.lock().await += 1;
            }
        }));
    }
    join(handles).await;
    let sum = *guarded.lock().await;
    sum
}

async fn select_of_two() -> u32 {
    let (to, mut ready) = channel(1);
    let (_keep, mut idle) = channel::<u32>(1);
    let mut sum: u32 = 0;
    for _ in 0..OPERATIONS {
        to.send(1).await.expect("room");
        tokio::select! {
            value = ready.recv() => sum += value.expect("a value"),
            value = idle.recv() => sum -= value.unwrap_or(1),
        }
    }
    sum
}

async fn await_hop() -> u32 {
    let mut sum = 0;
    for _ in 0..OPERATIONS {
        tokio::task::yield_now().await;
        sum += 1;
    }
    sum
}

fn start(case: &str) -> Outcome {
    match case {
        "spawn" => Box::pin(spawn()),
        "ping-pong-1" => Box::pin(ping_pong(1)),
        "ping-pong-100" => Box::pin(ping_pong(100)),
        "fan-in" => Box::pin(fan_in()),
        "fan-out" => Box::pin(fan_out()),
        "channel-1" => Box::pin(channel_alone()),
        "lock-1" => Box::pin(lock(1)),
        "lock-100" => Box::pin(lock(100)),
        "select-2" => Box::pin(select_of_two()),
        "await-hop" => Box::pin(await_hop()),
        other => panic!("no such case: {}", other),
    }
}

#[derive(Default)]
struct Counts {
    total: u32,
    sum: u32,
}

impl Counts {
    /// Returns iterations, nanoseconds and CPU nanoseconds.
    async fn run_for(&mut self, case: &str, seconds: f64) -> (u32, u64, u64) {
        let (before, cpu_before, started) = (self.total, cpu_ns(), Instant::now());
        loop {
            self.sum = self.sum.wrapping_add(start(case).await);
            self.total += 1;
            if started.elapsed().as_secs_f64() >= seconds {
                return (self.total - before, started.elapsed().as_nanos() as u64, cpu_ns() - cpu_before);
            }
        }
    }
}

pub fn run(arguments: &[String]) {
    let threads: usize = arguments[0].parse().expect("a number");
    let case = arguments[1].clone();
    let (warmup, seconds): (f64, f64) = (arguments[2].parse().expect("a number"), arguments[3].parse().expect("a number"));
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    let runtime = builder.build().expect("a runtime");
    let line = runtime.block_on(async move {
        let driver = tokio::spawn(async move {
            let mut counts = Counts::default();
            counts.run_for(&case, warmup).await;
            let (iterations, ns, cpu) = counts.run_for(&case, seconds).await;
            format!(
                "{{\"iterations\":{},\"ns\":{},\"cpuNs\":{},\"totalIterations\":{},\"sum\":{}}}",
                iterations, ns, cpu, counts.total, counts.sum
            )
        });
        driver.await.expect("the driver")
    });
    println!("{}", line);
}
