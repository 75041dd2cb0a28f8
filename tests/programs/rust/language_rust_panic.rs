//! A panic that nobody catches ends a Rust program with status 101.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        println!("unwound");
    }
}

fn main() {
    // The default message names the thread's number, which is not a fact.
    std::panic::set_hook(Box::new(|info| eprintln!("panic: {}", info.payload_as_str().unwrap_or("?"))));
    let _guard = Guard;
    println!("before");
    let none: Option<u32> = std::env::args().nth(1000).map(|_| 1);
    none.expect("the panic of this test");
}
