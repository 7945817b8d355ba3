use tworoutine::tworoutine;

#[tworoutine(dyn)]
async fn f() -> impl Iterator<Item = u32> {
    0..3
}

fn main() {}
