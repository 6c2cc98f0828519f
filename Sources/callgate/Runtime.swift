import Diagnostics
import Kernel
import Plan

/// The low-level runtime that does the work.
struct Runtime {
  let path: String
  let kind: RuntimeKind

  /// Hands the whole command on.
  func become() throws(Refusal) -> Never {
    do throws(SyscallError) { try executeWithOwnArguments(path) } catch { throw Refusal(.execFailed, error.plain) }
  }
}

/// Looked through before PATH, in this order: engines call `create` with a PATH and `delete` without one, and both must find the same.
private let systemDirectories = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]

/// The first of `names` that exists and is not callgate itself.
func findRuntime(_ names: [String]) throws(Refusal) -> Runtime {
  let own: FileIdentity
  do throws(SyscallError) { own = try identity(of: "/proc/self/exe") } catch { throw Refusal(.noRuntime, error.plain) }
  let path = environment("PATH")?.split(separator: ":").map(String.init) ?? []
  let directories = systemDirectories + path.filter { $0.hasPrefix("/") }
  for name in names {
    for candidate in name.hasPrefix("/") ? [name] : directories.map({ "\($0)/\(name)" }) {
      guard isExecutable(candidate), let found = try existing(candidate), found.isRegular else { continue }
      if found.device == own.device, found.inode == own.inode { continue }
      return Runtime(path: candidate, kind: RuntimeKind(path: candidate))
    }
  }
  throw Refusal(
    .noRuntime, "no low-level runtime is installed: looked for \(names.joined(separator: ", "))",
    hint: "install crun or runc, or name another one under 'runtimes' in config.toml")
}

private func existing(_ path: String) throws(Refusal) -> FileIdentity? {
  do throws(SyscallError) { return try identity(of: path) } catch {
    if error.isNotFound { return nil }
    throw Refusal(.noRuntime, error.plain)
  }
}
