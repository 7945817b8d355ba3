#[tworoutine::test]
async fn arguments(x: u32) {}

#[tworoutine::test]
async fn generic<T>() {}

#[tworoutine::test]
fn not_async() {}

fn main() {}
