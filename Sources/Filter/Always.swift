internal import Diagnostics
internal import OCI
internal import Profile

/// Its submissions are calls that no filter sees.
package let ioUring = ["io_uring_setup", "io_uring_enter", "io_uring_register"]

/// Trapped without a condition, whatever the profile says: the first of them under a listener is how the supervisor knows that the
/// low-level runtime has become the container's program. What the profile itself does not trap is answered with "continue".
private let alwaysTrapped = ["execve", "execveat"]

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

/// What the filter notifies about: the profile's traps, and what is always trapped.
func notifying(_ profile: Profile) throws(Refusal) -> [Int32: ResolvedTrap] {
  var traps: [Int32: ResolvedTrap] = [:]
  for trap in try resolve(profile) { traps[trap.number] = trap }
  for name in alwaysTrapped {
    let number = try requireNumber(name, profile)
    traps[number] = ResolvedTrap(syscall: name, number: number, condition: nil)
  }
  return traps
}
