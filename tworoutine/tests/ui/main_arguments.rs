#[tworoutine::main]
async fn main(x: u32) {}
