//! The Tokio subjects of the suites `tasks`, `messages` and `sync`: `ringloom-bench-tokio tasks …` and so on.
mod kernel;
mod messages;
mod sync;
mod tasks;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("tasks") => tasks::run(&arguments[1..]),
        Some("messages") => messages::run(&arguments[1..]),
        Some("sync") => sync::run(&arguments[1..]),
        _ => {
            eprintln!("usage: ringloom-bench-tokio tasks|messages|sync …");
            std::process::exit(2);
        }
    }
}
