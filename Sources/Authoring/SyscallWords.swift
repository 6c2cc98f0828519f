internal import Profile

/// What a system call does, in plain words, and what one gains who can have a program make it.
package struct SyscallWords: Equatable, Sendable {
  /// After "execve: ".
  package var does: String
  /// After "whoever can lead the program along this way ".
  package var gain: String

  package init(_ syscall: String) {
    let own: [String: (String, String)] = [
      "execve": ("run another program", "runs any program that the container holds, with any arguments"),
      "execveat": ("run another program", "runs any program, also one that lies in memory only"),
      "mmap": ("map memory that can be executed", "can have a file mapped as code, or memory that code can be written into"),
      "mprotect": ("make memory executable", "can have data run as code"),
      "pkey_mprotect": ("make memory executable", "can have data run as code"),
      "mremap": ("move memory about", "can have code and data take each other's places"),
      "connect": ("connect to another machine or process", "reaches whatever the container's network reaches"),
      "bind": ("take an address to be reached at", "can be reached from outside"),
      "socket": ("make a socket", "has the beginning of a connection"),
      "ptrace": ("trace another process", "reads and changes the memory of other processes"),
      "bpf": ("load a program into the kernel", "runs code of their own inside the kernel's verifier's bounds"),
    ]
    if let (does, gain) = own[syscall] {
      (self.does, self.gain) = (does, gain)
      return
    }
    let group = Group.all.first { group in group.traps.contains { $0.syscall == syscall } }
    switch group?.name {
    case "@exec": (does, gain) = ("run another program, or start the child that will", "runs any program that the container holds")
    case "@exec-memory": (does, gain) = ("make memory executable", "can have data run as code")
    case "@credentials": (does, gain) = ("become another user, or gain capabilities", "acts as another user of the container")
    case "@namespace":
      (does, gain) = ("leave or make namespaces, or change what is mounted", "gets at what the container's namespaces keep away")
    case "@inject": (does, gain) = ("reach into another process", "reads and changes other processes of the container")
    default: (does, gain) = ("the system call \(syscall)", "makes this call, with any arguments")
    }
  }
}
