import Foundation
import Glibc
import Testing

/// How a command ended, and what it wrote.
struct Outcome: Equatable, CustomStringConvertible {
  var output: String
  var errors: String
  /// As a shell says it: the exit status, or 128 + the signal.
  var status: Int32
  /// It did not end in time and was killed, its process group with it.
  var late = false

  var description: String {
    "status \(status)\(late ? ", too late" : "")\n--- output\n\(output)\n--- errors\n\(errors)\n---"
  }

  /// What a program's user sees. What engines and runtimes write to standard error beside it is not compared.
  var visible: [String] { [output, "status \(status)"] }
}

/// A command that has been started, in a process group of its own. It lives at most as long as its owner.
///
/// Foundation's Process will not do here: it takes a program to be running while any descendant lives (an engine's monitor does), and
/// starts it with the signal mask of the test's thread, which blocks most signals.
final class Running {
  private let files: Folder
  private var input: CInt
  private let command: [String]
  let id: pid_t
  private var status: Int32?

  init(_ command: [String], in folder: Folder? = nil) throws {
    files = try Folder()
    self.command = command
    var pipe: [CInt] = [0, 0]
    guard unsafe Glibc.pipe(&pipe) == 0 else { throw Unexpected("pipe: errno \(errno)") }
    defer { close(pipe[0]) }
    input = pipe[1]
    for end in pipe { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }

    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_adddup2(&actions, pipe[0], 0)
    unsafe posix_spawn_file_actions_addopen(&actions, 1, files.file("output"), O_WRONLY | O_CREAT | O_APPEND, 0o600)
    unsafe posix_spawn_file_actions_addopen(&actions, 2, files.file("errors"), O_WRONLY | O_CREAT | O_APPEND, 0o600)

    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    var all = sigset_t()
    unsafe sigemptyset(&none)
    unsafe sigfillset(&all)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    unsafe posix_spawnattr_setsigdefault(&attributes, &all)
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))

    let words = (folder.map { ["env", "--chdir", $0.path, "--"] } ?? []) + command
    var arguments: [UnsafeMutablePointer<CChar>?] = unsafe words.map { unsafe strdup($0) } + [nil]
    defer { for index in words.indices { unsafe free(arguments[index]) } }
    var child: pid_t = 0
    let failure = unsafe posix_spawnp(&child, words[0], &actions, &attributes, &arguments, environ)
    guard failure == 0 else { throw Unexpected("cannot start \(command): errno \(failure)") }
    id = child
  }

  deinit {
    if isRunning {
      kill(-id, SIGKILL)
      waitpid(id, nil, 0)
    }
    closeInput()
  }

  var output: String { files.text("output") }
  var errors: String { files.text("errors") }

  private var isRunning: Bool {
    guard status == nil else { return false }
    var word: CInt = 0
    guard unsafe waitpid(id, &word, WNOHANG) == id else { return true }
    let signal = word & 0x7f
    status = signal == 0 ? word >> 8 & 0xff : 128 + signal
    return false
  }

  func signal(_ number: Int32) { kill(id, number) }

  /// A reader that has gone is no error here: how it ended says more.
  func send(_ text: String) {
    Glibc.signal(SIGPIPE, SIG_IGN)
    let bytes = Array(text.utf8)
    _ = unsafe write(input, bytes, bytes.count)
  }

  func closeInput() {
    if input >= 0 { close(input) }
    input = -1
  }

  /// Waits until the output holds `text`.
  func awaitOutput(_ text: String, within seconds: Double = 20) throws {
    _ = eventually(within: seconds) { output.contains(text) || !isRunning }
    guard output.contains(text) else { throw Unexpected("no '\(text)' in the output of \(command)\n\(output)\n\(errors)") }
  }

  /// Waits for the end, and kills the whole process group where it does not come.
  func end(within seconds: Double = 60, keepingInput: Bool = false) -> Outcome {
    if !keepingInput { closeInput() }
    let late = !eventually(within: seconds) { !isRunning }
    if late {
      kill(-id, SIGKILL)
      _ = eventually(within: 5) { !isRunning }
    }
    return Outcome(output: output, errors: errors, status: status ?? -1, late: late)
  }
}

struct Unexpected: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// Runs a command to its end.
func run(
  _ command: [String], input: String = "", in folder: Folder? = nil, within seconds: Double = 60
) throws -> Outcome {
  let running = try Running(command, in: folder)
  running.send(input)
  return running.end(within: seconds)
}

/// Asks every few milliseconds, for at most `seconds`.
func eventually(within seconds: Double = 20, _ condition: () throws -> Bool) rethrows -> Bool {
  let deadline = Date(timeIntervalSinceNow: seconds)
  while try !condition() {
    if Date() > deadline { return false }
    usleep(5000)
  }
  return true
}

/// A folder that is removed with its owner. Its path is short: some of what goes into it ends in socket addresses and records.
final class Folder {
  let path: String

  init() throws {
    path = "/tmp/callgate-" + String(UInt32.random(in: .min ... .max), radix: 36)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { path + "/" + name }
  func text(_ name: String) -> String { String(decoding: FileManager.default.contents(atPath: file(name)) ?? Data(), as: UTF8.self) }
  func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: file(name)) }

  func write(_ text: String, to name: String) throws { try text.write(toFile: file(name), atomically: false, encoding: .utf8) }
}
