use tworoutine::tworoutine;

#[tworoutine]
async fn f() -> ! {
    loop {}
}

fn main() {}
