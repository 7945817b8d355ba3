use tworoutine::tworoutine;

#[tworoutine(Send)]
async fn f() {
    let held = std::rc::Rc::new(1);
    std::future::ready(()).await;
    drop(held);
}

fn main() {}
