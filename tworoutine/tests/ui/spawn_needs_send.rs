fn main() {
    let shared = std::rc::Rc::new(1);
    let _ = tworoutine::spawn(async move { *shared });
}
