#[tworoutine::test(paused = true)]
async fn f() {}

#[tworoutine::test(start_paused = 1)]
async fn g() {}

#[tworoutine::test(start_paused = true, more)]
async fn h() {}

#[tworoutine::test("paused")]
async fn i() {}

fn main() {}
