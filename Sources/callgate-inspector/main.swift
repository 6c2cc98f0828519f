// callgate-inspector: confined, started by callgate-supervisor with one descriptor, 3: the socket on which it is asked.
// It reads hostile bytes (stacks, ELF files) and answers what it saw. Whatever goes wrong ends the process: that is a denial.
internal import Kernel

do throws(Failure) {
  try serve(Conversation(UnixSocket(OwnedFD(owning: 3))))
} catch {
  exitNow(error.status)
}
