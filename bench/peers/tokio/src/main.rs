//! The Tokio subjects of the suites: `ringloom-bench-tokio files …`, `ringloom-bench-tokio tasks …`, `ringloom-bench-tokio messages …`, `ringloom-bench-tokio timers …`, `ringloom-bench-tokio net …`, `ringloom-bench-tokio sync …`.
mod files;
mod kernel;
mod messages;
mod net;
mod sync;
mod tasks;
mod timers;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("files") => files::run(&arguments[1..]),
        Some("tasks") => tasks::run(&arguments[1..]),
        Some("messages") => messages::run(&arguments[1..]),
        Some("timers") => timers::run(&arguments[1..]),
        Some("net") => net::run(&arguments[1..]),
        Some("sync") => sync::run(&arguments[1..]),
        _ => {
            eprintln!("usage: ringloom-bench-tokio files|tasks|messages|timers|net|sync …");
            std::process::exit(2);
        }
    }
}
