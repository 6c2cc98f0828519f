/// What a profile lets programs do that most never do, and that an attacker would like to. Each is refused where no profile names it.
package enum Permission: UInt8, CaseIterable, Sendable {
  /// A function that its file exports may be called through a pointer although no loaded file holds its address: what dlsym(3) gives to
  /// programs that have plugins.
  case dlsym
  /// A foreign-function interface (libffi, behind Python's ctypes, say) may call functions that make system calls for a script.
  case foreignCalls
  /// A trapped call may be made while a signal handler runs.
  case signalHandlers
  /// Code may lie in files that were changed after the container had started: what a compiler in the container has made, say.
  case writtenFiles

  /// As a profile names it.
  package var name: String {
    switch self {
    case .dlsym: "dlsym"
    case .foreignCalls: "foreign-calls"
    case .signalHandlers: "signal-handlers"
    case .writtenFiles: "written-files"
    }
  }

  package init?(name: String) {
    guard let found = Permission.allCases.first(where: { $0.name == name }) else { return nil }
    self = found
  }
}
