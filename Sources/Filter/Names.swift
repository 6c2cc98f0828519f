internal import CSeccomp
package import Diagnostics
internal import Glibc
package import Profile

/// The number of a system call on x86-64, or nil where libseccomp knows no such call or x86-64 has none.
package func syscallNumber(_ name: String) -> Int32? {
  // libseccomp's SCMP_ARCH_X86_64 is the kernel's AUDIT_ARCH_X86_64.
  // SAFETY: the name is a NUL-terminated copy for the call.
  let number = unsafe seccomp_syscall_resolve_name_arch(Call.x86_64, name)
  // Below zero: -1 is "unknown", the rest stand for calls of other architectures (seccomp_syscall_resolve_name(3)).
  return number < 0 ? nil : number
}

/// The names of x86-64's calls that libseccomp knows, by number. What the kernel has got since has none.
package let callNames: [Int32: String] = {
  var names: [Int32: String] = [:]
  for number in 0..<beyondLastCall {
    // SAFETY: the answer is nil or a string that is ours to free; it is copied before that.
    guard let name = unsafe seccomp_syscall_resolve_num_arch(Call.x86_64, number) else { continue }
    names[number] = unsafe String(cString: name)
    unsafe free(name)
  }
  return names
}()

/// Linux 6.18 ends at 469.
let beyondLastCall: Int32 = 1024

/// The profile's traps by number. A name that nobody knows would silently not be trapped, so it is refused.
package func resolve(_ profile: Profile) throws(Refusal) -> [ResolvedTrap] {
  for name in profile.never + profile.absent { _ = try requireNumber(name, profile) }
  return try profile.traps.map { trap throws(Refusal) in
    ResolvedTrap(syscall: trap.syscall, number: try requireNumber(trap.syscall, profile), condition: trap.condition)
  }
}

func requireNumber(_ name: String, _ profile: Profile) throws(Refusal) -> Int32 {
  guard let number = syscallNumber(name) else {
    throw Refusal(.badProfile, "profile '\(profile.name)' names the system call '\(name)', which x86-64 does not have")
  }
  return number
}
