//! `net VARIANT …`, and then what ../../net/shapes.js says. VARIANT `workers` is a runtime with two worker threads, `current` one on a single thread. A task for each connection.
use crate::kernel::{burn, cpu_ns};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{unbounded_channel, UnboundedSender};
use tokio::task::JoinHandle;

#[derive(Clone)]
struct Plan {
    connections: usize,
    steps: usize,
    hot: usize,
    cold: usize,
    rotates: bool,
    window: usize,
    hot_work: u32,
    cold_work: u32,
    dispatches: u32,
}

struct Stream {
    index: usize,
    socket: TcpStream,
    frame: Vec<u8>,
    back: Vec<u8>,
    count: u32,
    sum: u32,
}

impl Stream {
    async fn run(&mut self, plan: &Plan, owners: &[UnboundedSender<u32>]) {
        for step in 0..plan.steps {
            let hot_index = if plan.rotates { step % plan.connections } else { 0 };
            let is_hot = hot_index == self.index;
            let (mut left, work) = if is_hot { (plan.hot, plan.hot_work) } else { (plan.cold, plan.cold_work) };
            while left > 0 {
                let batch = left.min(plan.window);
                for _ in 0..batch {
                    self.socket.write_all(&self.frame).await.expect("a write");
                }
                for _ in 0..batch {
                    self.socket.read_exact(&mut self.back).await.expect("a read");
                    assert!(self.back[0] == 0x5a && self.back[self.back.len() - 1] == 0x5a, "the echo is not what was sent");
                    self.count += 1;
                    if work > 0 {
                        self.sum = self.sum.wrapping_add(burn(self.count, work));
                    }
                    for _ in 0..plan.dispatches {
                        owners[step % 2].send(1).expect("an owner");
                    }
                }
                left -= batch;
            }
        }
    }
}

struct Measured {
    count: u64,
    ns: u128,
    cpu_ns: u64,
    sum: u32,
}

/// Two owners, each a task that adds up what comes until all senders are gone; none where nothing is sent.
fn open_owners(dispatches: u32) -> (Vec<UnboundedSender<u32>>, Vec<JoinHandle<u64>>) {
    let count = if dispatches > 0 { 2 } else { 0 };
    (0..count)
        .map(|_| {
            let (sender, mut receiver) = unbounded_channel::<u32>();
            let owner = tokio::spawn(async move {
                let mut sum = 0u64;
                while let Some(value) = receiver.recv().await {
                    sum += value as u64;
                }
                sum
            });
            (sender, owner)
        })
        .unzip()
}

async fn run_for(mut streams: Vec<Stream>, plan: &Arc<Plan>, seconds: f64) -> (Vec<Stream>, Measured) {
    for stream in &mut streams {
        stream.count = 0;
        stream.sum = 0;
    }
    let cpu_before = cpu_ns();
    let started = Instant::now();
    let mut frames_before = 0;
    loop {
        let (owners, sums) = open_owners(plan.dispatches);
        let tasks: Vec<_> = streams
            .drain(..)
            .map(|mut stream| {
                let (plan, owners) = (plan.clone(), owners.clone());
                tokio::spawn(async move {
                    stream.run(&plan, &owners).await;
                    stream
                })
            })
            .collect();
        drop(owners);
        for task in tasks {
            streams.push(task.await.expect("a task"));
        }
        let mut dispatched = 0;
        for sum in sums {
            dispatched += sum.await.expect("an owner");
        }
        let frames: u64 = streams.iter().map(|stream| stream.count as u64).sum();
        assert_eq!(dispatched, (frames - frames_before) * plan.dispatches as u64, "the owners have not got what was sent");
        frames_before = frames;
        if started.elapsed().as_secs_f64() >= seconds {
            break;
        }
    }
    let ns = started.elapsed().as_nanos();
    let count = streams.iter().map(|stream| stream.count as u64).sum();
    let sum = streams.iter().fold(0u32, |sum, stream| sum.wrapping_add(stream.sum));
    (streams, Measured { count, ns, cpu_ns: cpu_ns() - cpu_before, sum })
}

fn build(variant: &str) -> Runtime {
    match variant {
        "workers" => Builder::new_multi_thread().worker_threads(2).enable_all().build(),
        "current" => Builder::new_current_thread().enable_all().build(),
        other => panic!("no variant {}", other),
    }
    .expect("a runtime")
}

/// Makes and accepts connections: the server closes, then the client.
async fn visit_for(port: u16, concurrency: usize, total: usize, seconds: f64) -> Measured {
    let cpu_before = cpu_ns();
    let started = Instant::now();
    let mut count = 0;
    loop {
        let left = Arc::new(AtomicI64::new(total as i64));
        let visitors: Vec<_> = (0..concurrency)
            .map(|_| {
                let left = left.clone();
                tokio::spawn(async move {
                    while left.fetch_sub(1, Ordering::Relaxed) > 0 {
                        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
                        assert_eq!(socket.read(&mut [0; 16]).await.expect("the end"), 0);
                    }
                })
            })
            .collect();
        for visitor in visitors {
            visitor.await.expect("a visitor");
        }
        count += total as u64;
        if started.elapsed().as_secs_f64() >= seconds {
            break;
        }
    }
    Measured { count, ns: started.elapsed().as_nanos(), cpu_ns: cpu_ns() - cpu_before, sum: 0 }
}

async fn visits(concurrency: usize, total: usize, warmup: f64, seconds: f64) -> Measured {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        loop {
            drop(listener.accept().await.expect("a connection"));
        }
    });
    visit_for(port, concurrency, total, warmup).await;
    visit_for(port, concurrency, total, seconds).await
}

pub fn run(arguments: &[String]) {
    let number = |index: usize| arguments[index + 1].parse::<f64>().expect("a number");
    let integer = |index: usize| number(index) as usize;
    let plan = Arc::new(Plan {
        connections: integer(2),
        steps: integer(3),
        hot: integer(4),
        cold: integer(5),
        rotates: integer(6) == 1,
        window: integer(7),
        hot_work: integer(8) as u32,
        cold_work: integer(9) as u32,
        dispatches: arguments.get(13).map_or(0, |text| text.parse().expect("a number")),
    });
    let (port, frame_bytes, warmup, seconds) = (integer(0) as u16, integer(1), number(10), number(11));
    let measured = build(&arguments[0]).block_on(async move {
        let client = tokio::spawn(async move {
            if frame_bytes == 0 {
                return visits(plan.connections, plan.hot, warmup, seconds).await;
            }
            let mut streams = Vec::new();
            for index in 0..plan.connections {
                let socket = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
                socket.set_nodelay(true).expect("no delay");
                let (frame, back) = (vec![0x5a; frame_bytes], vec![0; frame_bytes]);
                streams.push(Stream { index, socket, frame, back, count: 0, sum: 0 });
            }
            let (streams, _) = run_for(streams, &plan, warmup).await;
            run_for(streams, &plan, seconds).await.1
        });
        client.await.expect("the client")
    });
    println!(
        "{{\"count\":{},\"ns\":{},\"cpuNs\":{},\"sum\":{}}}",
        measured.count, measured.ns, measured.cpu_ns, measured.sum
    );
}
