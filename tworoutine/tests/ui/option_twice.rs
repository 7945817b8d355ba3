use tworoutine::tworoutine;

#[tworoutine(Send, Send)]
async fn f() {}

#[tworoutine(dyn, dyn)]
async fn g() {}

fn main() {}
