internal import CLinux
internal import Glibc

/// A C string vector with a nil at its end, freed with its owner.
@safe struct CStringVector: ~Copyable {
  private var pointers: [UnsafeMutablePointer<CChar>?]

  init(_ strings: [String]) {
    unsafe pointers = strings.map { unsafe strdup($0) }
    unsafe pointers.append(nil)
  }

  deinit { for index in unsafe pointers.indices { unsafe free(pointers[index]) } }

  /// SAFETY: the vector and its strings live for the call and are not changed by it.
  func withPointer<Result>(_ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result) -> Result {
    unsafe pointers.withUnsafeBufferPointer { unsafe body($0.baseAddress!) }
  }
}

/// Starts `path` in a session of its own, with exactly `descriptors` as its descriptors 3, 4, … and /dev/null as
/// the standard ones. Nothing else is inherited: an engine waits for the ends of its pipes.
package func spawn(
  _ path: String, _ arguments: [String], descriptors: [CInt], environment: [String] = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
) throws(SyscallError) -> CInt {
  var actions = unsafe posix_spawn_file_actions_t()
  unsafe posix_spawn_file_actions_init(&actions)
  defer { unsafe posix_spawn_file_actions_destroy(&actions) }
  var attributes = posix_spawnattr_t()
  unsafe posix_spawnattr_init(&attributes)
  defer { unsafe posix_spawnattr_destroy(&attributes) }

  // The child's numbers may collide with ours, so each is first moved above every target.
  let floor = CInt(64)
  var moved: [CInt] = []
  defer { for number in moved { _ = close(number) } }
  for raw in descriptors {
    moved.append(CInt(try retrying("duplicate") { Int(fcntl(raw, F_DUPFD_CLOEXEC, floor)) }))
  }
  unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
  unsafe posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
  unsafe posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
  for (index, raw) in moved.enumerated() { unsafe posix_spawn_file_actions_adddup2(&actions, raw, CInt(3 + index)) }
  unsafe posix_spawn_file_actions_addclosefrom_np(&actions, CInt(3 + moved.count))
  var nothing = sigset_t()
  unsafe sigemptyset(&nothing)
  unsafe posix_spawnattr_setsigmask(&attributes, &nothing)
  unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK))

  var pid: pid_t = 0
  let argv = CStringVector([path] + arguments)
  let envp = CStringVector(environment)
  // SAFETY: the vectors outlive the call; posix_spawn copies what it needs.
  let code = unsafe argv.withPointer { arguments in
    unsafe envp.withPointer { environment in
      unsafe posix_spawn(&pid, path, &actions, &attributes, arguments, environment)
    }
  }
  guard code == 0 else { throw SyscallError("start", errno: code, subject: path) }
  return pid
}

package enum ForkSide: Equatable, Sendable {
  case parent(child: CInt)
  case child
}

/// fork(2). The caller has one thread.
package func forkProcess() throws(SyscallError) -> ForkSide {
  let result = try check("fork", clinux_clone(0))
  return result == 0 ? .child : .parent(child: CInt(result))
}

/// Ends this process without running anything more.
package func exitNow(_ status: CInt) -> Never { _exit(status) }

/// A pipe, close-on-exec.
package struct Pipe: ~Copyable {
  package var reading: OwnedFD
  package var writing: OwnedFD

  package init() throws(SyscallError) {
    var ends: [CInt] = [-1, -1]
    _ = try retrying("make a pipe") { unsafe Int(pipe2(&ends, O_CLOEXEC)) }
    reading = OwnedFD(owning: ends[0])
    writing = OwnedFD(owning: ends[1])
  }

  /// Closes the writing end here: the pipe ends when the last copy of it does.
  package consuming func keepReading() -> OwnedFD { reading }
}
