// Panics that unwind through frames and are caught, destructors that make system calls, threads, processes, sockets.
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::panic;
use std::process::Command;
use std::sync::{mpsc, Arc, Condvar, Mutex};
use std::{env, fs, thread};

extern "C" {
    fn getppid() -> i32;
    fn setfsuid(id: u32) -> i32;
    fn qsort(base: *mut i32, count: usize, size: usize, compare: extern "C" fn(*const i32, *const i32) -> i32);
}

#[inline(never)]
fn probe() {
    unsafe {
        setfsuid(u32::MAX);
        assert!(getppid() >= 0);
    }
    assert!(fs::metadata("/").is_ok());
}

struct Guard(#[allow(dead_code)] u32);
impl Drop for Guard {
    fn drop(&mut self) {
        probe();
    }
}

#[inline(never)]
fn deep(levels: u32) -> u32 {
    let _guard = Guard(levels);
    if levels == 0 {
        probe();
        panic!("from far down");
    }
    deep(levels - 1) + 1
}

extern "C" fn compare(a: *const i32, b: *const i32) -> i32 {
    probe();
    unsafe { *a - *b }
}

fn echo(rounds: usize) -> usize {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        for stream in listener.incoming().take(rounds) {
            let mut stream = stream.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            stream.write_all(text.to_uppercase().as_bytes()).unwrap();
        }
    });
    let mut total = 0;
    for _ in 0..rounds {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"hello").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        total += text.len();
    }
    server.join().unwrap();
    total
}

fn main() {
    panic::set_hook(Box::new(|_| probe()));
    if cfg!(panic = "unwind") {
        let caught = (0..20).filter(|n| panic::catch_unwind(|| deep(*n)).is_err()).count();
        println!("{caught} caught");
        println!("{}", thread::spawn(|| deep(5)).join().is_err());
    }
    let pair = Arc::new((Mutex::new(0), Condvar::new()));
    let (sender, receiver) = mpsc::channel();
    let workers: Vec<_> = (0..4)
        .map(|n| {
            let (pair, sender) = (pair.clone(), sender.clone());
            thread::spawn(move || {
                let mut turn = pair.0.lock().unwrap();
                while *turn != n {
                    turn = pair.1.wait(turn).unwrap();
                }
                probe();
                *turn += 1;
                pair.1.notify_all();
                sender.send(n).unwrap();
            })
        })
        .collect();
    drop(sender);
    println!("{:?}", receiver.iter().collect::<Vec<_>>());
    for worker in workers {
        worker.join().unwrap();
    }
    let mut numbers = [4, 2, 9, 1];
    unsafe { qsort(numbers.as_mut_ptr(), numbers.len(), 4, compare) };
    println!("{numbers:?}");
    let output = Command::new("echo").arg("from a child").output().unwrap();
    print!("{}", String::from_utf8(output.stdout).unwrap());
    println!("{}", echo(20));
    let folder = env::current_dir().unwrap().join("r");
    fs::create_dir(&folder).unwrap();
    for n in 0..50 {
        fs::write(folder.join(n.to_string()), vec![b'x'; n]).unwrap();
    }
    let bytes: u64 = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    fs::remove_dir_all(&folder).unwrap();
    println!("{bytes}");
}
