//! `messages VARIANT CASE WARMUP_SECONDS SECONDS CORE_CLIENT CORE_SERVER`, as ../../pair.h describes the cases.
//!
//! VARIANT `workers` is one multi-thread runtime with two worker threads: the scheduler may hand a message over on one thread, and does. `runtimes` is two current-thread
//! runtimes on two threads, each pinned to its core, so that every message crosses. `batched` is `workers` with 64 values in a message, for one-way.
//! In rtt-busy both sides poll with try_recv(); elsewhere they await, and Tokio decides when a thread sleeps.
use crate::kernel::{cpu_ns, pin};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{unbounded_channel, UnboundedReceiver, UnboundedSender};

const ROUNDS: u32 = 256;
const ONE_WAY_COUNT: u32 = 2_048;
const SESSION_ROUNDS: u32 = 64;
const BATCH: usize = 64;
const IDLE: Duration = Duration::from_millis(1);

enum Message {
    Value(u32),
    Values(Vec<u32>),
    Flush,
}

#[derive(Clone, Copy, PartialEq)]
enum Variant {
    Workers,
    Runtimes,
    Batched,
}

#[derive(Clone)]
struct Plan {
    variant: Variant,
    case: String,
    cores: [i32; 2],
}

struct Client {
    to_server: UnboundedSender<Message>,
    from_server: UnboundedReceiver<u32>,
    is_busy: bool,
}

/// The next message; None when the other side has gone.
async fn next<T>(receiver: &mut UnboundedReceiver<T>, is_busy: bool) -> Option<T> {
    if !is_busy {
        return receiver.recv().await;
    }
    loop {
        match receiver.try_recv() {
            Ok(value) => return Some(value),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => std::hint::spin_loop(),
        }
    }
}

async fn serve(mut receiver: UnboundedReceiver<Message>, sender: UnboundedSender<u32>, is_one_way: bool, is_busy: bool) {
    let mut sum = 0u32;
    while let Some(message) = next(&mut receiver, is_busy).await {
        let answer = match message {
            Message::Value(value) if is_one_way => {
                sum = sum.wrapping_add(value);
                continue;
            }
            Message::Values(values) => {
                sum = values.iter().fold(sum, |sum, value| sum.wrapping_add(*value));
                continue;
            }
            Message::Value(value) => value + 1,
            Message::Flush => std::mem::take(&mut sum),
        };
        if sender.send(answer).is_err() {
            return;
        }
    }
}

impl Client {
    fn send(&self, message: Message) {
        self.to_server.send(message).ok().expect("a server");
    }

    async fn rounds(&mut self, count: u32) {
        for i in 1..=count {
            self.send(Message::Value(i));
            assert_eq!(next(&mut self.from_server, self.is_busy).await, Some(i + 1));
        }
    }

    async fn one_way(&mut self, is_batched: bool) {
        if is_batched {
            for first in (1..=ONE_WAY_COUNT).step_by(BATCH) {
                self.send(Message::Values((first..first + BATCH as u32).collect()));
            }
        } else {
            (1..=ONE_WAY_COUNT).for_each(|i| self.send(Message::Value(i)));
        }
        self.send(Message::Flush);
        let sum = ONE_WAY_COUNT * (ONE_WAY_COUNT + 1) / 2;
        assert_eq!(next(&mut self.from_server, self.is_busy).await, Some(sum));
    }
}

/// The server's side: a task of the same runtime, or a thread with a runtime of its own.
fn start_server(plan: &Plan) -> (Client, Option<JoinHandle<()>>) {
    let (to_server, receiver) = unbounded_channel();
    let (sender, from_server) = unbounded_channel();
    let is_busy = plan.case == "rtt-busy";
    let server = serve(receiver, sender, plan.case == "one-way", is_busy);
    let client = Client { to_server, from_server, is_busy };
    if plan.variant != Variant::Runtimes {
        tokio::spawn(server);
        return (client, None);
    }
    let core = plan.cores[1];
    let thread = std::thread::spawn(move || {
        pin(core);
        Builder::new_current_thread().build().expect("a runtime").block_on(server);
    });
    (client, Some(thread))
}

fn build(plan: &Plan) -> Runtime {
    if plan.variant == Variant::Runtimes {
        pin(plan.cores[0]);
        return Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime")
}

/// Runs a future as a task of the runtime, so that with two workers the client, too, is on one of them.
fn run_on<T: Send + 'static>(runtime: &Runtime, future: impl std::future::Future<Output = T> + Send + 'static) -> T {
    runtime.block_on(async move { tokio::spawn(future).await.expect("the client") })
}

fn session(plan: &Plan) {
    let runtime = build(plan);
    let plan = plan.clone();
    let thread = run_on(&runtime, async move {
        let (mut client, thread) = start_server(&plan);
        client.rounds(SESSION_ROUNDS).await;
        thread
    });
    if let Some(thread) = thread {
        thread.join().expect("the server");
    }
}

#[derive(Default)]
struct Measured {
    count: u64,
    ns: u128,
    cpu_ns: u64,
    wall_ns: u128,
}

async fn run_for(plan: &Plan, client: &mut Client, seconds: f64) -> Measured {
    let mut measured = Measured::default();
    let cpu_before = cpu_ns();
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < seconds {
        if plan.case == "warm-start" {
            tokio::time::sleep(IDLE).await;
        }
        let started = Instant::now();
        measured.count += match plan.case.as_str() {
            "one-way" => {
                client.one_way(plan.variant == Variant::Batched).await;
                ONE_WAY_COUNT as u64
            }
            "warm-start" => {
                client.rounds(SESSION_ROUNDS).await;
                1
            }
            _ => {
                client.rounds(ROUNDS).await;
                ROUNDS as u64
            }
        };
        measured.ns += started.elapsed().as_nanos();
    }
    measured.wall_ns = begin.elapsed().as_nanos();
    measured.cpu_ns = cpu_ns() - cpu_before;
    measured
}

fn run_cold(plan: &Plan, seconds: f64) -> Measured {
    let mut measured = Measured::default();
    let cpu_before = cpu_ns();
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < seconds {
        session(plan);
        measured.count += 1;
    }
    measured.ns = begin.elapsed().as_nanos();
    measured.wall_ns = measured.ns;
    measured.cpu_ns = cpu_ns() - cpu_before;
    measured
}

pub fn run(arguments: &[String]) {
    let variant = match arguments[0].as_str() {
        "workers" => Variant::Workers,
        "runtimes" => Variant::Runtimes,
        "batched" => Variant::Batched,
        other => panic!("no variant {}", other),
    };
    let number = |index: usize| arguments[index].parse::<f64>().expect("a number");
    let plan = Plan { variant, case: arguments[1].clone(), cores: [number(4) as i32, number(5) as i32] };
    let (warmup, seconds) = (number(2), number(3));
    let measured = if plan.case == "cold-start" {
        run_cold(&plan, warmup);
        run_cold(&plan, seconds)
    } else {
        let runtime = build(&plan);
        let plan = plan.clone();
        let (measured, thread) = run_on(&runtime, async move {
            let (mut client, thread) = start_server(&plan);
            run_for(&plan, &mut client, warmup).await;
            (run_for(&plan, &mut client, seconds).await, thread)
        });
        if let Some(thread) = thread {
            thread.join().expect("the server");
        }
        measured
    };
    println!(
        "{{\"count\":{},\"ns\":{},\"cpuNs\":{},\"wallNs\":{}}}",
        measured.count, measured.ns, measured.cpu_ns, measured.wall_ns
    );
}
