pub fn run(_arguments: &[String]) {}
