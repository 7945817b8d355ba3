#[tworoutine::main]
async fn start() {}

fn main() {}
