//! The Tokio subjects of the suites `fs`, `tasks` and `messages`: `ringloom-bench-tokio files …`, `… tasks …` and `… messages …`.
mod files;
mod kernel;
mod messages;
mod tasks;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("files") => files::run(&arguments[1..]),
        Some("tasks") => tasks::run(&arguments[1..]),
        Some("messages") => messages::run(&arguments[1..]),
        _ => {
            eprintln!("usage: ringloom-bench-tokio files|tasks|messages …");
            std::process::exit(2);
        }
    }
}
