use tworoutine::tworoutine;

#[tworoutine]
async fn f() -> u32 {
    1
}

fn main() {
    let _: u32 = f();
}
