#[tworoutine::main]
async fn main<T>() {}
