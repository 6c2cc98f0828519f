internal import Glibc

/// Replaces this process image, handing on the very arguments it was called with, byte for byte; `path` becomes the name.
/// Returns only by throwing.
package func executeWithOwnArguments(_ path: String) throws(SyscallError) -> Never {
  var arguments = unsafe ownArguments(named: path)
  _ = unsafe execv(path, &arguments)
  throw SyscallError("execute", errno: errno, subject: path)
}

/// Runs a program with this process's own arguments, descriptors 0 to 2 and environment. Returns its exit status, or 128 + the signal
/// that ended it.
package func runWithOwnArguments(_ path: String) throws(SyscallError) -> CInt {
  expectChildren()
  var arguments = unsafe ownArguments(named: path)
  var child: pid_t = 0
  let code = unsafe posix_spawn(&child, path, nil, nil, &arguments, environ)
  guard code == 0 else { throw SyscallError("execute", errno: code, subject: path) }
  return try exitStatus(of: child)
}

/// What a program writes to its standard output, at most `limit` bytes, and its exit status. Its standard error is thrown away.
package func capture(_ path: String, _ words: [String], limit: Int) throws(SyscallError) -> (output: [UInt8], status: CInt) {
  expectChildren()
  let pipe = try Pipe()
  var actions = unsafe posix_spawn_file_actions_t()
  unsafe posix_spawn_file_actions_init(&actions)
  defer { unsafe posix_spawn_file_actions_destroy(&actions) }
  unsafe posix_spawn_file_actions_adddup2(&actions, pipe.writing.raw, STDOUT_FILENO)
  unsafe posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
  // SAFETY: every string is duplicated and freed after the spawn, which copies them; the array ends with nil.
  var arguments: [UnsafeMutablePointer<CChar>?] = unsafe ([path] + words).map { unsafe strdup($0) } + [nil]
  var child: pid_t = 0
  let code = unsafe posix_spawn(&child, path, &actions, nil, &arguments, environ)
  unsafe arguments.forEach { argument in unsafe free(argument) }
  guard code == 0 else { throw SyscallError("execute", errno: code, subject: path) }
  let reading = pipe.keepReading()
  let output = try readAll(reading, limit: limit, subject: path)
  return (output, try exitStatus(of: child))
}

/// Ends this process.
package func leave(_ status: CInt) -> Never { exit(status) }

/// The arguments of this process with another name in front. The strings are the process's own and live as long as it does.
private func ownArguments(named path: String) -> [UnsafeMutablePointer<CChar>?] {
  // SAFETY: argv has argc entries and is never changed here; the name is never freed: an exec or the process's end takes it along.
  var arguments: [UnsafeMutablePointer<CChar>?] = unsafe [strdup(path)]
  for index in 1..<max(1, Int(CommandLine.argc)) { unsafe arguments.append(CommandLine.unsafeArgv[index]) }
  unsafe arguments.append(nil)
  return unsafe arguments
}

private func exitStatus(of child: pid_t) throws(SyscallError) -> CInt {
  var status: CInt = 0
  _ = try retrying("wait for a process") { unsafe Int(waitpid(child, &status, 0)) }
  // WIFEXITED and WEXITSTATUS of sys/wait.h, which Swift cannot import.
  return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
}
