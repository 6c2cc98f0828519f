internal import Wire

/// A value and where it was written.
struct Given<Value> {
  var value: Value
  var origin: Origin
}

extension Given: Sendable where Value: Sendable {}

/// What one file says, before it is laid over what it extends.
struct Layer {
  var name: String
  var version: String
  var description: String
  var extends: [Given<String>] = []
  /// Where `trap` stands, or `spec` where there is none.
  var trapPlace: Origin
  /// As they were written: one entry a line of the list.
  var traps: [Given<TrapEntry>] = []
  var untraps: [Given<Untrap>] = []
  var never: [Given<String>] = []
  var checks: [String: Given<CheckRule>] = [:]
  var noUnwindInfo: Given<Setting>?
  var depth: Given<Int>?
  var onLimit: Given<Setting>?
  var onViolation: Given<Action>?
  var complainUntil: Given<Int64>?
  var permissions: [Given<Permission>] = []
  var forbidden: [Given<Permission>] = []
  var jit: [Given<JITRuntime>] = []
  var paths: [PathEntry] = []
  var modules: [Given<PathModule>] = []

  struct TrapEntry {
    var traps: [Trap]
    /// Of a group.
    var absent: [String] = []
    /// The group's name.
    var group: String?
  }

  enum Untrap {
    case syscall(String)
    case group(Group)
  }

  struct PathEntry {
    var rule: PathRule
    var origin: Origin
    /// Where each of its system calls stands.
    var calls: [Given<String>]
  }
}
