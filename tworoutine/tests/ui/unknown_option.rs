use tworoutine::tworoutine;

#[tworoutine(Sync)]
async fn f() {}

#[tworoutine("Send")]
async fn g() {}

fn main() {}
