#[tworoutine::main]
fn main() {}
