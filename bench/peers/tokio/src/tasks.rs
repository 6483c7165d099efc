//! `tasks EXECUTORS WIDTH STEPS HOT_STEPS WARMUP_SECONDS SECONDS`: batches of tasks as pools/main.js describes them. The submitter is a task of the runtime
//! itself, as a handler of a server would be, so it takes its turn on one of the EXECUTORS threads.
use crate::kernel::{burn, cpu_ns, step_ns};
use std::time::Instant;

struct Batches {
    width: u32,
    steps: u32,
    hot_steps: u32,
    count: u64,
    sum: u32,
}

impl Batches {
    async fn run_one(&mut self) {
        let hot = if self.hot_steps > 0 { (self.count % self.width as u64) as u32 } else { u32::MAX };
        self.count += 1;
        let steps = self.steps;
        if self.width == 1 {
            let result = tokio::spawn(async move { burn(1, steps) }).await;
            self.sum = self.sum.wrapping_add(result.expect("a task"));
            return;
        }
        let mut handles = Vec::with_capacity(self.width as usize);
        for b in 0..self.width {
            let steps = if b == hot { self.hot_steps } else { self.steps };
            handles.push(tokio::spawn(async move { burn((b & 15) + 1, steps) }));
        }
        for handle in handles {
            self.sum = self.sum.wrapping_add(handle.await.expect("a task"));
        }
    }

    /// Returns batches, nanoseconds and CPU nanoseconds.
    async fn run_for(&mut self, seconds: f64) -> (u64, u64, u64) {
        let chunk = (256 / self.width).max(1);
        let before = self.count;
        let cpu_before = cpu_ns();
        let started = Instant::now();
        while started.elapsed().as_secs_f64() < seconds {
            for _ in 0..chunk {
                self.run_one().await;
            }
        }
        (self.count - before, started.elapsed().as_nanos() as u64, cpu_ns() - cpu_before)
    }
}

pub fn run(arguments: &[String]) {
    let number = |index: usize| arguments[index].parse::<f64>().expect("a number");
    let (executors, width, steps) = (number(0) as usize, number(1) as u32, number(2) as u32);
    let (hot_steps, warmup, seconds) = (number(3) as u32, number(4), number(5));
    let kernel_ns = step_ns();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(executors).build().expect("a runtime");
    let line = runtime.block_on(async move {
        let driver = tokio::spawn(async move {
            let mut batches = Batches { width, steps, hot_steps, count: 0, sum: 0 };
            batches.run_for(warmup).await;
            let (count, ns, cpu) = batches.run_for(seconds).await;
            format!(
                "{{\"batches\":{},\"ns\":{},\"cpuNs\":{},\"totalBatches\":{},\"sum\":{},\"kernelNs\":{}}}",
                count, ns, cpu, batches.count, batches.sum, kernel_ns
            )
        });
        driver.await.expect("the driver")
    });
    println!("{}", line);
}
