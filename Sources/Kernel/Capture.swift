internal import Glibc

/// Runs a command to its end and returns what it wrote to its standard output, of which `limit` bytes are taken at most (EFBIG). Standard input
/// and standard error are this process's own.
package func output(of command: [String], limit: Int) throws(SyscallError) -> (bytes: [UInt8], ending: Ending) {
  let pipe = try Pipe()
  let writing = pipe.writing.raw
  let child = try Child.start(command) { () throws(SyscallError) in
    _ = try retrying("duplicate") { Int(dup2(writing, STDOUT_FILENO)) }
  }
  let reading = pipe.keepReading()
  let bytes = try readAll(reading, limit: limit, subject: command.first ?? "")
  guard try child.failureText() == nil else {
    _ = try child.wait()
    throw SyscallError("execute", errno: ENOENT, subject: command.first ?? "")
  }
  return (bytes, try child.wait())
}
