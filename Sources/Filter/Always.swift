internal import Diagnostics
internal import OCI
internal import Profile

/// Its submissions are calls that no filter sees.
package let ioUring = ["io_uring_setup", "io_uring_enter", "io_uring_register"]

/// Trapped whatever the profile says. What the profile itself does not trap is answered with "continue".
private let alwaysTrapped = [
  // The first of them under a listener is how the supervisor knows that the low-level runtime has become the container's program.
  Trap("execve"), Trap("execveat"),
  // A task with a stack of its own: a thread, or a child of posix_spawn. The supervisor keeps where it starts, which is where its chains
  // have to end. A fork has none, and is not asked about; what clone3 says lies in memory, where no filter sees it.
  Trap("clone", where: Condition(argument: 1, mask: .max, relation: .anySet)),
]

/// A part of a call that is refused with EPERM, whatever the profile says.
struct ForbiddenPart {
  let syscall: String
  let argument: SeccompArgument

  static let all = [
    // prctl(PR_SET_MM, …) moves the `mm->start_stack` by which a stack is known to be the process' own; PR_SET_MM_MAP needs no
    // capability for that. The kernel takes the option as an int, so the upper half of the register has no say (kernel/sys.c).
    ForbiddenPart(syscall: "prctl", argument: SeccompArgument(0, .maskedEqual, 0xffff_ffff, 35))
  ]
}

let EPERM: UInt16 = 1
let ENOSYS: UInt16 = 38

/// A system call that the filter notifies about: always, or where one of the conditions holds.
struct Notified {
  let syscall: String
  private(set) var conditions: [Condition]

  fileprivate init(_ syscall: String, where condition: Condition?) {
    self.syscall = syscall
    conditions = condition.map { [$0] } ?? []
  }

  func applies(to arguments: [6 of UInt64]) -> Bool {
    conditions.isEmpty || conditions.contains { $0.holds(for: arguments[$0.argument]) }
  }

  fileprivate mutating func add(_ condition: Condition?) {
    guard !conditions.isEmpty else { return }
    if let condition { conditions.append(condition) } else { conditions = [] }
  }
}

/// What the filter notifies about: the profile's traps, and what is always trapped.
func notifying(_ profile: Profile) throws(Refusal) -> [Int32: Notified] {
  var notified: [Int32: Notified] = [:]
  for trap in try resolve(profile) { notified[trap.number] = Notified(trap.syscall, where: trap.condition) }
  for trap in alwaysTrapped {
    let number = try requireNumber(trap.syscall, profile)
    if notified[number] == nil {
      notified[number] = Notified(trap.syscall, where: trap.condition)
    } else {
      notified[number]?.add(trap.condition)
    }
  }
  return notified
}

extension Condition {
  /// It holds for every value but 0.
  var isAnyValue: Bool { mask == .max && relation == .anySet }
}
