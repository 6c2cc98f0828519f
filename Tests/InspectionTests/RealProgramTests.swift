import Foundation
import Inspection
import Testing
import Wire

private let getppid: Int32 = 110
private let execve: Int32 = 59
private let setuid: Int32 = 105
private let clones: [Int32] = [56, 58, 435]

@Suite(.serialized) struct RealProgramTests {
  static let clean = [
    "direct", "inline", "qsort", "deep", "vla", "noreturn", "cold", "signal", "signals-nested", "signal-busy", "altstack-heap",
    "altstack-static", "altstack-mmap", "altstack-local", "thread", "thread-small", "thread-own-stack", "thread-signal", "thread-fork",
    "thread-system", "thread-key", "setuid", "once", "atexit", "constructor", "system", "popen", "posix_spawn", "vfork", "fork",
    "longjmp", "ifunc", "dlopen", "coroutine", "coroutine-static", "clone-own-stack", "clone-static-stack", "clone-vm",
  ]

  @Test(arguments: Workshop.flavours.keys.sorted())
  func `no way to make a syscall is objected to`(flavour: String) throws {
    let images = LiveProcess.Images()
    for name in RealProgramTests.clean {
      if flavour.hasPrefix("musl"), name.hasPrefix("coroutine") { continue }  // musl has none
      let command = [try Workshop.made.get().path("cases-\(flavour)"), name]
      var seen = 0
      try stops(at: [getppid, execve, setuid] + clones, of: command, images: images) { snapshot, finding in
        seen += 1
        if !finding.isClean { Issue.record("\(flavour) \(name), syscall \(snapshot.number):\n\(shown(finding))") }
      }
      #expect(seen > 1 || ["ifunc", "dlopen", "constructor"].contains(name), "\(flavour) \(name) made \(seen) stops")
    }
  }

  @Test(arguments: [
    ["bash", "-c", "for i in 1 2 3; do echo $(ls / | head -2 | tr a b) > /dev/null; done; exec true"],
    [
      "python3", "-c",
      "import json, ctypes, subprocess, threading, ssl; subprocess.run(['true']); subprocess.check_output('exit 0', shell=True)",
    ],
    ["perl", "-e", "use POSIX; print `ls /`; sub f { my $n = shift; $n ? f($n - 1) : system('true') } f(40)"],
    ["git", "--no-pager", "help", "-a"],
    ["sh", "-c", "ls -l / | sort | awk '{print $1}' | sed s/a/b/ | xargs echo"],
    ["find", "/etc/alternatives", "-newer", "/etc/passwd"], ["tar", "czf", "/dev/null", "/etc/alternatives"],
    ["make", "--version"], ["gdb", "-batch", "-ex", "p 1"], ["openssl", "speed", "-seconds", "1", "-bytes", "64", "sha256"],
    ["curl", "-s", "file:///etc/passwd"], ["/lib64/ld-linux-x86-64.so.2", "/bin/true"],
    [
      "busybox", "sh", "-c",
      "for i in 1 2 3; do ls -l / | awk '{print $1}' | sort | uniq -c | sed s/a/b/; done; (cd /tmp; echo $(pwd)); tar cf /dev/null /etc/alternatives; find /etc/alternatives | head -3 | xargs echo; vi --help; expr 3 + 4",
    ],
    [
      "busybox", "awk",
      "function f(n) { return n ? f(n - 1) + 1 : system(\"true\") } BEGIN { print f(30); while (\"ls /\" | getline x) n++; print n }",
    ],
    ["gcc", "-O2", "-x", "c", "/dev/null", "-c", "-o", "/dev/null"], ["swift", "--version"], ["strace", "-V"], ["cargo", "--version"],
  ])
  func `no program of the machine is objected to`(command: [String]) throws {
    var seen = 0
    var flagged = 0
    // read, write, close, mmap, mprotect, munmap, brk, clone, fork, vfork, execve, exit_group, openat, clone3, newfstatat, futex, exit, wait4
    try stops(at: [0, 1, 3, 9, 10, 11, 12, 56, 57, 58, 59, 231, 257, 435, 262, 202, 60, 61], of: command, limit: 400) { snapshot, finding in
      seen += 1
      guard !finding.isClean else { return }
      flagged += 1
      if flagged < 4 { Issue.record("\(command), stop \(seen), syscall \(snapshot.number):\n\(shown(finding))") }
    }
    #expect(flagged == 0, "\(flagged) of \(seen)")
    if seen < 10 { try Test.cancel("\(command[0]) is not installed") }
  }
}
