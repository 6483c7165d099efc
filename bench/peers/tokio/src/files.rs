//! `files WORKERS CASE WARMUP_SECONDS SECONDS PATH`, as ../../files/main.js describes the cases: each read is a `spawn_blocking` with a pread in it, awaited by a task of the runtime.
use crate::kernel::cpu_ns;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::spawn_blocking;

const BLOCK: usize = 4_096;
const BLOCKS: usize = 4_096;
const SEQUENCE: usize = 256;
const WIDTH: usize = 32;
const FILL: u8 = 0xa5;

/// Reads `width` blocks from `first` on, all at once. The buffers go to the pool and come back.
async fn read_blocks(file: &Arc<File>, buffers: &mut Vec<Vec<u8>>, first: usize, width: usize) {
    let mut handles = Vec::with_capacity(width);
    for index in 0..width {
        let file = file.clone();
        let mut buffer = std::mem::take(&mut buffers[index]);
        handles.push(spawn_blocking(move || {
            let count = file.read_at(&mut buffer, ((first + index) * BLOCK) as u64).expect("a read");
            assert_eq!(count, BLOCK);
            buffer
        }));
    }
    for (index, handle) in handles.into_iter().enumerate() {
        buffers[index] = handle.await.expect("a read");
    }
}

async fn run_for(file: &Arc<File>, is_batched: bool, seconds: f64) -> String {
    let width = if is_batched { WIDTH } else { 1 };
    let reads = if is_batched { BLOCKS } else { SEQUENCE };
    let mut buffers = vec![vec![0u8; BLOCK]; width];
    let (mut count, mut ns) = (0u64, 0u128);
    let cpu_before = cpu_ns();
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < seconds {
        buffers.iter_mut().for_each(|buffer| buffer.fill(0));
        let started = Instant::now();
        for first in (0..reads).step_by(width) {
            read_blocks(file, &mut buffers, first, width).await;
        }
        ns += started.elapsed().as_nanos();
        count += reads as u64;
        assert!(buffers.iter().all(|buffer| buffer.iter().all(|byte| *byte == FILL)));
    }
    let wall = begin.elapsed().as_nanos();
    format!("{{\"count\":{},\"ns\":{},\"cpuNs\":{},\"wallNs\":{}}}", count, ns, cpu_ns() - cpu_before, wall)
}

pub fn run(arguments: &[String]) {
    let workers: usize = arguments[0].parse().expect("a number of workers");
    let is_batched = arguments[1] == "fs_read_throughput_4k_qd32";
    let seconds: Vec<f64> = arguments[2..4].iter().map(|text| text.parse().expect("seconds")).collect();
    let file = Arc::new(File::open(&arguments[4]).expect("the file"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).build().expect("a runtime");
    let line = runtime.block_on(async move {
        let reader = tokio::spawn(async move {
            run_for(&file, is_batched, seconds[0]).await;
            run_for(&file, is_batched, seconds[1]).await
        });
        reader.await.expect("the reader")
    });
    println!("{}", line);
}
